use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::harness::{Harness, document};
use crate::pool;

async fn kids(engine: &Engine, pool_id: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(&jwks(engine, pool_id).await.unwrap()).unwrap();
    document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// The `kid`s that sign now, ID tokens first.
async fn signing(engine: &Engine, pool_id: &str) -> [String; 2] {
    let ring = engine.rings().load(engine, pool_id).await.unwrap();
    Kind::BOTH.map(|kind| {
        let token = ring
            .current(kind, engine.now_ms())
            .unwrap()
            .sign(&json!({}))
            .unwrap();
        let header = BASE64_URL.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    })
}

async fn a_pool_has_two_keys_in_awss_form(harness: Harness) {
    let pool = pool::create(&harness.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let text = jwks(&harness.engine, pool.id()).await.unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let members: Vec<_> = key.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(
            (&key["alg"], &key["e"], &key["kty"], &key["use"]),
            (
                &json!("RS256"),
                &json!("AQAB"),
                &json!("RSA"),
                &json!("sig")
            )
        );
        assert_eq!(
            BASE64.decode(key["kid"].as_str().unwrap()).unwrap().len(),
            32
        );
        assert_eq!(
            BASE64_URL.decode(key["n"].as_str().unwrap()).unwrap().len(),
            256
        );
    }
    let [id, access] = signing(&harness.engine, pool.id()).await;
    assert_ne!(id, access);
}

async fn a_successor_is_published_before_it_signs_and_the_old_key_after(harness: Harness) {
    let engine = &harness.engine;
    let pool = pool::create(engine, "staff", document(json!({})))
        .await
        .unwrap();
    let before = signing(engine, pool.id()).await;
    let new = rotate(engine, pool.id(), engine.now_ms() + 600_000)
        .await
        .unwrap();
    assert_eq!(signing(engine, pool.id()).await, before);
    assert_eq!(kids(engine, pool.id()).await.len(), 4);

    harness.clock.advance(Duration::from_mins(10));
    assert_eq!(signing(engine, pool.id()).await.to_vec(), new);

    harness.clock.advance(Duration::from_hours(25));
    maintain(engine).await.unwrap();
    assert_eq!(
        kids(engine, pool.id()).await.len(),
        4,
        "a token of the old key may still be alive"
    );
    harness.clock.advance(Duration::from_millis(1));
    maintain(engine).await.unwrap();
    let mut left = kids(engine, pool.id()).await;
    left.sort();
    let mut new = new;
    new.sort();
    assert_eq!(left, new);
}

#[tokio::test]
async fn the_schedule_publishes_a_day_ahead() {
    let harness =
        Harness::with(json!({"signing_keys": {"rotation_days": 10, "publish_ahead_hours": 24}}))
            .await;
    let engine = &harness.engine;
    let pool = pool::create(engine, "staff", document(json!({})))
        .await
        .unwrap();
    let before = signing(engine, pool.id()).await;

    harness
        .clock
        .advance(Duration::from_hours(9 * 24) - Duration::from_millis(1));
    maintain(engine).await.unwrap();
    assert_eq!(kids(engine, pool.id()).await.len(), 2);
    harness.clock.advance(Duration::from_millis(1));
    for _ in 0..2 {
        maintain(engine).await.unwrap();
        assert_eq!(kids(engine, pool.id()).await.len(), 4);
    }
    assert_eq!(signing(engine, pool.id()).await, before);
    harness.clock.advance(Duration::from_hours(24));
    assert_ne!(signing(engine, pool.id()).await, before);
}

async fn two_processes_make_one_successor(harness: Harness) {
    let other = harness.second().await;
    let pool = pool::create(&harness.engine, "staff", document(json!({})))
        .await
        .unwrap();
    harness.clock.advance(Duration::from_hours(24));
    let (one, two) = tokio::join!(maintain(&harness.engine), maintain(&other));
    one.unwrap();
    two.unwrap();
    for engine in [&harness.engine, &other] {
        engine.rings().reload(engine, pool.id()).await.unwrap();
        assert_eq!(kids(engine, pool.id()).await.len(), 4);
    }
}

#[tokio::test]
async fn keys_that_are_long_overdue_are_still_published_ahead() {
    let harness =
        Harness::with(json!({"signing_keys": {"rotation_days": 1, "publish_ahead_hours": 2}}))
            .await;
    let engine = &harness.engine;
    let pool = pool::create(engine, "staff", document(json!({})))
        .await
        .unwrap();
    let before = signing(engine, pool.id()).await;
    harness.clock.advance(Duration::from_hours(100));
    maintain(engine).await.unwrap();
    assert_eq!(signing(engine, pool.id()).await, before);
    harness.clock.advance(Duration::from_hours(2));
    assert_ne!(signing(engine, pool.id()).await, before);
}

async fn the_gate_sees_keys_of_a_pool_that_comes_later(harness: Harness) {
    let engine = &harness.engine;
    let keys = engine.pool_keys("eu-west-1_Later1");
    assert!(!keys.current().is_loaded());
    assert!(keys.fetch_unknown(Some("k")).await.keys().is_empty());

    let other = harness
        .open_as(json!({"declare": [{"id": "eu-west-1_Later1"}]}))
        .await
        .unwrap();
    let kid = kids(&other, "eu-west-1_Later1").await.remove(0);
    engine
        .rings()
        .reload(engine, "eu-west-1_Later1")
        .await
        .unwrap();
    assert!(
        keys.current()
            .keys()
            .iter()
            .any(|key| key.kid() == Some(&kid))
    );
}

async fn the_gate_does_not_keep_an_engine_open(harness: Harness) {
    let pool = pool::create(&harness.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let keys = harness.engine.pool_keys(pool.id());
    let weak = std::sync::Arc::downgrade(&harness.engine.0);
    drop(harness);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while weak.upgrade().is_some() {
        assert!(
            std::time::Instant::now() < deadline,
            "the engine is still there"
        );
        tokio::task::yield_now().await;
    }
    keys.fetch_unknown(Some("k")).await;
}

async fn private_keys_are_sealed(harness: Harness) {
    let pool = pool::create(&harness.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let rows = harness
        .engine
        .db()
        .rows("SELECT * FROM signing_keys", args_none())
        .await
        .unwrap();
    for row in rows {
        let sealed = row.text("sealed").unwrap();
        assert!(sealed.starts_with("s1."));
        let place = seal::place("signing_keys", "sealed", &[pool.id(), "another"]);
        assert!(harness.engine.sealer().open(&place, &sealed).is_err());
    }
}

fn args_none() -> Vec<::store::Value> {
    Vec::new()
}

async fn made_up_pools_take_no_memory(harness: Harness) {
    let engine = &harness.engine;
    let error = jwks(engine, "us-east-1_Nobody").await.unwrap_err();
    assert_eq!(error.refusal(), Some(crate::Refusal::ResourceNotFound));
    assert!(!engine.rings().knows("us-east-1_Nobody"));
}

async fn deleted_pools_take_no_memory_unless_a_verifier_waits(harness: Harness) {
    let engine = &harness.engine;
    let mut ids = Vec::new();
    for name in ["gone", "awaited", "kept"] {
        let pool = pool::create(engine, name, document(json!({})));
        ids.push(pool.await.unwrap().id().to_owned());
        jwks(engine, &ids[ids.len() - 1]).await.unwrap();
    }
    let keys = engine.pool_keys(&ids[1]);
    for id in &ids[..2] {
        pool::delete(engine, id).await.unwrap();
        engine
            .learn(crate::change::Change::Pool(id.clone()))
            .await
            .unwrap();
    }
    maintain(engine).await.unwrap();
    let known = ids.iter().map(|id| engine.rings().knows(id));
    assert_eq!(known.collect::<Vec<_>>(), [false, true, true]);
    assert!(keys.current().keys().is_empty());
}

async fn rotating_an_absent_pool_is_refused(harness: Harness) {
    let error = rotate(&harness.engine, "us-east-1_Nobody", 0)
        .await
        .unwrap_err();
    assert_eq!(error.refusal(), Some(crate::Refusal::ResourceNotFound));
}

fn daily() -> Value {
    json!({"signing_keys": {"rotation_days": 1}})
}

fn in_europe() -> Value {
    json!({"region": "eu-west-1"})
}

crate::harness::on_both_stores! {
    a_pool_has_two_keys_in_awss_form,
    a_successor_is_published_before_it_signs_and_the_old_key_after,
    two_processes_make_one_successor with daily,
    the_gate_sees_keys_of_a_pool_that_comes_later with in_europe,
    the_gate_does_not_keep_an_engine_open,
    private_keys_are_sealed,
    made_up_pools_take_no_memory,
    deleted_pools_take_no_memory_unless_a_verifier_waits,
    rotating_an_absent_pool_is_refused,
}
