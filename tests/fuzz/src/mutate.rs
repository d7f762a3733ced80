//! Mutations that follow from a seed, for runs that must come out alike each time.

/// Makes new inputs of a corpus and a dictionary.
#[derive(Debug)]
pub struct Mutator<'m> {
    seeds: Vec<&'m [u8]>,
    words: &'m [Vec<u8>],
    state: u64,
}

impl<'m> Mutator<'m> {
    /// A mutator of these seeds.
    ///
    /// # Panics
    ///
    /// Without any seed.
    pub fn new(seeds: Vec<&'m [u8]>, words: &'m [Vec<u8>], seed: u64) -> Self {
        assert!(!seeds.is_empty(), "a corpus has inputs");
        Self {
            seeds,
            words,
            state: seed,
        }
    }

    /// A seed with one to eight changes; most inputs have few, so that most of them stays meaningful.
    pub fn next_input(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        let mut input = self.seeds[at].to_vec();
        for _ in 0..=self.below(8).min(self.below(8)) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input);
        match self.below(9) {
            0 => drop(input.drain(from..to)),
            1 => {
                let piece = input[from..to].to_vec();
                self.insert(input, &piece);
            }
            2 if from < input.len() => input[from] ^= 1 << self.below(8),
            3 if from < input.len() => input[from] = self.byte(),
            4 => {
                let byte = self.byte();
                input.insert(from, byte);
            }
            5 | 6 if !self.words.is_empty() => {
                let at = self.below(self.words.len());
                let word = &self.words[at];
                if self.below(2) == 0 {
                    drop(input.drain(from..to.min(from + word.len())));
                }
                input.splice(from..from, word.iter().copied());
            }
            7 => input[from..to].make_ascii_uppercase(),
            _ => {
                let at = self.below(self.seeds.len());
                let other = self.seeds[at];
                let (from, to) = self.range(other);
                self.insert(input, &other[from..to]);
            }
        }
    }

    fn insert(&mut self, input: &mut Vec<u8>, piece: &[u8]) {
        let at = self.below(input.len() + 1);
        input.splice(at..at, piece.iter().copied());
    }

    /// A piece of an input, short more often than long.
    fn range(&mut self, input: &[u8]) -> (usize, usize) {
        let from = self.below(input.len() + 1);
        let rest = input.len() - from;
        let length = match self.below(4) {
            0 => self.below(rest + 1),
            _ => self.below(rest.min(12) + 1),
        };
        (from, from + length)
    }

    /// Any octet, or one that means something in most formats.
    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\t\n\r \"#%&'*+,-./0:;<=>?@AZ[\\]_az{|}~\x7f\x80\xff";
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            u8::try_from(self.below(256)).expect("below 256")
        }
    }

    /// Sebastiano Vigna's splitmix64.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit).expect("64 bits");
        usize::try_from((mixed ^ (mixed >> 31)) % limit).expect("below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::Mutator;

    #[test]
    fn inputs_follow_from_the_seed() {
        let words = [b"word".to_vec()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(vec![b"GET / HTTP/1.1", b""], &words, seed);
            (0..200).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let distinct: std::collections::BTreeSet<_> = inputs(1).into_iter().collect();
        assert!(distinct.len() > 120, "{}", distinct.len());
    }
}
