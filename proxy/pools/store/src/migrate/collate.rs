//! Makes PostgreSQL compare text bytewise as SQLite does, whatever the database's own collation is.

use super::statements::{Kind, Token, tokens};

/// The statement with `COLLATE "C"` after the type of each TEXT column that it makes.
pub(super) fn bytewise(statement: &str) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut copied = 0;
    for at in text_columns(&tokens(statement)) {
        text.push_str(statement.get(copied..at).unwrap_or_default());
        text.push_str(r#" COLLATE "C""#);
        copied = at;
    }
    text.push_str(statement.get(copied..).unwrap_or_default());
    text
}

/// Where the types of the new TEXT columns end.
fn text_columns(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut words = tokens
        .iter()
        .filter(|token| token.kind == Kind::Word)
        .map(|token| token.text);
    let first = words.next().unwrap_or_default();
    if first.eq_ignore_ascii_case("CREATE") && words.next().is_some_and(|word| is(word, "TABLE")) {
        return created(tokens);
    }
    if first.eq_ignore_ascii_case("ALTER") {
        added(tokens)
    } else {
        Vec::new()
    }
}

/// A column is what follows `(` or `,` of the outermost parentheses: its name, then its type.
fn created(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut depth = 0;
    let mut ends = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let begins = match token.text {
            "(" => {
                depth += 1;
                depth == 1
            }
            ")" => {
                depth -= 1;
                false
            }
            "," => depth == 1,
            _ => false,
        };
        if begins {
            ends.extend(column(tokens.get(at + 1..).unwrap_or_default()));
        }
    }
    ends
}

/// `ADD [COLUMN] [IF NOT EXISTS] name type`, perhaps more than once.
fn added(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut ends = Vec::new();
    for (at, _) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| is_word(token, "ADD"))
    {
        let rest = tokens.get(at + 1..).unwrap_or_default();
        let skipped = ["COLUMN", "IF", "NOT", "EXISTS"];
        let noise = rest
            .iter()
            .take_while(|token| skipped.iter().any(|word| is_word(token, word)));
        ends.extend(column(rest.get(noise.count()..).unwrap_or_default()));
    }
    ends
}

/// Where the type of the column that begins here ends, if it is TEXT and has no collation of its own.
fn column(tokens: &[Token<'_>]) -> Option<usize> {
    let [name, kind, rest @ ..] = tokens else {
        return None;
    };
    let named = name.kind != Kind::Symbol;
    let collated = rest.first().is_some_and(|token| is_word(token, "COLLATE"));
    (named && is_word(kind, "TEXT") && !collated).then_some(kind.end)
}

fn is_word(token: &Token<'_>, word: &str) -> bool {
    token.kind == Kind::Word && is(token.text, word)
}

fn is(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_new_table() {
        let sql = r#"CREATE TABLE IF NOT EXISTS t ( -- text TEXT
    id TEXT NOT NULL, "text" text, n BIGINT, body TEXT DEFAULT 'a, b TEXT',
    own TEXT COLLATE "x", CHECK (CAST(n AS TEXT) <> id), text BIGINT,
    PRIMARY KEY (id, n)
)"#;
        let expected = r#"CREATE TABLE IF NOT EXISTS t ( -- text TEXT
    id TEXT COLLATE "C" NOT NULL, "text" text COLLATE "C", n BIGINT, body TEXT COLLATE "C" DEFAULT 'a, b TEXT',
    own TEXT COLLATE "x", CHECK (CAST(n AS TEXT) <> id), text BIGINT,
    PRIMARY KEY (id, n)
)"#;
        assert_eq!(bytewise(sql), expected);
    }

    #[test]
    fn columns_added_later() {
        let sql = "ALTER TABLE t ADD COLUMN IF NOT EXISTS a TEXT, ADD b text, ADD COLUMN c BIGINT";
        let expected = "ALTER TABLE t ADD COLUMN IF NOT EXISTS a TEXT COLLATE \"C\", \
                        ADD b text COLLATE \"C\", ADD COLUMN c BIGINT";
        assert_eq!(bytewise(sql), expected);
    }

    #[test]
    fn other_statements_stay() {
        for sql in [
            "INSERT INTO t (a, text) SELECT x, CAST(y AS TEXT) FROM u",
            "CREATE INDEX i ON t (a, b)",
            "CREATE UNIQUE INDEX i ON t (text)",
            "ALTER TABLE t RENAME TO u",
            "",
        ] {
            assert_eq!(bytewise(sql), sql);
        }
    }
}
