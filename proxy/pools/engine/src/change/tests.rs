use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::{Harness, document};
use crate::{client, pool, revocation, signing_key};

/// What another process does at its next poll.
async fn poll(engine: &Engine) {
    Feed::default().poll(engine).await.unwrap();
}

/// A token of the user `u`, which does not name its sign-in.
fn token(pool_id: &str, issued_ms: i64) -> revocation::Subject<'_> {
    revocation::Subject {
        pool_id,
        client_id: "c",
        sub: "u",
        origin_jti: None,
        jti: None,
        iat_ms: issued_ms,
    }
}

async fn another_process_learns_of_settings(here: Harness) {
    let there = here.second().await;
    let pool = pool::create(&here.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let web = client::create(&here.engine, &pool, "web", document(json!({})))
        .await
        .unwrap();
    assert_eq!(
        client::load(&there, web.id()).await.unwrap().1.name(),
        "web"
    );

    pool::update(
        &here.engine,
        pool.id(),
        Some("people".into()),
        document(json!({})),
    )
    .await
    .unwrap();
    client::update(
        &here.engine,
        &pool,
        web.id(),
        Some("site".into()),
        document(json!({})),
    )
    .await
    .unwrap();
    poll(&there).await;
    let (pool_there, web_there) = client::load(&there, web.id()).await.unwrap();
    assert_eq!((pool_there.name(), web_there.name()), ("people", "site"));

    pool::delete(&here.engine, pool.id()).await.unwrap();
    poll(&there).await;
    assert!(client::find(&there, web.id()).await.unwrap().is_none());
    assert!(pool::find(&there, pool.id()).await.unwrap().is_none());
}

async fn another_process_learns_of_keys(here: Harness) {
    let there = here.second().await;
    let pool = pool::create(&here.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let keys = there.pool_keys(pool.id());
    signing_key::jwks(&there, pool.id()).await.unwrap();
    let before = keys.current();
    assert_eq!(before.keys().len(), 2);

    signing_key::rotate(&here.engine, pool.id(), here.engine.now_ms())
        .await
        .unwrap();
    poll(&there).await;
    let after = keys.current();
    assert_eq!(after.keys().len(), 4);
    assert_ne!(before.generation(), after.generation());
}

async fn a_change_is_taken_in_once(here: Harness) {
    // The engine follows its changes too, and would forget the pool whenever its turn comes.
    here.engine.0.tasks.stop();
    let pool = pool::create(&here.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let mut feed = Feed::default();
    pool::update(&here.engine, pool.id(), None, document(json!({})))
        .await
        .unwrap();
    feed.poll(&here.engine).await.unwrap();
    let kept = pool::load(&here.engine, pool.id()).await.unwrap();
    // The row lies within the overlap and is read again, but the pool is not forgotten again.
    feed.poll(&here.engine).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(
        &kept,
        &pool::load(&here.engine, pool.id()).await.unwrap()
    ));
}

async fn a_row_that_commits_late_is_not_missed(here: Harness) {
    let mut feed = Feed::default();
    feed.poll(&here.engine).await.unwrap();
    let late = here.engine.db().now_ms().await.unwrap() - OVERLAP_MS / 2;
    here.engine
        .db()
        .write_with(late, |tx, late| {
            Box::pin(async move {
                let expires_ms = i64::MAX;
                tx.execute(
                    INSERT,
                    args!["late", *late, "revoked_origin", "p", "o", *late, expires_ms],
                )
                .await
            })
        })
        .await
        .unwrap();
    feed.poll(&here.engine).await.unwrap();
    let ended = revocation::Subject {
        origin_jti: Some("o"),
        ..token("p", i64::MAX)
    };
    assert!(here.engine.revoked().is_revoked(ended));
}

async fn a_process_starts_with_what_is_revoked(here: Harness) {
    let revoked = here
        .engine
        .db()
        .write(|tx| Box::pin(revocation::revoke_user(tx, "p", "u")));
    let now_ms = revoked.await.unwrap().not_before_ms;
    let there = here.second().await;
    let revoked = there.revoked();
    assert!(revoked.is_revoked(token("p", now_ms)));
    assert!(!revoked.is_revoked(token("p", now_ms + 1)));
    assert!(!there.revoked().is_stale(Duration::from_secs(5)));
}

async fn a_process_that_was_cut_off_for_long_starts_anew(here: Harness) {
    let pool = pool::create(&here.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let there = here.second().await;
    let keys = there.pool_keys(pool.id());
    signing_key::jwks(&there, pool.id()).await.unwrap();
    let mut feed = Feed::default();
    feed.poll(&there).await.unwrap();

    let now_ms = here.engine.now_ms();
    here.engine
        .db()
        .write_with(pool.id().to_owned(), move |tx, pool_id| {
            Box::pin(async move {
                let _ = revocation::revoke_user(tx, pool_id, "u").await?;
                tx.execute("UPDATE pools SET name = 'people'", args![])
                    .await?;
                tx.execute("DELETE FROM signing_keys", args![]).await?;
                // As if all of that were so long ago that nothing tells of it any more.
                tx.execute("DELETE FROM changes", args![]).await?;
                Ok::<_, crate::Error>(())
            })
        })
        .await
        .unwrap();
    feed.polled_ms -= KEPT_MS;
    feed.poll(&there).await.unwrap();
    let ended = token(pool.id(), now_ms);
    assert!(there.revoked().is_revoked(ended));
    assert_eq!(
        pool::load(&there, pool.id()).await.unwrap().name(),
        "people"
    );
    assert!(keys.current().keys().is_empty());
}

async fn a_pool_that_cannot_be_read_stops_only_itself(here: Harness) {
    let mut pools = Vec::new();
    for name in ["broken", "whole"] {
        let pool = pool::create(&here.engine, name, document(json!({})));
        pools.push(pool.await.unwrap().id().to_owned());
    }
    let there = here.second().await;
    let keys = pools
        .iter()
        .map(|id| there.pool_keys(id))
        .collect::<Vec<_>>();
    for id in &pools {
        signing_key::jwks(&there, id).await.unwrap();
    }
    let now_ms = here.engine.now_ms();
    here.engine
        .db()
        .write_with(pools.clone(), move |tx, pools| {
            Box::pin(async move {
                let sql = "UPDATE signing_keys SET sealed = 's1.x.y' WHERE pool_id = $1";
                tx.execute(sql, args![pools[0]]).await?;
                Change::Keys(pools[0].clone()).announce(tx).await?;
                let _ = revocation::revoke_user(tx, &pools[1], "u").await?;
                Ok::<_, crate::Error>(())
            })
        })
        .await
        .unwrap();
    poll(&there).await;
    let ended = token(&pools[1], now_ms);
    assert!(there.revoked().is_revoked(ended));
    assert!(!keys[0].current().is_loaded());
    assert_eq!(keys[1].current().keys().len(), 2);
    assert!(signing_key::jwks(&there, &pools[0]).await.is_err());
}

async fn old_rows_go(here: Harness) {
    let db = here.engine.db();
    let old = db.now_ms().await.unwrap() - KEPT_MS - 1;
    db.write_with(old, |tx, old| {
        Box::pin(async move {
            tx.execute(INSERT, args!["old", *old, "pool", "p", "", 0_i64, 0_i64])
                .await
        })
    })
    .await
    .unwrap();
    prune(&here.engine).await.unwrap();
    assert!(
        db.rows("SELECT id FROM changes", args![])
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_tasks_end_with_the_engine(here: Harness) {
    let weak = std::sync::Arc::downgrade(&here.engine.0);
    drop(here);
    // A poll under way holds the engine until it is done, never longer.
    for _ in 0..1000 {
        if weak.upgrade().is_none() {
            return;
        }
        tokio::task::yield_now().await;
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while weak.upgrade().is_some() {
        assert!(Instant::now() < deadline, "the engine is still there");
        tokio::task::yield_now().await;
    }
}

crate::harness::on_both_stores! {
    another_process_learns_of_settings,
    another_process_learns_of_keys,
    a_change_is_taken_in_once,
    a_row_that_commits_late_is_not_missed,
    a_process_starts_with_what_is_revoked,
    a_process_that_was_cut_off_for_long_starts_anew,
    a_pool_that_cannot_be_read_stops_only_itself,
    old_rows_go,
    the_tasks_end_with_the_engine,
}

#[tokio::test]
async fn a_store_that_is_gone_is_noticed() {
    let here = Harness::new().await;
    let file = here.file();
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    assert!(Feed::default().poll(&here.engine).await.is_err());
    let why = here.engine.trouble().unwrap();
    assert!(why.contains("was moved, deleted or replaced"), "{why}");
    let end = pool::create(&here.engine, "staff", document(json!({}))).await;
    assert!(end.is_err(), "it would be lost");

    std::fs::rename(&away, &file).unwrap();
    poll(&here.engine).await;
    assert_eq!(here.engine.trouble(), None);
    pool::create(&here.engine, "staff", document(json!({})))
        .await
        .unwrap();
}
