//! Retiring a seal key: what it sealed is sealed again with the active one, in small steps beside the daily work.
//!
//! When nothing of an older key is left, its check value goes, and the next start does without the key.

use ::store::{Row, Tx, args};

use crate::seal::place;
use crate::{Engine, Error, Result};

/// A sealed column and the primary key its additional data is made of.
struct Sealed {
    table: &'static str,
    name: &'static str,
    key: &'static [&'static str],
}

/// INVARIANT: every sealed column of every migration stands here; a test reads the migrations for it.
const SEALED: &[Sealed] = &[
    one("client_secrets", "sealed", &["client_id", "id"]),
    one("signing_keys", "sealed", &["pool_id", "kid"]),
    one("derivation_keys", "sealed", &["name"]),
    one("users", "password_hash", &["pool_id", "sub"]),
    one("users", "srp_verifier", &["pool_id", "sub"]),
    one("users", "password_history", &["pool_id", "sub"]),
    one("codes", "code", &["pool_id", "sub", "purpose"]),
];

const fn one(table: &'static str, name: &'static str, key: &'static [&'static str]) -> Sealed {
    Sealed { table, name, key }
}

/// Seals again whatever older keys sealed, if the store knows any.
pub(crate) async fn run(engine: &Engine) -> Result<()> {
    let older = older_keys(engine).await?;
    if older.is_empty() {
        return Ok(());
    }
    let mut count = 0;
    for sealed in SEALED {
        count += sealed.run(engine).await?;
    }
    if count > 0 {
        tracing::info!(
            count,
            "Secrets at rest were sealed again with the active key"
        );
        // Others may have written with an older key meanwhile: only a pass that finds nothing retires it.
        return Ok(());
    }
    for id in older {
        engine
            .db()
            .write_with(id.clone(), |tx, id| {
                Box::pin(async move {
                    tx.execute("DELETE FROM seal_checks WHERE key_id = $1", args![id])
                        .await?;
                    Ok::<_, Error>(())
                })
            })
            .await?;
        tracing::info!(key = %id, "Nothing is sealed with this key any more: it may be taken out of the settings");
    }
    Ok(())
}

async fn older_keys(engine: &Engine) -> Result<Vec<String>> {
    let active = engine.sealer().active();
    let rows = engine
        .db()
        .rows(
            "SELECT key_id FROM seal_checks WHERE key_id <> $1",
            args![active],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| row.text("key_id"))
        .collect::<Result<_, _>>()?)
}

/// A row to be written: its key, what the column held, and what it is to hold.
struct Change {
    key: Vec<String>,
    old: String,
    new: String,
}

impl Sealed {
    /// Walks the table in the order of its key; returns how many rows were changed.
    async fn run(&'static self, engine: &Engine) -> Result<usize> {
        let mut count = 0;
        let mut after = vec![String::new(); self.key.len()];
        loop {
            let rows = engine.db().rows(self.select(), args_of(&after)).await?;
            let Some(last) = rows.last() else {
                return Ok(count);
            };
            after = self.key_of(last)?;
            let changes: Vec<_> = rows
                .iter()
                .filter_map(|row| self.change(engine, row).transpose())
                .collect::<Result<_>>()?;
            count += changes.len();
            if !changes.is_empty() {
                engine
                    .db()
                    .write_with(changes, move |tx, changes| {
                        Box::pin(async move { self.write(tx, changes).await })
                    })
                    .await?;
            }
        }
    }

    fn change(&self, engine: &Engine, row: &Row) -> Result<Option<Change>> {
        let Some(old) = row.opt_text(self.name)? else {
            return Ok(None);
        };
        let key = self.key_of(row)?;
        let parts: Vec<&str> = key.iter().map(String::as_str).collect();
        if engine.sealer().is_current(&old) {
            return Ok(None);
        }
        let place = place(self.table, self.name, &parts);
        let plain = engine.sealer().open(&place, &old)?;
        let new = engine.sealer().seal(engine.rng(), &place, &plain)?;
        Ok(Some(Change { key, old, new }))
    }

    async fn write(&self, tx: &mut Tx, changes: &[Change]) -> Result<()> {
        for change in changes {
            let mut args = args![change.new, change.old];
            args.extend(args_of(&change.key));
            // A row that changed since it was read was sealed by whoever changed it.
            tx.execute(self.update(), args).await?;
        }
        Ok(())
    }

    fn key_of(&self, row: &Row) -> Result<Vec<String>> {
        Ok(self
            .key
            .iter()
            .map(|column| row.text(column))
            .collect::<Result<_, _>>()?)
    }

    fn select(&self) -> String {
        let keys = self.key.join(", ");
        let places: Vec<_> = (1..=self.key.len())
            .map(|number| format!("${number}"))
            .collect();
        format!(
            "SELECT {keys}, {} FROM {} WHERE ({keys}) > ({}) ORDER BY {keys} LIMIT {STEP}",
            self.name,
            self.table,
            places.join(", ")
        )
    }

    fn update(&self) -> String {
        let (table, column) = (self.table, self.name);
        let keys: Vec<_> = self
            .key
            .iter()
            .enumerate()
            .map(|(at, name)| format!(" AND {name} = ${}", at + 3))
            .collect();
        format!(
            "UPDATE {table} SET {column} = $1 WHERE {column} = $2{}",
            keys.concat()
        )
    }
}

fn args_of(texts: &[String]) -> Vec<::store::Value> {
    texts
        .iter()
        .map(|text| ::store::Value::Text(Some(text.clone())))
        .collect()
}

/// Rows a step: few enough that no sign-in waits behind one.
const STEP: usize = 100;

#[cfg(test)]
mod tests;
