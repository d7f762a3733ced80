use std::sync::Arc;

use serde_json::json;

use super::fixture::{World, kind, refusal};
use crate::Refusal;
use crate::message::{Delivery, Medium};
use crate::user;

#[tokio::test]
async fn a_user_signs_up_and_confirms() {
    let world = World::new().await;
    let done = world
        .sign_up("Ada", &[("email", "ada@example.com"), ("name", "Ada L")])
        .await
        .unwrap();
    assert_eq!(
        done.delivery,
        Some(Delivery {
            destination: "a***@e***".into(),
            medium: Medium::Email
        })
    );
    let user = world.find("Ada").await.unwrap();
    assert_eq!(
        (user.sub.as_str(), user.status.as_str(), user.enabled),
        (done.sub.as_str(), "UNCONFIRMED", true)
    );
    assert_eq!(user.attribute("email_verified"), Some("false"));

    let code = world.code();
    world.confirm("Ada", &code).await.unwrap();
    let user = world.find("Ada").await.unwrap();
    assert_eq!(
        (user.status.as_str(), user.attribute("email_verified")),
        ("CONFIRMED", Some("true"))
    );
    assert_eq!(user.attribute("name"), Some("Ada L"));
    assert_eq!(
        refusal(world.confirm("Ada", &code).await),
        (
            Refusal::NotAuthorized,
            "User cannot be confirmed. Current status is CONFIRMED".into()
        )
    );
}

#[tokio::test]
async fn the_message_tells_all_once() {
    let world = World::new().await;
    let done = world
        .sign_up("ada", &[("email", "ada@example.com")])
        .await
        .unwrap();
    let outbox = world.outbox();
    let [message] = outbox.as_slice() else {
        panic!("{outbox:?}")
    };
    let code = message["code"].as_str().unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(
        *message,
        json!({
            "time": "2026-01-01T00:00:00Z", "user_pool": world.pool.id(), "username": "ada", "sub": done.sub,
            "purpose": "sign_up", "medium": "EMAIL", "destination": "ada@example.com", "code": code,
            "subject": "Your verification code", "body": format!("Your verification code is {code}. "),
        })
    );
}

#[tokio::test]
async fn without_a_verified_address_nothing_is_sent() {
    let world = World::with(json!({})).await;
    let done = world
        .sign_up("ada", &[("email", "ada@example.com")])
        .await
        .unwrap();
    assert_eq!(done.delivery, None);
    assert_eq!(world.outbox().len(), 0);
    assert_eq!(
        refusal(user::resend_code(&world.engine, &world.pool, &world.client, "ada").await),
        (
            Refusal::InvalidParameter,
            "Auto verification not turned on.".into()
        )
    );
}

#[tokio::test]
async fn the_phone_comes_before_the_mail() {
    let world = World::with(json!({"AutoVerifiedAttributes": ["email", "phone_number"]})).await;
    let done = world
        .sign_up(
            "ada",
            &[("email", "a@b.c"), ("phone_number", "+12065551234")],
        )
        .await
        .unwrap();
    assert_eq!(
        done.delivery,
        Some(Delivery {
            destination: "+*******1234".into(),
            medium: Medium::Sms
        })
    );
    let code = world.code();
    world.confirm("ada", &code).await.unwrap();
    let user = world.find("ada").await.unwrap();
    assert_eq!(user.attribute("phone_number_verified"), Some("true"));
    assert_eq!(user.attribute("email_verified"), Some("false"));
}

#[tokio::test]
async fn without_a_way_of_delivery_the_user_is_made_and_the_caller_told() {
    let world = World::build(
        json!({"AutoVerifiedAttributes": ["email"]}),
        json!({}),
        false,
    )
    .await;
    assert_eq!(
        kind(world.sign_up("ada", &[("email", "a@b.c")]).await),
        Refusal::CodeDeliveryFailure
    );
    assert_eq!(world.status("ada").await, "UNCONFIRMED");
}

#[tokio::test]
async fn names_are_taken_once() {
    let world = World::with(json!({"UsernameConfiguration": {"CaseSensitive": false}})).await;
    world.sign_up("Ada", &[]).await.unwrap();
    for name in ["Ada", "ada", "ＡＤＡ"] {
        assert_eq!(
            refusal(world.sign_up(name, &[]).await),
            (Refusal::UsernameExists, "User already exists".into())
        );
    }
    let world = World::with(json!({"UsernameConfiguration": {"CaseSensitive": true}})).await;
    world.sign_up("Ada", &[]).await.unwrap();
    world.sign_up("ada", &[]).await.unwrap();
    assert_eq!(
        kind(world.sign_up("Ａda", &[]).await),
        Refusal::UsernameExists
    );
}

#[tokio::test]
async fn parallel_sign_ups_of_one_name_yield_one_user() {
    let settings = json!({"AutoVerifiedAttributes": ["email"]});
    for world in [
        World::with(settings.clone()).await,
        World::postgres(settings).await,
    ] {
        sign_up_at_once(Arc::new(world)).await;
    }
}

async fn sign_up_at_once(world: Arc<World>) {
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                world
                    .sign_up("ada", &[("email", "a@b.c")])
                    .await
                    .map(|done| done.sub)
            })
        })
        .collect();
    let mut made = Vec::new();
    for one in tries {
        match one.await.unwrap() {
            Ok(sub) => made.push(sub),
            refused => assert_eq!(kind(refused), Refusal::UsernameExists),
        }
    }
    assert_eq!(made, [world.find("ada").await.unwrap().sub]);
    assert_eq!(world.outbox().len(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = World::with(json!({
        "AutoVerifiedAttributes": ["email"],
        "Schema": [{"Name": "name", "Required": true, "Mutable": true}],
    }))
    .await;
    let fine = ("name", "Ada");
    for (name, attributes, expected) in [
        ("a b", vec![fine], Refusal::InvalidParameter),
        ("ada", vec![], Refusal::InvalidParameter),
        (
            "ada",
            vec![fine, ("email", "nowhere")],
            Refusal::InvalidParameter,
        ),
        (
            "ada",
            vec![fine, ("email", "a@b\r\nBcc: c@d")],
            Refusal::InvalidParameter,
        ),
        (
            "ada",
            vec![fine, ("phone_number", "123")],
            Refusal::InvalidParameter,
        ),
        (
            "ada",
            vec![fine, ("custom:none", "x")],
            Refusal::InvalidParameter,
        ),
        (
            "ada",
            vec![fine, ("email", "a@b.c"), ("email_verified", "true")],
            Refusal::NotAuthorized,
        ),
        (
            "ada",
            vec![fine, ("sub", "0f8fad5b-d9cb-469f-a165-70867728950e")],
            Refusal::NotAuthorized,
        ),
    ] {
        let end = world.sign_up(name, &attributes).await;
        assert_eq!(kind(end), expected, "{name} {attributes:?}");
    }
    assert!(world.find("ada").await.is_none());
}

#[tokio::test]
async fn a_client_writes_only_what_it_may() {
    let pool = json!({"AutoVerifiedAttributes": ["email"]});
    let world = World::build(pool, json!({"WriteAttributes": ["email"]}), true).await;
    assert_eq!(
        refusal(
            world
                .sign_up("ada", &[("email", "a@b.c"), ("name", "Ada")])
                .await
        ),
        (
            Refusal::NotAuthorized,
            "A client attempted to write unauthorized attribute".into()
        )
    );
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
}

#[tokio::test]
async fn the_password_must_meet_the_policy() {
    let world = World::new().await;
    let end = user::sign_up(
        &world.engine,
        &world.pool,
        &world.client,
        "ada",
        "short",
        user::Given::new(),
    )
    .await;
    assert_eq!(kind(end), Refusal::InvalidPassword);
}

#[tokio::test]
async fn an_operators_pool_takes_no_sign_ups() {
    let world =
        World::with(json!({"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true}})).await;
    assert_eq!(
        kind(world.sign_up("ada", &[]).await),
        Refusal::NotAuthorized
    );
}

#[tokio::test]
async fn nobody_takes_anothers_sub_for_a_name() {
    let world = World::with(json!({"UsernameConfiguration": {"CaseSensitive": false}})).await;
    let sub = world.sign_up("ada", &[]).await.unwrap().sub;
    for name in [sub.clone(), sub.to_uppercase()] {
        assert_eq!(
            kind(world.sign_up(&name, &[]).await),
            Refusal::UsernameExists
        );
    }
    assert_eq!(world.find(&sub).await.unwrap().username, "ada");
    let free = "0f8fad5b-d9cb-469f-a165-70867728950e";
    world.sign_up(free, &[]).await.unwrap();
    assert_eq!(world.find(free).await.unwrap().username, free);
}

#[tokio::test]
async fn no_text_with_nul_reaches_the_store() {
    let world = World::new().await;
    assert!(world.find("a\0").await.is_none());
    assert_eq!(
        kind(world.sign_up("ada", &[("name", "a\0")]).await),
        Refusal::InvalidParameter
    );
}
