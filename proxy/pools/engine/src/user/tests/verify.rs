use serde_json::json;

use super::fixture::{World, given, kind, refusal};
use crate::message::{Delivery, Medium};
use crate::{Refusal, Result, user};

async fn verify(world: &World, sub: &str, code: &str) -> Result<()> {
    user::verify_attribute(&world.engine, &world.pool, sub, "email", code).await
}

async fn send(world: &World, sub: &str) -> Result<Delivery> {
    user::send_attribute_code(&world.engine, &world.pool, sub, "email").await
}

async fn rename(world: &World, sub: &str, email: &str) {
    let change = given(&[("email", email)]);
    user::update(&world.engine, &world.pool, &world.client, sub, change)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_changed_address_is_proved_by_its_code() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    rename(&world, &sub, "new@b.c").await;
    let code = world.code();
    assert_eq!(
        kind(verify(&world, &sub, world.wrong_code()).await),
        Refusal::CodeMismatch
    );
    verify(&world, &sub, &code).await.unwrap();
    assert!(world.find("ada").await.unwrap().is_verified("email"));
    assert_eq!(
        kind(verify(&world, &sub, &code).await),
        Refusal::ExpiredCode,
        "a code is good once"
    );
}

#[tokio::test]
async fn an_address_that_waited_comes_into_force() {
    let world = World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    }))
    .await;
    let sub = world.user("ada", "old@b.c").await.sub;
    rename(&world, &sub, "new@b.c").await;
    let told = send(&world, &sub).await.unwrap();
    assert_eq!(
        told,
        Delivery {
            destination: "n***@b***".into(),
            medium: Medium::Email
        }
    );
    assert_eq!(
        world.outbox().pop().unwrap()["purpose"],
        "verify_user_attribute"
    );
    let code = world.code();
    verify(&world, &sub, &code).await.unwrap();
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.attribute("email"), user.is_verified("email")),
        (Some("new@b.c"), true)
    );
}

#[tokio::test]
async fn a_code_proves_only_the_address_it_went_to() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    rename(&world, &sub, "first@b.c").await;
    let first = world.code();
    let change = given(&[("email", "second@b.c")]);
    user::admin_update(&world.engine, &world.pool, "ada", change)
        .await
        .unwrap();
    let second = world.code();
    assert_ne!(first, second);
    assert_eq!(
        kind(verify(&world, &sub, &first).await),
        Refusal::CodeMismatch
    );
    let proved = given(&[("email", "third@b.c"), ("email_verified", "true")]);
    user::admin_update(&world.engine, &world.pool, "ada", proved)
        .await
        .unwrap();
    assert_eq!(
        kind(verify(&world, &sub, &second).await),
        Refusal::ExpiredCode
    );
    assert_eq!(
        world.find("ada").await.unwrap().attribute("email"),
        Some("third@b.c")
    );
}

#[tokio::test]
async fn who_proves_an_alias_last_holds_it() {
    let world =
        World::with(json!({"AutoVerifiedAttributes": ["email"], "AliasAttributes": ["email"]}))
            .await;
    world.user("ada", "a@b.c").await;
    let eve = world.user("eve", "e@b.c").await.sub;
    rename(&world, &eve, "a@b.c").await;
    assert_eq!(
        world.find("a@b.c").await.unwrap().username,
        "ada",
        "not before it is proved"
    );
    let code = world.code();
    verify(&world, &eve, &code).await.unwrap();
    assert_eq!(world.find("a@b.c").await.unwrap().username, "eve");
}

#[tokio::test]
async fn codes_and_tries_are_bounded() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    for _ in 0..5 {
        send(&world, &sub).await.unwrap();
    }
    assert_eq!(kind(send(&world, &sub).await), Refusal::LimitExceeded);
    let wrong = world.wrong_code();
    for _ in 0..5 {
        assert_eq!(
            kind(verify(&world, &sub, wrong).await),
            Refusal::CodeMismatch
        );
    }
    for _ in 0..10 {
        assert_eq!(
            kind(verify(&world, &sub, wrong).await),
            Refusal::ExpiredCode
        );
    }
    assert_eq!(
        kind(verify(&world, &sub, wrong).await),
        Refusal::LimitExceeded
    );
}

#[tokio::test]
async fn only_addresses_are_proved() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    let name = user::send_attribute_code(&world.engine, &world.pool, &sub, "name").await;
    assert_eq!(kind(name), Refusal::InvalidParameter);
    let phone = user::send_attribute_code(&world.engine, &world.pool, &sub, "phone_number").await;
    assert_eq!(
        refusal(phone),
        (
            Refusal::InvalidParameter,
            "User does not have phone_number.".into()
        )
    );
}
