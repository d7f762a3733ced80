use std::time::{Duration, Instant};

use super::set::Subject;
use super::*;
use crate::harness::Harness;

fn entry(kind: Kind, subject: &str, not_before_ms: i64) -> Revocation {
    Revocation {
        kind,
        pool_id: "p".into(),
        subject: subject.into(),
        not_before_ms,
        expires_ms: not_before_ms + LONGEST_TOKEN_MS,
    }
}

fn token(issued_ms: i64) -> Subject<'static> {
    Subject {
        pool_id: "p",
        client_id: "c",
        sub: "u",
        origin_jti: Some("o"),
        issued_ms,
    }
}

#[test]
fn each_kind_hits_its_own_tokens_made_until_then() {
    for (kind, subject) in [(Kind::User, "u"), (Kind::Client, "c"), (Kind::Pool, "")] {
        let revoked = Revoked::new();
        revoked.note(&entry(kind, subject, 1000));
        assert!(
            revoked.is_revoked(token(999)) && revoked.is_revoked(token(1000)),
            "{kind:?}"
        );
        assert!(!revoked.is_revoked(token(1001)), "{kind:?}");
        assert!(
            !revoked.is_revoked(Subject {
                pool_id: "q",
                ..token(999)
            }),
            "{kind:?} of another pool"
        );
    }
}

#[test]
fn a_revoked_sign_in_stays_revoked_through_refreshes() {
    let revoked = Revoked::new();
    revoked.note(&entry(Kind::Origin, "o", 1000));
    assert!(revoked.is_revoked(token(5000)));
    assert!(!revoked.is_revoked(Subject {
        origin_jti: Some("other"),
        ..token(999)
    }));
    assert!(!revoked.is_revoked(Subject {
        origin_jti: None,
        ..token(999)
    }));
}

#[test]
fn entries_only_grow() {
    let revoked = Revoked::new();
    revoked.note(&entry(Kind::User, "u", 2000));
    revoked.note(&entry(Kind::User, "u", 1000));
    assert!(revoked.is_revoked(token(2000)));
}

#[test]
fn entries_go_when_their_tokens_have_expired() {
    let revoked = Revoked::new();
    revoked.note(&entry(Kind::User, "u", 1000));
    revoked.prune(1000 + LONGEST_TOKEN_MS);
    assert!(revoked.is_revoked(token(1000)));
    revoked.prune(1001 + LONGEST_TOKEN_MS);
    assert!(!revoked.is_revoked(token(1000)));
}

#[test]
fn knowledge_grows_stale() {
    let revoked = Revoked::new();
    assert!(revoked.is_stale(STALE), "nothing was polled yet");
    revoked.fed(Instant::now());
    assert!(!revoked.is_stale(STALE));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !revoked.is_stale(Duration::ZERO) {
        assert!(Instant::now() < deadline, "the last poll never ages");
    }
}

async fn the_stored_entry_keeps_the_latest_time(harness: Harness) {
    let now_ms = harness.engine.now_ms();
    for now_ms in [now_ms, now_ms - 1000] {
        let revoke = harness.engine.db().write_with(now_ms, |tx, now_ms| {
            Box::pin(async move { revoke_user(tx, "p", "u", *now_ms).await })
        });
        harness.engine.note_revoked(&revoke.await.unwrap());
    }
    assert_eq!(stored(&harness).await, [now_ms]);
    harness
        .clock
        .advance(Duration::from_millis(LONGEST_TOKEN_MS.unsigned_abs()));
    prune(&harness.engine).await.unwrap();
    assert_eq!(stored(&harness).await, [now_ms]);
    harness.clock.advance(Duration::from_millis(1));
    prune(&harness.engine).await.unwrap();
    assert!(stored(&harness).await.is_empty());
}

async fn stored(harness: &Harness) -> Vec<i64> {
    let rows = harness
        .engine
        .db()
        .rows("SELECT not_before_ms FROM revocations", args![])
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.int("not_before_ms").unwrap())
        .collect()
}

crate::harness::on_both_stores! {
    the_stored_entry_keeps_the_latest_time,
}
