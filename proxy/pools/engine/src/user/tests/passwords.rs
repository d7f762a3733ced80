use serde_json::json;

use super::fixture::{PASSWORD, World, kind, refusal};
use crate::user::{self, ChangePassword};
use crate::{Refusal, Result, credential};

async fn verifies(world: &World, name: &str, password: &str) -> bool {
    let user = world.find(name).await.unwrap();
    let hash = user
        .password
        .as_ref()
        .map(|password| password.hash.as_str());
    credential::verify(&world.engine, user.owner(), hash, password)
        .await
        .unwrap()
}

async fn change(world: &World, sub: &str, previous: Option<&str>, proposed: &str) -> Result<()> {
    let change = ChangePassword {
        sub,
        origin_jti: None,
        previous,
        proposed,
    };
    user::change_password(&world.engine, &world.pool, change).await
}

#[tokio::test]
async fn an_operator_sets_a_password() {
    let world = World::new().await;
    world.sign_up("ada", &[]).await.unwrap();
    let set = |password, permanent| {
        user::admin_set_password(&world.engine, &world.pool, "ada", password, permanent)
    };
    set("Temp0rary!", false).await.unwrap();
    assert_eq!(world.status("ada").await, "FORCE_CHANGE_PASSWORD");
    let week_ms = 7 * 24 * 60 * 60 * 1000;
    let expires_ms = world
        .find("ada")
        .await
        .unwrap()
        .password
        .unwrap()
        .expires_ms;
    assert_eq!(expires_ms, Some(world.engine.now_ms() + week_ms));
    set("Perman3nt!", true).await.unwrap();
    assert_eq!(world.status("ada").await, "CONFIRMED");
    assert_eq!(
        world
            .find("ada")
            .await
            .unwrap()
            .password
            .unwrap()
            .expires_ms,
        None
    );
    assert!(
        verifies(&world, "ada", "Perman3nt!").await && !verifies(&world, "ada", PASSWORD).await
    );

    assert_eq!(kind(set("weak", true).await), Refusal::InvalidPassword);
    let absent =
        user::admin_set_password(&world.engine, &world.pool, "nobody", PASSWORD, true).await;
    assert_eq!(kind(absent), Refusal::UserNotFound);
}

#[tokio::test]
async fn the_owner_changes_it_with_the_old_one() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    for previous in [None, Some("Wr0ng!pass")] {
        assert_eq!(
            refusal(change(&world, &sub, previous, "N3w!password").await),
            (
                Refusal::NotAuthorized,
                "Incorrect username or password.".into()
            )
        );
    }
    assert_eq!(
        kind(change(&world, &sub, Some(PASSWORD), "weak").await),
        Refusal::InvalidPassword
    );
    change(&world, &sub, Some(PASSWORD), "N3w!password")
        .await
        .unwrap();
    assert!(verifies(&world, "ada", "N3w!password").await);
}

#[tokio::test]
async fn five_tries_an_hour_are_enough() {
    let world = World::new().await;
    let sub = world.user("ada", "a@b.c").await.sub;
    for _ in 0..5 {
        assert_eq!(
            kind(change(&world, &sub, Some("Wr0ng!pass"), "N3w!password").await),
            Refusal::NotAuthorized
        );
    }
    assert_eq!(
        refusal(change(&world, &sub, Some(PASSWORD), "N3w!password").await),
        (
            Refusal::LimitExceeded,
            "Attempt limit exceeded, please try after some time.".into()
        )
    );
    world.advance_minutes(60);
    change(&world, &sub, Some(PASSWORD), "N3w!password")
        .await
        .unwrap();
}

#[tokio::test]
async fn earlier_passwords_do_not_come_again() {
    let policy = json!({"MinimumLength": 8, "PasswordHistorySize": 2});
    let world = World::with(json!({"Policies": {"PasswordPolicy": policy}})).await;
    world.sign_up("ada", &[]).await.unwrap();
    let set = |password: &'static str| {
        user::admin_set_password(&world.engine, &world.pool, "ada", password, true)
    };
    let refused = Refusal::PasswordHistoryPolicyViolation;
    assert_eq!(kind(set(PASSWORD).await), refused, "the present one");
    set("second-one").await.unwrap();
    assert_eq!(kind(set(PASSWORD).await), refused, "the one before");
    set("third-one!").await.unwrap();
    assert_eq!(kind(set("second-one").await), refused);
    set(PASSWORD).await.unwrap();
}

#[tokio::test]
async fn secrets_at_rest_are_sealed() {
    let world = World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "Policies": {"PasswordPolicy": {"MinimumLength": 8, "PasswordHistorySize": 3}},
    }))
    .await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    let code = world.code();
    let row = world
        .engine
        .db()
        .row("SELECT code FROM codes", vec![])
        .await
        .unwrap()
        .unwrap();
    assert!(
        row.text("code").unwrap().starts_with("s1.") && !row.text("code").unwrap().contains(&code)
    );
    user::admin_set_password(&world.engine, &world.pool, "ada", "second-one", true)
        .await
        .unwrap();
    let row = world
        .engine
        .db()
        .row("SELECT * FROM users", vec![])
        .await
        .unwrap()
        .unwrap();
    for column in ["password_hash", "srp_verifier", "password_history"] {
        assert!(row.text(column).unwrap().starts_with("s1."), "{column}");
    }
}

#[tokio::test]
async fn temporary_passwords_meet_the_policy_and_differ() {
    let world = World::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let drawn = crate::user::password::generate(&world.engine, &world.pool);
        world.pool.password_policy().check(&drawn).unwrap();
        assert!(drawn.len() >= 16 && seen.insert(drawn.to_string()));
    }
}
