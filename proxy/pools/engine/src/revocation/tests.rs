use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

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
        jti: None,
        iat_ms: issued_ms,
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
fn what_is_told_is_of_one_pool_and_since_a_time() {
    let revoked = Revoked::new();
    assert!(revoked.age().is_none(), "nothing was polled yet");
    for (kind, subject, ms) in [
        (Kind::User, "u", 1000),
        (Kind::Client, "c", 2000),
        (Kind::Origin, "o", 3000),
        (Kind::Pool, "", 4000),
    ] {
        revoked.note(&entry(kind, subject, ms));
    }
    assert_eq!(revoked.of_pool("p", i64::MIN).len(), 4);
    assert_eq!(revoked.of_pool("q", i64::MIN), []);
    let late = revoked.of_pool("p", 3000);
    assert_eq!(
        late,
        [entry(Kind::Origin, "o", 3000), entry(Kind::Pool, "", 4000)]
    );
    revoked.fed(Instant::now());
    assert!(revoked.age().unwrap() < Duration::from_secs(1));
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

async fn a_later_entry_is_later(harness: Harness) {
    let revoke = || async {
        let done = harness
            .engine
            .db()
            .write(|tx| Box::pin(revoke_user(tx, "p", "u")));
        done.await.unwrap().not_before_ms
    };
    let first = revoke().await;
    assert_eq!(stored(&harness).await, [first]);
    // As if the database's clock had stepped back since.
    let ahead = first + 60_000;
    set(&harness, "not_before_ms", ahead).await;
    assert_eq!(revoke().await, ahead + 1);
    assert_eq!(stored(&harness).await, [ahead + 1]);
}

/// Tokens that saw one entry are dated after it, and an entry of another kind must end them, too.
async fn a_later_entry_of_another_kind_is_later(harness: Harness) {
    for (step, kinds) in [
        [Kind::User, Kind::Client],
        [Kind::User, Kind::Pool],
        [Kind::Client, Kind::User],
        [Kind::Client, Kind::Pool],
        [Kind::Pool, Kind::User],
        [Kind::Pool, Kind::Client],
    ]
    .into_iter()
    .enumerate()
    {
        let pool_id = format!("p{step}");
        let first = revoke_now(&harness, kinds[0], &pool_id).await;
        // As if the database's clock had stepped back since.
        let ahead = first + 60_000;
        set(&harness, "not_before_ms", ahead).await;
        assert_eq!(
            revoke_now(&harness, kinds[1], &pool_id).await,
            ahead + 1,
            "{kinds:?}"
        );
        let elsewhere = revoke_now(&harness, kinds[1], "another").await;
        assert!(elsewhere < ahead, "{kinds:?}");
        clear(&harness).await;
    }
}

/// Where transactions run beside each other, the one that commits later is dated later, whenever it began.
#[tokio::test]
async fn of_entries_under_way_at_once_the_later_commit_is_later() {
    let harness = Harness::postgres(serde_json::json!({})).await;
    let has_begun = Arc::new(Notify::new());
    let (end, may_end) = watch::channel(false);
    let input = (Arc::clone(&has_begun), may_end);
    let db = harness.engine.db().clone();
    let slow = tokio::spawn(async move {
        db.write_with(input, |tx, (has_begun, may_end)| {
            Box::pin(async move {
                let done = revoke(tx, Kind::User, "p", "u").await;
                has_begun.notify_one();
                let mut may_end = may_end.clone();
                may_end.wait_for(|end| *end).await.unwrap();
                done
            })
        })
        .await
    });
    has_begun.notified().await;
    let fast = revoke_now(&harness, Kind::Client, "p").await;
    end.send(true).unwrap();
    assert!(slow.await.unwrap().unwrap().not_before_ms > fast);
}

async fn revoke_now(harness: &Harness, kind: Kind, pool_id: &str) -> i64 {
    let pool_id = pool_id.to_owned();
    let done = harness.engine.db().write_with(pool_id, move |tx, pool_id| {
        Box::pin(async move { revoke(tx, kind, pool_id, kind.as_str()).await })
    });
    done.await.unwrap().not_before_ms
}

async fn clear(harness: &Harness) {
    let done = harness
        .engine
        .db()
        .write(|tx| Box::pin(tx.execute("DELETE FROM revocations", args![])));
    done.await.unwrap();
}

async fn stored_entries_go_when_their_tokens_have_expired(harness: Harness) {
    let revoke = harness
        .engine
        .db()
        .write(|tx| Box::pin(revoke_user(tx, "p", "u")));
    harness.engine.note_revoked(&revoke.await.unwrap());
    // Not by this node's clock, which may be wrong.
    harness.clock.advance(Duration::from_hours(24 * 365 * 10));
    prune(&harness.engine).await.unwrap();
    assert_eq!(stored(&harness).await.len(), 1);
    set(&harness, "expires_ms", 1).await;
    prune(&harness.engine).await.unwrap();
    assert!(stored(&harness).await.is_empty());
}

async fn set(harness: &Harness, column: &str, ms: i64) {
    let sql = format!("UPDATE revocations SET {column} = $1");
    let done = harness.engine.db().write_with((sql, ms), |tx, (sql, ms)| {
        Box::pin(tx.execute(sql.clone(), args![*ms]))
    });
    assert_eq!(done.await.unwrap(), 1);
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
    a_later_entry_is_later,
    a_later_entry_of_another_kind_is_later,
    stored_entries_go_when_their_tokens_have_expired,
}
