//! The models' regular expressions, which are Java's, on Rust's engine.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// A pattern that a whole text must match; compiled when it is first asked.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    regex: Regex,
    /// `(?<!\.)$`, the one look-behind of the models, is asked by itself.
    no_final_dot: bool,
}

impl Pattern {
    /// The pattern, in Java's syntax.
    pub const fn new(source: &'static str) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    /// The pattern as the model writes it.
    pub const fn source(&self) -> &'static str {
        self.source
    }

    /// Whether all of `text` matches. A pattern that does not compile matches nothing; a test holds that all compile.
    pub fn matches(&self, text: &str) -> bool {
        let Some(compiled) = self.compiled() else {
            return false;
        };
        compiled.regex.is_match(text) && !(compiled.no_final_dot && text.ends_with('.'))
    }

    fn compiled(&self) -> Option<&Compiled> {
        self.compiled.get_or_init(|| compile(self.source)).as_ref()
    }
}

fn compile(source: &str) -> Option<Compiled> {
    let stripped = source.strip_suffix(NO_FINAL_DOT);
    let whole = format!(r"\A(?:{})\z", translate(stripped.unwrap_or(source)));
    let regex = RegexBuilder::new(&whole).build().ok()?;
    Some(Compiled {
        regex,
        no_final_dot: stripped.is_some(),
    })
}

/// Java → Rust: the letter classes are ASCII in Java, and `\uXXXX` needs braces.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() * 2);
    let mut rest = source.chars();
    while let Some(letter) = rest.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match rest.next() {
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('d') => out.push_str("[0-9]"),
            Some('s') => out.push_str(r"[\t\n\x0B\x0C\r\x20]"),
            Some('S') => out.push_str(r"[^\t\n\x0B\x0C\r\x20]"),
            Some('u') => code_point(&mut rest, &mut out),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// `\uXXXX`; the models write code points above `FFFF` the same way, with five or six digits.
fn code_point(rest: &mut std::str::Chars<'_>, out: &mut String) {
    let digits = rest
        .as_str()
        .chars()
        .take(6)
        .take_while(char::is_ascii_hexdigit)
        .count();
    out.push_str(r"\x{");
    out.extend(rest.by_ref().take(digits));
    out.push('}');
}

const NO_FINAL_DOT: &str = r"(?<!\.)$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_models_compiles() {
        let all = [
            crate::generated::idp::PATTERNS,
            crate::generated::identity::PATTERNS,
            crate::generated::sync::PATTERNS,
            crate::generated::sts::PATTERNS,
            crate::generated::permissions::PATTERNS,
        ];
        for pattern in all.into_iter().flatten() {
            assert!(pattern.compiled().is_some(), "{}", pattern.source());
        }
    }

    #[test]
    fn the_whole_text_must_match() {
        let pattern = Pattern::new(r"[\w-]+_[0-9a-zA-Z]+");
        assert!(pattern.matches("us-east-1_Ab12"));
        assert!(!pattern.matches("us-east-1_Ab12 "));
        assert!(!pattern.matches("us-east-1"));
    }

    #[test]
    fn letter_classes_are_javas() {
        assert!(!Pattern::new(r"[\w]+").matches("é"));
        // Java's \S knows ASCII space only, so a no-break space is no space.
        assert!(Pattern::new(r"[\S]+").matches("a\u{a0}b"));
        assert!(!Pattern::new(r"[\S]+").matches("a b"));
        assert!(Pattern::new(r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+").matches("Jürgen€1!"));
        assert!(!Pattern::new(r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+").matches("a b"));
    }

    #[test]
    fn code_points_and_the_final_dot() {
        let text = Pattern::new(r"[\u0009\u0020-\uD7FF\u10000-\u10FFFF]+");
        assert!(text.matches("a\tb\u{1F600}"));
        assert!(!text.matches("\u{0}"));
        let domain = Pattern::new(r"^[0-9A-Za-z\.\-_]*(?<!\.)$");
        assert!(domain.matches("auth.example.com"));
        assert!(!domain.matches("auth.example.com."));
    }
}
