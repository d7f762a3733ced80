//! What a feed tells, and which tokens it is about: as the engine, which tells it, reads its own.

use std::collections::HashMap;

use serde::Deserialize;

use crate::Claims;

/// One answer of a feed.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    /// What to give as `since` the next time; a time of the feed's, in milliseconds.
    pub(super) next: i64,
    /// How long ago the one who answers last looked.
    pub(super) age_ms: u64,
    pub(super) revocations: Vec<Revocation>,
}

/// One revocation.
#[derive(Debug, Deserialize)]
pub(super) struct Revocation {
    kind: Kind,
    subject: String,
    not_before_ms: i64,
    expires_ms: i64,
}

/// What a revocation is about. A kind that is not known is no answer: it might be about any token.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// All tokens of one sign-in, by `origin_jti`.
    Origin,
    /// All tokens of a user, by `sub`.
    User,
    /// All tokens of an app client.
    Client,
    /// All tokens of the pool.
    Pool,
}

/// A pool's revocations.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    origins: HashMap<String, Entry>,
    users: HashMap<String, Entry>,
    clients: HashMap<String, Entry>,
    pool: Option<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    not_before_ms: i64,
    expires_ms: i64,
}

impl Entries {
    /// Takes an answer in, and forgets what no token can be about any more; whether there is anything new.
    pub(super) fn take_in(&mut self, told: Told) -> bool {
        let mut is_new = false;
        for revocation in told.revocations {
            is_new |= self.note(revocation);
        }
        for of_kind in [&mut self.origins, &mut self.users, &mut self.clients] {
            of_kind.retain(|_, entry| entry.expires_ms >= told.next);
        }
        is_new
    }

    /// An entry that is known only grows.
    fn note(&mut self, revocation: Revocation) -> bool {
        let new = Entry {
            not_before_ms: revocation.not_before_ms,
            expires_ms: revocation.expires_ms,
        };
        let of_kind = match revocation.kind {
            Kind::Origin => &mut self.origins,
            Kind::User => &mut self.users,
            Kind::Client => &mut self.clients,
            Kind::Pool => {
                let grown = self.pool.map_or(new, |old| old.grown(new));
                return self.pool.replace(grown) != Some(grown);
            }
        };
        let old = of_kind.get(&revocation.subject).copied();
        let grown = old.map_or(new, |old| old.grown(new));
        of_kind.insert(revocation.subject, grown) != Some(grown)
    }

    /// Whether one of them is about this token.
    pub(super) fn has(&self, claims: &Claims) -> bool {
        let issued_ms = issued_ms(claims);
        let is_before = |entry: &Entry| issued_ms <= entry.not_before_ms;
        let client = claims.client_id().and_then(|id| self.clients.get(id));
        // Every token of the sign-in, whenever it was made: a refresh that raced with the revocation is one, too.
        let origin = |jti| self.origins.contains_key(jti);
        claims.origin_jti().is_some_and(origin)
            || self.users.get(claims.sub()).is_some_and(is_before)
            || client.is_some_and(is_before)
            || self.pool.as_ref().is_some_and(is_before)
    }

    pub(super) fn len(&self) -> usize {
        let pool = usize::from(self.pool.is_some());
        self.origins.len() + self.users.len() + self.clients.len() + pool
    }
}

impl Entry {
    fn grown(self, other: Self) -> Self {
        Self {
            not_before_ms: self.not_before_ms.max(other.not_before_ms),
            expires_ms: self.expires_ms.max(other.expires_ms),
        }
    }
}

/// When a token was made, as far as revocations are concerned: the time in its `jti`, which is the store's and right after
/// the latest revocation that its sign-in saw, else `iat`, which has whole seconds of a node's clock.
fn issued_ms(claims: &Claims) -> i64 {
    let iat_ms = || i64::try_from(claims.iat()?.checked_mul(1000)?).ok();
    claims.jti().and_then(jti_ms).or_else(iat_ms).unwrap_or(0)
}

/// The time in a `jti` that is a UUID of version 7 (RFC 9562 section 5.7), in milliseconds since 1970: its first 48 bits. By it
/// a token of a pool was issued before a revocation, or after.
pub fn jti_ms(jti: &str) -> Option<i64> {
    let bytes = jti.as_bytes();
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !is_uuid || bytes.get(14) != Some(&b'7') {
        return None;
    }
    i64::from_str_radix(&[jti.get(..8)?, jti.get(9..13)?].concat(), 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{KeySet, Kind as IssuerKind, fixture::*, verify};

    fn claims(changes: Value) -> Claims {
        let token = sign(&header(), &with(access(), changes));
        let rules = rules(IssuerKind::Cognito, &["web"]);
        let keys: KeySet = key_set(1, &[rsa_jwk(&RSA, "k1")]);
        verify(&token, &keys, &rules, std::time::Duration::ZERO, at(NOW)).unwrap()
    }

    fn told(kind: &str, subject: &str, not_before_ms: u64) -> Told {
        let revocation = json!({"kind": kind, "subject": subject, "not_before_ms": not_before_ms,
            "expires_ms": not_before_ms + 1000, "more": 1});
        let told = json!({"next": 0, "age_ms": 0, "revocations": [revocation]});
        serde_json::from_value(told).unwrap()
    }

    fn entries(told: Told) -> Entries {
        let mut entries = Entries::default();
        assert!(entries.take_in(told));
        entries
    }

    #[test]
    fn each_kind_hits_its_own_tokens_made_until_then() {
        let ms = NOW * 1000;
        let has = |told| entries(told).has(&claims(json!({})));
        for (kind, subject) in [("user", "u1"), ("client", "web"), ("pool", "")] {
            assert!(has(told(kind, subject, ms)), "{kind}");
            assert!(!has(told(kind, subject, ms - 1)), "{kind}");
        }
        for (kind, subject) in [("user", "u2"), ("client", "app"), ("origin", "o2")] {
            assert!(!has(told(kind, subject, ms)), "{kind}");
        }
        assert!(has(told("origin", "o1", 1)));
        let without = claims(json!({"origin_jti": null}));
        assert!(!entries(told("origin", "o1", 1)).has(&without));
    }

    #[test]
    fn the_time_in_a_jti_counts_before_the_clock_of_the_node() {
        let jti = json!({"jti": "01920000-0000-7000-8000-000000000000"});
        let ms = 0x0192_0000_0000;
        assert!(entries(told("user", "u1", ms)).has(&claims(jti.clone())));
        assert!(!entries(told("user", "u1", ms - 1)).has(&claims(jti)));
        for other in [
            "01920000-0000-4000-8000-000000000000",
            "+1920000-0000-7000-8000-000000000000",
            "j",
            "",
        ] {
            assert_eq!(jti_ms(other), None, "{other}");
        }
    }

    #[test]
    fn entries_only_grow_and_go_when_their_tokens_are_over() {
        let mut entries = entries(told("user", "u1", 2000));
        assert!(!entries.take_in(told("user", "u1", 1000)), "nothing new");
        assert!(entries.take_in(told("user", "u1", 3000)));
        assert!(entries.take_in(told("pool", "", 5)));
        assert!(!entries.take_in(told("pool", "", 5)), "nothing new");
        let later = |next| Told {
            next,
            age_ms: 0,
            revocations: Vec::new(),
        };
        assert!(!entries.take_in(later(4000)));
        assert_eq!(entries.len(), 2);
        entries.take_in(later(4001));
        assert_eq!(entries.len(), 1, "that of the pool stays");
    }

    #[test]
    fn a_kind_that_is_not_known_is_no_answer() {
        let odd = json!({"next": 1, "age_ms": 0, "revocations": [
            {"kind": "device", "subject": "d", "not_before_ms": 1, "expires_ms": 2}]});
        assert!(serde_json::from_value::<Told>(odd).is_err());
    }
}
