use serde_json::json;

use super::fixture::{World, given, kind, refusal};
use crate::message::{Delivery, Medium};
use crate::user::{self, Given};
use crate::{Refusal, Result};

async fn update(world: &World, sub: &str, attributes: Given) -> Result<Vec<Delivery>> {
    user::update(&world.engine, &world.pool, &world.client, sub, attributes).await
}

#[tokio::test]
async fn a_user_changes_attributes() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    world.advance_minutes(1);
    assert_eq!(
        update(&world, &sub, given(&[("name", "Ada"), ("locale", "en")]))
            .await
            .unwrap(),
        []
    );
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("name"), user.attribute("locale")),
        (Some("Ada"), Some("en"))
    );
    assert_eq!(
        (user.attribute("email"), user.is_verified("email")),
        (Some("a@b.c"), true)
    );
    assert_eq!(user.modified_ms, world.engine.now_ms());

    update(&world, &sub, given(&[("locale", "")]))
        .await
        .unwrap();
    assert_eq!(
        world.find("ada").await.unwrap().attribute("locale"),
        None,
        "an empty value takes it away"
    );
}

#[tokio::test]
async fn a_changed_address_is_unproved_and_gets_a_code() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    let told = update(&world, &sub, given(&[("email", "new@example.com")]))
        .await
        .unwrap();
    assert_eq!(
        told,
        [Delivery {
            destination: "n***@e***".into(),
            medium: Medium::Email
        }]
    );
    let message = world.outbox().pop().unwrap();
    assert_eq!(message["purpose"], "update_user_attribute");
    assert_eq!(message["destination"], "new@example.com");
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("email"), user.is_verified("email")),
        (Some("new@example.com"), false)
    );
    let sent = world.outbox().len();
    assert_eq!(
        update(&world, &sub, given(&[("email", "new@example.com")]))
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        world.outbox().len(),
        sent,
        "the same value again is no change"
    );
    // A number that the pool does not verify gets no code.
    assert_eq!(
        update(&world, &sub, given(&[("phone_number", "+12065550100")]))
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        world
            .find("ada")
            .await
            .unwrap()
            .attribute("phone_number_verified"),
        Some("false")
    );
}

#[tokio::test]
async fn the_old_address_stands_until_the_new_one_is_proved() {
    let world = World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    }))
    .await;
    let sub = world.user("ada", "old@example.com").await.sub;
    let told = update(
        &world,
        &sub,
        given(&[("email", "new@example.com"), ("name", "Ada")]),
    )
    .await
    .unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        world.outbox().pop().unwrap()["destination"],
        "new@example.com"
    );
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("email"), user.is_verified("email")),
        (Some("old@example.com"), true)
    );
    assert_eq!(user.attribute("name"), Some("Ada"));

    let proved = given(&[("email", "admin@example.com"), ("email_verified", "true")]);
    assert_eq!(
        user::admin_update(&world.engine, &world.pool, "ada", proved)
            .await
            .unwrap(),
        []
    );
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("email"), user.is_verified("email")),
        (Some("admin@example.com"), true)
    );
}

#[tokio::test]
async fn what_may_not_change_does_not() {
    let world = World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "Schema": [
            {"Name": "name", "Mutable": false, "Required": false},
            {"Name": "locale", "Mutable": true, "Required": true},
            {"Name": "team", "AttributeDataType": "String", "DeveloperOnlyAttribute": true, "Mutable": true},
        ],
    }))
    .await;
    let attributes = [("email", "a@b.c"), ("name", "Ada"), ("locale", "en")];
    let sub = world.sign_up("ada", &attributes).await.unwrap().sub;
    assert_eq!(
        refusal(update(&world, &sub, given(&[("name", "Eve")])).await),
        (
            Refusal::InvalidParameter,
            "user.name: Attribute cannot be updated.\n".into()
        )
    );
    for (attributes, expected) in [
        (given(&[("locale", "")]), Refusal::InvalidParameter),
        (given(&[("email", "nowhere")]), Refusal::InvalidParameter),
        (given(&[("none", "x")]), Refusal::InvalidParameter),
        (given(&[("email_verified", "true")]), Refusal::NotAuthorized),
        (given(&[("dev:custom:team", "x")]), Refusal::NotAuthorized),
        (given(&[("sub", "x")]), Refusal::NotAuthorized),
    ] {
        assert_eq!(
            kind(update(&world, &sub, attributes.clone()).await),
            expected,
            "{attributes:?}"
        );
    }
    let user = world.find("ada").await.unwrap();
    assert_eq!(user.attribute("name"), Some("Ada"));
    let absent = update(&world, "0f8fad5b-d9cb-469f-a165-70867728950e", given(&[])).await;
    assert_eq!(kind(absent), Refusal::UserNotFound);
}

#[tokio::test]
async fn an_operator_writes_everything() {
    let world = World::new().await;
    world.user("ada", "a@b.c").await;
    let change = given(&[
        ("email", "new@example.com"),
        ("email_verified", "true"),
        ("name", "Ada"),
    ]);
    assert_eq!(
        user::admin_update(&world.engine, &world.pool, "ada", change)
            .await
            .unwrap(),
        []
    );
    let user = world.find("ada").await.unwrap();
    assert!(user.is_verified("email"));
    user::admin_update(&world.engine, &world.pool, "ada", given(&[("email", "")]))
        .await
        .unwrap();
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("email"), user.attribute("email_verified")),
        (None, None)
    );
    let flag = user::admin_update(
        &world.engine,
        &world.pool,
        "ada",
        given(&[("email_verified", "true")]),
    )
    .await;
    assert_eq!(kind(flag), Refusal::InvalidParameter);
    let absent = user::admin_update(&world.engine, &world.pool, "nobody", given(&[])).await;
    assert_eq!(kind(absent), Refusal::UserNotFound);
}

#[tokio::test]
async fn a_changed_alias_follows() {
    let world =
        World::with(json!({"AutoVerifiedAttributes": ["email"], "AliasAttributes": ["email"]}))
            .await;
    let sub = world.user("ada", "a@b.c").await.sub;
    update(&world, &sub, given(&[("email", "new@b.c")]))
        .await
        .unwrap();
    assert!(world.find("a@b.c").await.is_none() && world.find("new@b.c").await.is_none());
    let proved = given(&[("email", "new@b.c"), ("email_verified", "true")]);
    user::admin_update(&world.engine, &world.pool, "ada", proved)
        .await
        .unwrap();
    assert_eq!(world.find("new@b.c").await.unwrap().sub, sub);
}

#[tokio::test]
async fn an_address_that_is_the_username_moves_with_it() {
    let world = World::with(json!({"UsernameAttributes": ["email"]})).await;
    let ada = world.sign_up("ada@b.c", &[]).await.unwrap().sub;
    world.sign_up("bob@b.c", &[]).await.unwrap();
    assert_eq!(
        kind(update(&world, &ada, given(&[("email", "bob@b.c")])).await),
        Refusal::AliasExists
    );
    assert_eq!(
        kind(update(&world, &ada, given(&[("email", "")])).await),
        Refusal::InvalidParameter
    );
    update(&world, &ada, given(&[("email", "new@b.c")]))
        .await
        .unwrap();
    assert_eq!(world.find("new@b.c").await.unwrap().sub, ada);
    assert!(world.find("ada@b.c").await.is_none());
}
