use std::sync::Arc;

use serde_json::json;

use super::fixture::{World, kind, refusal};
use crate::Refusal;
use crate::message::{Delivery, Medium};
use crate::user;

#[tokio::test]
async fn a_wrong_code_counts_and_the_fifth_kills_it() {
    let world = World::new().await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    let (code, wrong) = (world.code(), world.wrong_code());
    for _ in 0..5 {
        assert_eq!(
            refusal(world.confirm("ada", wrong).await),
            (
                Refusal::CodeMismatch,
                "Invalid verification code provided, please try again.".into()
            )
        );
    }
    assert_eq!(
        refusal(world.confirm("ada", &code).await),
        (
            Refusal::ExpiredCode,
            "Invalid code provided, please request a code again.".into()
        )
    );
    assert_eq!(world.status("ada").await, "UNCONFIRMED");
}

#[tokio::test]
async fn a_code_lives_a_day() {
    let world = World::new().await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    world.sign_up("bob", &[("email", "b@b.c")]).await.unwrap();
    let codes: Vec<String> = world
        .outbox()
        .iter()
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect();
    world.advance_minutes(24 * 60 - 1);
    world.confirm("ada", &codes[0]).await.unwrap();
    world.advance_minutes(1);
    assert_eq!(
        kind(world.confirm("bob", &codes[1]).await),
        Refusal::ExpiredCode
    );
}

#[tokio::test]
async fn fifteen_tries_an_hour_are_enough() {
    let world = World::new().await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    for round in 0..3 {
        if round > 0 {
            user::resend_code(&world.engine, &world.pool, &world.client, "ada")
                .await
                .unwrap();
        }
        let wrong = world.wrong_code();
        for _ in 0..5 {
            assert_eq!(
                kind(world.confirm("ada", wrong).await),
                Refusal::CodeMismatch
            );
        }
    }
    user::resend_code(&world.engine, &world.pool, &world.client, "ada")
        .await
        .unwrap();
    let code = world.code();
    assert_eq!(
        refusal(world.confirm("ada", &code).await),
        (
            Refusal::LimitExceeded,
            "Attempt limit exceeded, please try after some time.".into()
        )
    );
    world.advance_minutes(60);
    world.confirm("ada", &code).await.unwrap();
}

#[tokio::test]
async fn a_new_code_voids_the_old_and_five_an_hour_are_sent() {
    let world = World::new().await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    let first = world.code();
    for _ in 0..5 {
        let told = user::resend_code(&world.engine, &world.pool, &world.client, "ada")
            .await
            .unwrap();
        assert_eq!(
            told,
            Delivery {
                destination: "a***@b***".into(),
                medium: Medium::Email
            }
        );
    }
    assert_eq!(
        kind(user::resend_code(&world.engine, &world.pool, &world.client, "ada").await),
        Refusal::LimitExceeded
    );
    assert_eq!(world.outbox().len(), 6);
    assert_eq!(world.outbox().last().unwrap()["purpose"], "resend_code");
    let last = world.code();
    assert_ne!(first, last);
    assert_eq!(
        kind(world.confirm("ada", &first).await),
        Refusal::CodeMismatch
    );
    world.confirm("ada", &last).await.unwrap();
    world.advance_minutes(60);
    assert_eq!(
        refusal(user::resend_code(&world.engine, &world.pool, &world.client, "ada").await),
        (
            Refusal::InvalidParameter,
            "User is already confirmed.".into()
        )
    );
}

#[tokio::test]
async fn an_open_client_says_who_is_not_there() {
    let world = World::new().await;
    let expected = (
        Refusal::UserNotFound,
        "Username/client id combination not found.".to_owned(),
    );
    assert_eq!(refusal(world.confirm("nobody", "123456").await), expected);
    let resent = user::resend_code(&world.engine, &world.pool, &world.client, "nobody").await;
    assert_eq!(refusal(resent), expected);
}

#[tokio::test]
async fn a_discreet_client_does_not() {
    let pool = json!({"AutoVerifiedAttributes": ["email"]});
    let world = World::build(pool, json!({"PreventUserExistenceErrors": "ENABLED"}), true).await;
    world.user("ada", "ada@example.com").await;
    let sent = world.outbox().len();
    for name in ["nobody", "ada"] {
        let resend = || user::resend_code(&world.engine, &world.pool, &world.client, name);
        let told = resend().await.unwrap();
        assert_eq!(told, resend().await.unwrap(), "the same each time");
        assert_eq!(told.medium, Medium::Email);
        assert!(told.destination.len() == "x***@x***".len(), "{told:?}");
    }
    assert_eq!(world.outbox().len(), sent);
}

/// A pool whose client hides who exists, with `ada` confirmed and `bob` not; `bob`'s code.
async fn discreet(outbox: bool) -> (World, String) {
    let pool = json!({"AutoVerifiedAttributes": ["email"]});
    let client = json!({"PreventUserExistenceErrors": "ENABLED"});
    let world = World::build(pool, client, outbox).await;
    if !outbox {
        return (world, String::new());
    }
    world.user("ada", "ada@example.com").await;
    world.sign_up("bob", &[("email", "b@b.c")]).await.unwrap();
    let code = world.code();
    (world, code)
}

#[tokio::test]
async fn a_wrong_code_says_the_same_for_all_names_and_as_often() {
    let (world, code) = discreet(true).await;
    let wrong = world.wrong_code();
    // Of `ada`, one try is taken already: the right one.
    for (name, tries) in [("nobody", 15), ("ada", 14), ("bob", 15)] {
        for _ in 0..tries {
            assert_eq!(
                refusal(world.confirm(name, wrong).await),
                (
                    Refusal::CodeMismatch,
                    "Invalid verification code provided, please try again.".into()
                ),
                "{name}"
            );
        }
        assert_eq!(
            kind(world.confirm(name, wrong).await),
            Refusal::LimitExceeded,
            "{name}"
        );
    }
    world.advance_minutes(60);
    assert_eq!(
        kind(world.confirm("bob", &code).await),
        Refusal::CodeMismatch,
        "the fifth try killed it"
    );
    user::resend_code(&world.engine, &world.pool, &world.client, "bob")
        .await
        .unwrap();
    let code = world.code();
    world.confirm("bob", &code).await.unwrap();
    assert_eq!(world.status("bob").await, "CONFIRMED");
}

#[tokio::test]
async fn codes_are_resent_as_often_for_all_names() {
    let (world, _) = discreet(true).await;
    for name in ["nobody", "ada", "bob"] {
        let resend = || user::resend_code(&world.engine, &world.pool, &world.client, name);
        for _ in 0..5 {
            resend().await.unwrap();
        }
        assert_eq!(kind(resend().await), Refusal::LimitExceeded, "{name}");
    }
}

#[tokio::test]
async fn counts_of_made_up_names_are_swept() {
    let (world, _) = discreet(true).await;
    let wrong = world.wrong_code();
    for name in ["one", "two"] {
        assert_eq!(
            kind(world.confirm(name, wrong).await),
            Refusal::CodeMismatch
        );
    }
    let counted = async || {
        crate::auth::sweep(&world.engine).await.unwrap();
        let sql = "SELECT COUNT(*) AS many FROM name_allowances";
        let row = world.engine.db().row(sql, Vec::new()).await.unwrap();
        row.unwrap().int("many").unwrap()
    };
    assert_eq!(counted().await, 3);
    world.advance_minutes(60);
    assert_eq!(counted().await, 0);
}

#[tokio::test]
async fn a_failed_delivery_is_told_to_who_signs_up_and_hides_who_exists() {
    let (world, _) = discreet(true).await;
    world.break_outbox();
    let refused = world.sign_up("eve", &[("email", "e@b.c")]).await;
    assert_eq!(kind(refused), Refusal::CodeDeliveryFailure);
    assert_eq!(world.status("eve").await, "UNCONFIRMED", "the user stays");
    for name in ["eve", "nobody"] {
        user::resend_code(&world.engine, &world.pool, &world.client, name)
            .await
            .unwrap();
    }
    let open = World::new().await;
    open.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    open.break_outbox();
    let resent = user::resend_code(&open.engine, &open.pool, &open.client, "ada").await;
    assert_eq!(kind(resent), Refusal::CodeDeliveryFailure);
}

#[tokio::test]
async fn without_delivery_nobody_is_told_of_one() {
    let (world, _) = discreet(false).await;
    let refused = world.sign_up("eve", &[("email", "e@b.c")]).await;
    assert_eq!(kind(refused), Refusal::CodeDeliveryFailure);
    for name in ["eve", "nobody"] {
        let resent = user::resend_code(&world.engine, &world.pool, &world.client, name).await;
        assert_eq!(kind(resent), Refusal::CodeDeliveryFailure, "{name}");
    }
}

#[tokio::test]
async fn an_operator_confirms_without_a_code() {
    let world = World::new().await;
    world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
    user::admin_confirm_sign_up(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    let user = world.find("ada").await.unwrap();
    assert_eq!(
        (user.status.as_str(), user.attribute("email_verified")),
        ("CONFIRMED", Some("false"))
    );
    assert_eq!(
        refusal(user::admin_confirm_sign_up(&world.engine, &world.pool, "ada").await),
        (
            Refusal::NotAuthorized,
            "User cannot be confirmed. Current status is CONFIRMED".into()
        )
    );
    let absent = user::admin_confirm_sign_up(&world.engine, &world.pool, "nobody").await;
    assert_eq!(kind(absent), Refusal::UserNotFound);
}

#[tokio::test]
async fn guesses_at_once_are_counted_one_by_one() {
    let settings = json!({"AutoVerifiedAttributes": ["email"]});
    for world in [
        World::with(settings.clone()).await,
        World::postgres(settings).await,
    ] {
        let world = Arc::new(world);
        world.sign_up("ada", &[("email", "a@b.c")]).await.unwrap();
        let (code, wrong) = (world.code(), world.wrong_code());
        let guesses: Vec<_> = (0..12)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { kind(world.confirm("ada", wrong).await) })
            })
            .collect();
        let mut compared = 0;
        for guess in guesses {
            compared += usize::from(guess.await.unwrap() == Refusal::CodeMismatch);
        }
        assert_eq!(compared, 5);
        assert_eq!(
            kind(world.confirm("ada", &code).await),
            Refusal::ExpiredCode
        );
    }
}
