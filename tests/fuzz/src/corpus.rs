//! What is checked in for a target: its corpus, and the words of its dictionary.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Target;

/// One input of a corpus.
#[derive(Debug)]
pub struct Seed {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The corpus of a target, in the order of its files' names.
///
/// # Panics
///
/// Where it is not there.
pub fn corpus(target: Target) -> Vec<Seed> {
    let folder = here().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).expect("each target has a corpus");
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("a corpus can be listed").path();
            let bytes = fs::read(&path).expect("a corpus can be read");
            Seed { path, bytes }
        })
        .collect();
    seeds.sort_by(|a, b| a.path.cmp(&b.path));
    seeds
}

/// The words of a target's dictionary, which is in libFuzzer's form: a quoted word a line, `\xNN` for an octet.
///
/// # Panics
///
/// Where it is not there or has another form.
pub fn dictionary(target: Target) -> Vec<Vec<u8>> {
    let file = here().join("dict").join(format!("{}.dict", target.name));
    let text = fs::read_to_string(file).expect("each target has a dictionary");
    let words = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    words
        .map(|line| word(line).unwrap_or_else(|| panic!("`{line}` is no word")))
        .collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = rest.next() {
        word.push(match byte {
            b'"' => return None,
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped @ (b'\\' | b'"') => escaped,
                _ => return None,
            },
            plain => plain,
        });
    }
    (!word.is_empty()).then_some(word)
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn words_are_in_libfuzzers_form() {
        assert_eq!(word(r#""a\x0d\"\\""#), Some(b"a\r\"\\".to_vec()));
        for line in ["a", "\"", "\"\"", r#""\n""#, r#""\x1""#, r#""a"b""#] {
            assert_eq!(word(line), None, "{line}");
        }
    }
}
