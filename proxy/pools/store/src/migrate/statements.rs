//! Cuts SQL into tokens and statements, knowing quotes and comments.

use std::iter::Peekable;
use std::str::CharIndices;

/// A piece of SQL, by its place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it ends in the statement.
    pub(super) end: usize,
}

/// What matters of a token here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a plain name.
    Word,
    /// A string, or a name in quotes.
    Quoted,
    /// Any other character.
    Symbol,
}

/// The statements of a script, without their semicolons; what has only blanks and comments is none.
pub(super) fn split(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut blank = true;
    for token in tokens(script) {
        if token.text == ";" {
            push(&mut statements, script, start..token.end - 1, blank);
            (start, blank) = (token.end, true);
        } else {
            blank = false;
        }
    }
    push(&mut statements, script, start..script.len(), blank);
    statements
}

fn push<'a>(to: &mut Vec<&'a str>, script: &'a str, range: std::ops::Range<usize>, blank: bool) {
    if let (Some(statement), false) = (script.get(range), blank) {
        to.push(statement.trim());
    }
}

/// The tokens of a text; blanks and comments are left out.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let kind = match first {
            blank if blank.is_whitespace() => continue,
            '-' if next_is(&mut chars, '-') => {
                skip_line(&mut chars);
                continue;
            }
            '/' if next_is(&mut chars, '*') => {
                skip_block(&mut chars);
                continue;
            }
            '\'' | '"' => {
                skip_quoted(&mut chars, first);
                Kind::Quoted
            }
            '$' => {
                skip_dollars(text, start, &mut chars);
                Kind::Quoted
            }
            first if first.is_alphanumeric() || first == '_' => {
                while chars
                    .next_if(|(_, next)| next.is_alphanumeric() || *next == '_')
                    .is_some()
                {}
                Kind::Word
            }
            _ => Kind::Symbol,
        };
        let end = chars.peek().map_or(text.len(), |(at, _)| *at);
        tokens.push(Token {
            kind,
            text: text.get(start..end).unwrap_or_default(),
            end,
        });
    }
    tokens
}

type Chars<'a> = Peekable<CharIndices<'a>>;

fn next_is(chars: &mut Chars<'_>, expected: char) -> bool {
    chars.peek().is_some_and(|(_, next)| *next == expected)
}

fn skip_line(chars: &mut Chars<'_>) {
    while chars.next_if(|(_, next)| *next != '\n').is_some() {}
}

/// Comments nest in PostgreSQL and not in SQLite; a migration that uses this would be two texts, so it is not told apart.
fn skip_block(chars: &mut Chars<'_>) {
    let mut last = ' ';
    chars.next();
    for (_, next) in chars.by_ref() {
        if last == '*' && next == '/' {
            return;
        }
        last = next;
    }
}

/// To the closing quote; a doubled one stands for itself.
fn skip_quoted(chars: &mut Chars<'_>, quote: char) {
    while let Some((_, next)) = chars.next() {
        if next == quote && chars.next_if(|(_, after)| *after == quote).is_none() {
            return;
        }
    }
}

/// `$tag$ … $tag$` to its end; a `$1` is left to be a symbol and a word.
fn skip_dollars(text: &str, start: usize, chars: &mut Chars<'_>) {
    let rest = text.get(start + 1..).unwrap_or_default();
    let Some((tag, body)) = rest.split_once('$') else {
        return;
    };
    let named = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !named || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return;
    }
    let close = format!("${tag}$");
    let length = body.find(&close).map_or(body.len(), |at| at + close.len());
    let end = start + 1 + tag.len() + 1 + length;
    while chars.next_if(|(at, _)| *at < end).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes_and_comments() {
        let script = "-- one; two\nCREATE TABLE a (x TEXT DEFAULT 'a;''b'); /* ; */\n\
                      INSERT INTO \"b;\" VALUES ($$;$$, $t$ ; $$ $t$, $1);\n-- end;\n";
        let statements = split(script);
        assert_eq!(statements.len(), 2, "{statements:?}");
        assert!(statements[0].ends_with("'a;''b')"));
        assert!(statements[1].starts_with("/* ; */"));
        assert!(statements[1].ends_with("$1)"));
    }

    #[test]
    fn what_is_not_closed_ends_with_the_text() {
        for open in [
            "SELECT 'a;",
            "SELECT /* ;",
            "SELECT $a$ ;",
            "SELECT \"a;",
            "SELECT 1 -- ;",
        ] {
            assert_eq!(split(open), [open]);
        }
    }
}
