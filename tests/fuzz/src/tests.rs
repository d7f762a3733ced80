//! Every target over its corpus, and over mutations that follow from a seed.

use crate::{Mutator, TARGETS, corpus, dictionary, target};

/// Says which input it was, where a target panics, and leaves it behind for `replay`.
struct Watched<'i> {
    target: &'static str,
    input: &'i [u8],
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let file = std::env::temp_dir().join(format!("portcullis-fuzz-{}", self.target));
            std::fs::write(&file, self.input).unwrap();
            let (file, input) = (file.display(), self.input.escape_ascii());
            eprintln!(
                "{file} fails: cargo run -p portcullis-fuzz -- {} {file}\n{input}",
                self.target
            );
        }
    }
}

fn hold(name: &'static str) {
    let target = target(name).unwrap();
    let seeds = corpus(target);
    let words = dictionary(target);
    let run = |input: &[u8]| {
        let _watched = Watched {
            target: name,
            input,
        };
        (target.run)(input);
    };
    for seed in &seeds {
        run(&seed.bytes);
    }
    let seeds = seeds.iter().map(|seed| &*seed.bytes).collect();
    let mut mutator = Mutator::new(seeds, &words, 1);
    for _ in 0..target.quick {
        run(&mutator.next_input());
    }
}

/// One test for each target, so that they run beside each other.
macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test] fn $name() { hold(stringify!($name)); })*

        #[test]
        fn each_target_is_run() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(
    admission,
    admission2,
    chunks,
    certificates,
    proxy,
    routes,
    tokens,
    keys,
    bearer,
    sigv4,
    settings,
    policies,
    wire,
    texts,
    traces,
    collector,
    frames,
    calls
);

/// They are in every clone.
#[test]
fn corpora_are_small() {
    let bytes = |target| {
        corpus(target)
            .iter()
            .map(|seed| seed.bytes.len())
            .sum::<usize>()
    };
    let sum: usize = TARGETS.iter().map(|target| bytes(*target)).sum();
    assert!(sum < 500 * 1024, "{sum}");
}
