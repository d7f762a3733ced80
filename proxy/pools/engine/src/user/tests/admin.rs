use serde_json::json;

use super::fixture::{World, given, kind, refusal};
use crate::Refusal;
use crate::message::Medium;
use crate::user::{self, Invitation};

fn invite(name: &str, attributes: &[(&str, &str)]) -> Invitation {
    Invitation {
        username: name.into(),
        attributes: given(attributes),
        ..Invitation::default()
    }
}

#[tokio::test]
async fn an_invited_user_gets_a_temporary_password() {
    let world = World::new().await;
    let attributes = [("email", "ada@example.com"), ("email_verified", "true")];
    let user = user::admin_create(&world.engine, &world.pool, invite("ada", &attributes))
        .await
        .unwrap();
    assert_eq!(
        (user.status.as_str(), user.enabled),
        ("FORCE_CHANGE_PASSWORD", true)
    );
    assert!(user.is_verified("email"));
    let week_ms = 7 * 24 * 60 * 60 * 1000;
    assert_eq!(
        user.password.unwrap().expires_ms,
        Some(world.engine.now_ms() + week_ms)
    );
    let message = world.outbox().pop().unwrap();
    let secret = message["code"].as_str().unwrap();
    world.pool.password_policy().check(secret).unwrap();
    assert_eq!(message["purpose"], "admin_create_user");
    assert_eq!(
        message["body"],
        format!("Your username is ada and temporary password is {secret}. ")
    );
    assert_eq!(message["subject"], "Your temporary password");
}

#[tokio::test]
async fn an_invitation_goes_where_it_is_asked_to() {
    let world = World::new().await;
    let attributes = [("email", "a@b.c"), ("phone_number", "+12065551234")];
    for (name, mediums, expected) in [
        ("a", vec![], vec!["SMS"]),
        ("b", vec![Medium::Email], vec!["EMAIL"]),
        ("c", vec![Medium::Email, Medium::Sms], vec!["EMAIL", "SMS"]),
    ] {
        let before = world.outbox().len();
        let invitation = Invitation {
            mediums,
            ..invite(name, &attributes)
        };
        user::admin_create(&world.engine, &world.pool, invitation)
            .await
            .unwrap();
        let outbox = world.outbox();
        let sent: Vec<_> = outbox[before..]
            .iter()
            .map(|one| one["medium"].as_str().unwrap())
            .collect();
        assert_eq!(sent, expected, "{name}");
    }
    let before = world.outbox().len();
    user::admin_create(&world.engine, &world.pool, invite("d", &[]))
        .await
        .unwrap();
    let quiet = Invitation {
        suppress: true,
        ..invite("e", &attributes)
    };
    user::admin_create(&world.engine, &world.pool, quiet)
        .await
        .unwrap();
    assert_eq!(
        world.outbox().len(),
        before,
        "nobody to tell, or told not to"
    );
}

#[tokio::test]
async fn an_invitation_is_sent_again_with_a_new_password_and_more_time() {
    let world = World::new().await;
    user::admin_create(
        &world.engine,
        &world.pool,
        invite("ada", &[("email", "a@b.c")]),
    )
    .await
    .unwrap();
    let first = world.code();
    world.advance_minutes(60);
    let user = user::admin_resend(&world.engine, &world.pool, invite("ada", &[]))
        .await
        .unwrap();
    assert_ne!(world.code(), first);
    let stored = world.find("ada").await.unwrap();
    let week_ms = 7 * 24 * 60 * 60 * 1000;
    assert_eq!(
        stored.password.unwrap().expires_ms,
        Some(world.engine.now_ms() + week_ms)
    );
    assert_eq!(user.modified_ms, stored.modified_ms);

    let absent = user::admin_resend(&world.engine, &world.pool, invite("nobody", &[])).await;
    assert_eq!(kind(absent), Refusal::UserNotFound);
    world.user("bob", "b@b.c").await;
    let confirmed = user::admin_resend(&world.engine, &world.pool, invite("bob", &[])).await;
    assert_eq!(kind(confirmed), Refusal::UnsupportedUserState);
}

#[tokio::test]
async fn an_invitation_that_does_not_fit_is_refused() {
    let world =
        World::with(json!({"Schema": [{"Name": "name", "Required": true, "Mutable": true}]})).await;
    user::admin_create(&world.engine, &world.pool, invite("ada", &[]))
        .await
        .unwrap();
    for (name, attributes, expected) in [
        ("ada", vec![], Refusal::UsernameExists),
        ("b\u{200f}ob", vec![], Refusal::InvalidParameter),
        (
            "bob",
            vec![("email_verified", "true")],
            Refusal::InvalidParameter,
        ),
        ("bob", vec![("custom:x", "1")], Refusal::InvalidParameter),
        ("bob", vec![("sub", "1")], Refusal::InvalidParameter),
    ] {
        let end = user::admin_create(&world.engine, &world.pool, invite(name, &attributes)).await;
        assert_eq!(kind(end), expected, "{name} {attributes:?}");
    }
    let weak = Invitation {
        password: Some("weak".to_owned().into()),
        ..invite("bob", &[])
    };
    assert_eq!(
        kind(user::admin_create(&world.engine, &world.pool, weak).await),
        Refusal::InvalidPassword
    );
}

#[tokio::test]
async fn a_disabled_user_is_enabled_again() {
    let world = World::new().await;
    let user = world.user("ada", "a@b.c").await;
    assert_eq!(revoked_ms(&world, &user.sub).await, None);
    user::admin_disable(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert!(!world.find("ada").await.unwrap().enabled);
    assert!(
        revoked_ms(&world, &user.sub).await.is_some(),
        "the user's tokens end"
    );
    user::admin_enable(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert!(world.find("ada").await.unwrap().enabled);
    for end in [
        user::admin_enable(&world.engine, &world.pool, "nobody").await,
        user::admin_disable(&world.engine, &world.pool, "nobody").await,
        user::admin_delete(&world.engine, &world.pool, "nobody").await,
    ] {
        assert_eq!(
            refusal(end),
            (Refusal::UserNotFound, "User does not exist.".into())
        );
    }
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing() {
    let world = World::new().await;
    let user = world.user("ada", "a@b.c").await;
    crate::group::create(
        &world.engine,
        &world.pool,
        "readers",
        crate::group::Settings::default(),
    )
    .await
    .unwrap();
    crate::group::add_user(&world.engine, &world.pool, "readers", "ada")
        .await
        .unwrap();
    user::admin_delete(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert!(world.find("ada").await.is_none());
    assert!(revoked_ms(&world, &user.sub).await.is_some());
    for table in ["aliases", "memberships", "codes", "allowances"] {
        let sql = format!("SELECT COUNT(*) AS size FROM {table} WHERE sub = $1");
        let left = world
            .engine
            .db()
            .row(sql, store::args![user.sub])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(left.int("size").unwrap(), 0, "{table}");
    }
    let again = world.user("ada", "a@b.c").await;
    assert_ne!(again.sub, user.sub);
    user::delete(&world.engine, &world.pool, &again.sub)
        .await
        .unwrap();
    assert!(world.find("ada").await.is_none());
    assert_eq!(
        kind(user::delete(&world.engine, &world.pool, &again.sub).await),
        Refusal::UserNotFound
    );
}

#[tokio::test]
async fn users_go_with_their_pool() {
    let world = World::new().await;
    let user = world.user("ada", "a@b.c").await;
    crate::pool::delete(&world.engine, world.pool.id())
        .await
        .unwrap();
    assert!(
        user::load_by_sub(&world.engine, world.pool.id(), &user.sub)
            .await
            .unwrap()
            .is_none()
    );
}

/// Until when the user's tokens are revoked.
async fn revoked_ms(world: &World, sub: &str) -> Option<i64> {
    let sql = "SELECT not_before_ms FROM revocations WHERE kind = 'user' AND subject = $1";
    let row = world.engine.db().row(sql, store::args![sub]).await.unwrap();
    row.map(|row| row.int("not_before_ms").unwrap())
}
