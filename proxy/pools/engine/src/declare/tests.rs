use serde_json::json;

use super::*;
use crate::client::Flow;
use crate::harness::Harness;

fn declared() -> serde_json::Value {
    json!({"declare": [{
        "id": "us-east-1_Staff0001",
        "auto_verified_attributes": ["email"],
        "clients": [{"id": "web", "flows": ["USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH"]}, {"id": "plain", "prevent_user_existence_errors": "LEGACY"}],
        "groups": ["readers"],
    }]})
}

async fn count(engine: &Engine, table: &str) -> i64 {
    let row = engine
        .db()
        .row(format!("SELECT COUNT(*) AS rows FROM {table}"), Vec::new())
        .await
        .unwrap();
    row.unwrap().int("rows").unwrap()
}

async fn what_is_declared_is_made_once(harness: Harness) {
    let (pool, web) = client::load(&harness.engine, "web").await.unwrap();
    assert_eq!(
        (pool.id(), pool.name()),
        ("us-east-1_Staff0001", "us-east-1_Staff0001")
    );
    assert!(pool.auto_verifies("email"));
    assert!(
        web.allows(Flow::UserSrp) && web.allows(Flow::UserPassword) && web.allows(Flow::Refresh)
    );
    assert!(!web.allows(Flow::AdminUserPassword) && !web.has_secret());
    let (_, plain) = client::load(&harness.engine, "plain").await.unwrap();
    assert!(plain.allows(Flow::UserSrp) && !plain.allows(Flow::UserPassword));
    assert!(web.hides_absent_users() && !plain.hides_absent_users());

    let again = harness.second().await;
    for (table, rows) in [
        ("pools", 1),
        ("clients", 2),
        ("groups", 1),
        ("signing_keys", 2),
    ] {
        assert_eq!(count(&again, table).await, rows, "{table}");
    }
}

async fn what_is_there_is_left_alone_and_what_is_new_is_added(harness: Harness) {
    let settings = crate::harness::document(json!({"UserPoolTags": {"a": "b"}}));
    pool::update(
        &harness.engine,
        "us-east-1_Staff0001",
        Some("mine".into()),
        settings,
    )
    .await
    .unwrap();
    let mut more = declared();
    more["declare"][0]["groups"] = json!(["readers", "writers"]);
    more["declare"][0]["name"] = json!("theirs");
    let again = harness.open_as(more).await.unwrap();
    let pool = pool::load(&again, "us-east-1_Staff0001").await.unwrap();
    assert_eq!(pool.name(), "mine");
    assert_eq!(count(&again, "groups").await, 2);
}

async fn two_processes_may_declare_at_once(harness: Harness) {
    let (one, two) = tokio::join!(harness.open_as(declared()), harness.open_as(declared()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(count(&one, "signing_keys").await, 2);
    let sets = [
        signing_key::jwks(&one, "us-east-1_Staff0001").await,
        signing_key::jwks(&two, "us-east-1_Staff0001").await,
    ];
    assert_eq!(sets[0].as_ref().unwrap(), sets[1].as_ref().unwrap());
}

async fn a_wrong_declaration_stops_the_start_with_its_place(harness: Harness) {
    let bad = json!({"declare": [{"id": "us-east-1_A"}, {"id": "us-east-1_B", "clients": [{"id": "w e b"}]}]});
    let error = harness.open_as(bad).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("pools.declare[1].clients[0].id: `w e b` is not"),
        "{error}"
    );
}

crate::harness::on_both_stores! {
    what_is_declared_is_made_once with declared,
    what_is_there_is_left_alone_and_what_is_new_is_added with declared,
    two_processes_may_declare_at_once,
    a_wrong_declaration_stops_the_start_with_its_place,
}
