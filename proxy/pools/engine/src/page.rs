//! Tokens that continue a list: sealed, so that they say nothing and cannot be made up, good for one list and an hour.

use serde_json::Value;

use crate::{Engine, Error, Result};

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Continues the list; `None` at its end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of `items`, of which there is one more than `limit` if the list goes on. `key` says where an item stands.
    pub(crate) fn of<const N: usize>(
        engine: &Engine,
        list: &str,
        mut items: Vec<T>,
        limit: usize,
        key: impl Fn(&T) -> [String; N],
    ) -> Result<Self> {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = match items.last().filter(|_| more) {
            Some(end) => Some(seal(engine, list, &key(end))?),
            None => None,
        };
        Ok(Self { items, next })
    }
}

/// The key of the last item before the page that a token asks for; the beginning without one.
pub(crate) fn after<const N: usize>(
    engine: &Engine,
    list: &str,
    token: Option<&str>,
) -> Result<Option<[String; N]>> {
    token
        .map(|token| open(engine, list, token).ok_or_else(invalid))
        .transpose()
}

/// How many items to read for a page: one more than it has tells whether the list goes on.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// `list` names the list with all that chooses its items: a token of one list does not open another.
fn seal(engine: &Engine, list: &str, key: &[String]) -> Result<String> {
    let content = serde_json::json!([engine.now_ms(), key]).to_string();
    Ok(engine
        .sealer()
        .seal(engine.rng(), &aad(list), content.as_bytes())?)
}

fn open<const N: usize>(engine: &Engine, list: &str, token: &str) -> Option<[String; N]> {
    let content = engine.sealer().open(&aad(list), token).ok()?;
    let (made_ms, key): (i64, Vec<Value>) = serde_json::from_slice(&content).ok()?;
    if engine.now_ms().checked_sub(made_ms)? >= LIFE_MS {
        return None;
    }
    let key: Option<Vec<String>> = key
        .iter()
        .map(|part| part.as_str().map(str::to_owned))
        .collect();
    key?.try_into().ok()
}

fn aad(list: &str) -> String {
    format!("page/{list}")
}

fn invalid() -> Error {
    Error::invalid_parameter("Invalid pagination token.")
}

const LIFE_MS: i64 = 60 * 60 * 1000;
