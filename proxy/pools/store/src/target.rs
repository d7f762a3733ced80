//! Where the store is, read from its URL in the settings.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::error::{Error, Result};

/// Which database, and where.
pub(crate) enum Target {
    Sqlite(PathBuf),
    // Boxed: it holds certificates and is far larger than a path.
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The driver's own error could show parts of the URL, and with them the password.
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| Error::Target("the postgres URL is not valid".into()))?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        Err(Error::Target(
            "expected `sqlite:FILE` or `postgres://…`".into(),
        ))
    }
}

fn sqlite(path: &str) -> Result<Target> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(":memory:") {
        return Err(Error::Target("`sqlite:` needs the path of a file".into()));
    }
    Ok(Target::Sqlite(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        url.parse::<Target>().err().unwrap().to_string()
    }

    #[test]
    fn sqlite_paths() {
        for (url, expected) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite:/x/a.db", "/x/a.db"),
            ("sqlite:///x/a.db", "/x/a.db"),
        ] {
            assert!(
                matches!(url.parse().unwrap(), Target::Sqlite(path) if path.as_os_str() == expected)
            );
        }
    }

    #[test]
    fn refusals_never_show_the_url() {
        assert_eq!(
            refusal("sqlite:"),
            "`store`: `sqlite:` needs the path of a file"
        );
        assert_eq!(
            refusal("sqlite::memory:"),
            "`store`: `sqlite:` needs the path of a file"
        );
        assert_eq!(
            refusal("mysql://u:hunter2@h/d"),
            "`store`: expected `sqlite:FILE` or `postgres://…`"
        );
        let bad = refusal("postgres://u:hunter2@h:notaport/d");
        assert_eq!(bad, "`store`: the postgres URL is not valid");
    }
}
