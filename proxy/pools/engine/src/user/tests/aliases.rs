use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{World, given, kind, refusal};
use crate::Refusal;
use crate::user::{self, Invitation};

async fn with_aliases() -> World {
    World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "AliasAttributes": ["email", "preferred_username"],
        "UsernameConfiguration": {"CaseSensitive": false},
    }))
    .await
}

fn address_names() -> Value {
    json!({
        "AutoVerifiedAttributes": ["email"],
        "UsernameAttributes": ["email"],
        "UsernameConfiguration": {"CaseSensitive": false},
    })
}

#[tokio::test]
async fn only_a_proved_address_is_an_alias() {
    let world = with_aliases().await;
    let sub = world
        .sign_up("ada", &[("email", "Ada@Example.com")])
        .await
        .unwrap()
        .sub;
    assert!(world.find("ada@example.com").await.is_none());
    let code = world.code();
    world.confirm("ada", &code).await.unwrap();
    assert_eq!(world.find("ADA@example.com").await.unwrap().sub, sub);
    assert_eq!(world.find(&sub).await.unwrap().username, "ada", "by sub");
}

#[tokio::test]
async fn an_alias_that_is_taken_moves_only_by_force() {
    let world = with_aliases().await;
    world.user("ada", "a@b.c").await;
    world.sign_up("eve", &[("email", "a@b.c")]).await.unwrap();
    let code = world.code();
    assert_eq!(
        refusal(world.confirm("eve", &code).await),
        (
            Refusal::AliasExists,
            "An account with the email already exists.".into()
        )
    );
    assert_eq!(
        world.status("eve").await,
        "UNCONFIRMED",
        "nothing of the refused call stays"
    );
    user::confirm_sign_up(
        &world.engine,
        &world.pool,
        &world.client,
        "eve",
        &code,
        true,
    )
    .await
    .unwrap();
    assert_eq!(world.find("a@b.c").await.unwrap().username, "eve");
    assert_eq!(
        world.find("ada").await.unwrap().attribute("email_verified"),
        Some("false")
    );
}

#[tokio::test]
async fn a_username_never_looks_like_an_alias() {
    let world = with_aliases().await;
    assert_eq!(
        refusal(world.sign_up("a@b.c", &[]).await),
        (
            Refusal::InvalidParameter,
            "Username cannot be of email format, since user pool is configured for email alias."
                .into()
        )
    );
    let world = World::with(json!({"AliasAttributes": ["phone_number"]})).await;
    assert_eq!(
        kind(world.sign_up("+12065550100", &[]).await),
        Refusal::InvalidParameter
    );
    world.sign_up("a@b.c", &[]).await.unwrap();
}

#[tokio::test]
async fn a_preferred_username_is_nobody_elses_name() {
    let world = with_aliases().await;
    world
        .sign_up(
            "ada",
            &[("email", "a@b.c"), ("preferred_username", "Lovelace")],
        )
        .await
        .unwrap();
    assert!(
        world.find("lovelace").await.is_none(),
        "not before the user is confirmed"
    );
    let code = world.code();
    world.confirm("ada", &code).await.unwrap();
    assert_eq!(world.find("lovelace").await.unwrap().username, "ada");
    assert_eq!(
        kind(world.sign_up("LOVELACE", &[]).await),
        Refusal::UsernameExists
    );

    world.user("bob", "b@b.c").await;
    for taken in ["ada", "lovelace"] {
        let end = user::admin_update(
            &world.engine,
            &world.pool,
            "bob",
            given(&[("preferred_username", taken)]),
        )
        .await;
        assert_eq!(kind(end), Refusal::AliasExists, "{taken}");
    }
}

#[tokio::test]
async fn an_address_can_be_the_username() {
    let world = World::with(address_names()).await;
    let sub = world.sign_up("Ada@Example.com", &[]).await.unwrap().sub;
    let user = world.find("ada@example.COM").await.unwrap();
    assert_eq!(
        (user.username.as_str(), user.attribute("email")),
        (sub.as_str(), Some("Ada@Example.com"))
    );
    assert_eq!(
        world.outbox().last().unwrap()["username"],
        "Ada@Example.com"
    );
    let code = world.code();
    world.confirm("ada@example.com", &code).await.unwrap();
    assert_eq!(world.find(&sub).await.unwrap().sub, sub);

    assert_eq!(
        refusal(world.sign_up("ada@example.com", &[]).await),
        (
            Refusal::UsernameExists,
            "An account with the given email already exists.".into()
        )
    );
    assert_eq!(
        refusal(world.sign_up("ada", &[]).await),
        (
            Refusal::InvalidParameter,
            "Username should be an email.".into()
        )
    );
    let other = world
        .sign_up("eve@example.com", &[("email", "ada2@example.com")])
        .await;
    assert_eq!(kind(other), Refusal::InvalidParameter);
}

#[tokio::test]
async fn parallel_sign_ups_of_one_address_yield_one_user() {
    for world in [
        World::with(address_names()).await,
        World::postgres(address_names()).await,
    ] {
        sign_up_at_once(Arc::new(world)).await;
    }
}

async fn sign_up_at_once(world: Arc<World>) {
    let tries: Vec<_> = (0..6)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.sign_up("a@b.c", &[]).await.map(|done| done.sub) })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            refused => assert_eq!(kind(refused), Refusal::UsernameExists),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn an_operator_moves_an_alias_by_force_alone() {
    let world = with_aliases().await;
    world.user("ada", "a@b.c").await;
    let invite = |force| Invitation {
        username: "eve".into(),
        attributes: given(&[("email", "a@b.c"), ("email_verified", "true")]),
        force_alias: force,
        suppress: true,
        ..Invitation::default()
    };
    let end = user::admin_create(&world.engine, &world.pool, invite(false)).await;
    assert_eq!(kind(end), Refusal::AliasExists);
    assert!(world.find("eve").await.is_none());
    user::admin_create(&world.engine, &world.pool, invite(true))
        .await
        .unwrap();
    assert_eq!(world.find("a@b.c").await.unwrap().username, "eve");
}

#[tokio::test]
async fn a_password_from_an_operator_confirms_and_entitles() {
    let world = with_aliases().await;
    world
        .sign_up("ada", &[("preferred_username", "lovelace")])
        .await
        .unwrap();
    assert!(world.find("lovelace").await.is_none());
    user::admin_set_password(&world.engine, &world.pool, "ada", "An0ther!one", true)
        .await
        .unwrap();
    assert_eq!(world.find("lovelace").await.unwrap().username, "ada");
}
