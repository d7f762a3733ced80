use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::world::{ALL_FLOWS, PASSWORD, World};
use super::{
    challenge, claims, exceeded, incorrect, invalid_parameter, not_authorized, parameters, refusal,
    tokens,
};
use crate::auth::{ChallengeKind, Door, Parameters, initiate, respond};
use crate::srp::Claim;
use crate::srp::tests::Client;
use crate::testing::SeededRng;
use crate::{Refusal, user};

/// The first half of an exchange, as a client has it.
struct Begun {
    client: Client,
    given: Parameters,
}

async fn begin(world: &World, name: &str) -> Begun {
    let client = Client::new(&SeededRng::new(77));
    let parameters = parameters([("USERNAME", name), ("SRP_A", &client.srp_a())]);
    let asked = challenge(world.initiate("USER_SRP_AUTH", &parameters).await);
    assert_eq!(asked.kind, ChallengeKind::PasswordVerifier);
    assert_eq!(asked.session, None);
    Begun {
        client,
        given: asked.parameters,
    }
}

impl Begun {
    /// `ChallengeResponses` of a client that believes in this password.
    fn answer(&self, world: &World, password: &str) -> Parameters {
        self.answer_at(world, password, &timestamp(world.engine.now_ms()))
    }

    fn answer_at(&self, world: &World, password: &str, timestamp: &str) -> Parameters {
        let user_id = &self.given["USER_ID_FOR_SRP"];
        let block = STANDARD.decode(&self.given["SECRET_BLOCK"]).unwrap();
        let claim = Claim {
            pool_name: world.pool.srp_name(),
            user_id,
            block: &block,
            timestamp,
        };
        let signature =
            self.client
                .sign(&claim, password, &self.given["SALT"], &self.given["SRP_B"]);
        parameters([
            ("USERNAME", user_id),
            ("PASSWORD_CLAIM_SECRET_BLOCK", &self.given["SECRET_BLOCK"]),
            ("PASSWORD_CLAIM_SIGNATURE", &signature),
            ("TIMESTAMP", timestamp),
        ])
    }
}

fn timestamp(ms: i64) -> String {
    let format = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:none] [hour]:[minute]:[second] UTC [year]"
    );
    OffsetDateTime::from_unix_timestamp(ms / 1000)
        .unwrap()
        .format(&format)
        .unwrap()
}

async fn verify(world: &World, responses: &Parameters) -> crate::Result<crate::auth::Answer> {
    world.respond("PASSWORD_VERIFIER", None, responses).await
}

#[tokio::test]
async fn a_full_queue_refuses_exchanges_too() {
    let world = World::open().await;
    let _full = world.fill_queue().await;
    let client = Client::new(&SeededRng::new(77));
    let parameters = parameters([("USERNAME", "ada"), ("SRP_A", &client.srp_a())]);
    let begun = world.initiate("USER_SRP_AUTH", &parameters).await;
    assert_eq!(refusal(begun).0, Refusal::TooManyRequests);
}

#[tokio::test]
async fn a_proved_password_gives_tokens_once() {
    let world = World::open().await;
    let begun = begin(&world, "ada").await;
    assert_eq!(begun.given["USERNAME"], "ada");
    assert_eq!(begun.given["USER_ID_FOR_SRP"], "ada");
    let answer = begun.answer(&world, PASSWORD);
    let signed_in = tokens(verify(&world, &answer).await);
    assert_eq!(claims(&signed_in.access_token)["username"], "ada");
    assert!(signed_in.refresh_token.is_some());
    let used = "Invalid session for the user, session can only be used once.";
    assert_eq!(refusal(verify(&world, &answer).await), not_authorized(used));
}

#[tokio::test]
async fn operators_use_it_too() {
    let world = World::open().await;
    let admin = world.through(&world.client, Door::Admin);
    let client = Client::new(&SeededRng::new(78));
    let given = parameters([("USERNAME", "ada"), ("SRP_A", &client.srp_a())]);
    let asked = challenge(initiate(admin, "USER_SRP_AUTH", &given).await);
    let begun = Begun {
        client,
        given: asked.parameters,
    };
    tokens(
        respond(
            admin,
            "PASSWORD_VERIFIER",
            None,
            &begun.answer(&world, PASSWORD),
        )
        .await,
    );
}

#[tokio::test]
async fn a_wrong_password_is_counted_with_all_others() {
    let world = World::open().await;
    world.fail("ada", 4).await;
    let begun = begin(&world, "ada").await;
    let answer = begun.answer(&world, "Wrong-1");
    assert_eq!(refusal(verify(&world, &answer).await), incorrect());
    // The wait is on: neither flow looks at the password.
    assert_eq!(refusal(world.password("ada", PASSWORD).await), exceeded());
    let right = begin(&world, "ada").await.answer(&world, PASSWORD);
    assert_eq!(refusal(verify(&world, &right).await), exceeded());
    world.advance(Duration::from_secs(1));
    tokens(verify(&world, &right).await);
    // A block is good for one guess.
    let used = "Invalid session for the user, session can only be used once.";
    assert_eq!(refusal(verify(&world, &answer).await), not_authorized(used));
}

#[tokio::test]
async fn public_values_that_give_the_key_away_are_refused() {
    let world = World::open().await;
    let n = include_str!("../../srp.rs")
        .split('"')
        .find(|text| text.starts_with("FFFFFFFFFFFFFFFFC90F"))
        .unwrap();
    let n: String = n.chars().filter(char::is_ascii_hexdigit).collect();
    assert_eq!(n.len(), 768);
    for a in [
        "0",
        "00",
        &n,
        &format!("0{n}"),
        "not hexadecimal",
        &"f".repeat(5000),
    ] {
        let given = parameters([("USERNAME", "ada"), ("SRP_A", a)]);
        assert_eq!(
            refusal(world.initiate("USER_SRP_AUTH", &given).await),
            invalid_parameter("Invalid SRP_A")
        );
    }
}

#[tokio::test]
async fn a_block_belongs_to_its_user_client_and_time() {
    let world = World::open().await;
    world.user("bob").await;
    let begun = begin(&world, "ada").await;
    let answer = begun.answer(&world, PASSWORD);
    let invalid = not_authorized("Invalid session for the user.");

    let mut moved = answer.clone();
    moved.insert("USERNAME".into(), "bob".into());
    assert_eq!(refusal(verify(&world, &moved).await), invalid);

    let other = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let elsewhere = respond(
        world.through(&other, Door::Public),
        "PASSWORD_VERIFIER",
        None,
        &answer,
    )
    .await;
    assert_eq!(refusal(elsewhere), invalid);

    let mut flipped = answer.clone();
    let block = flipped["PASSWORD_CLAIM_SECRET_BLOCK"].clone();
    for bad in [
        block.replacen('A', "B", 1),
        block[..block.len() - 4].to_owned(),
        "!".into(),
        "AAAA".into(),
    ] {
        flipped.insert("PASSWORD_CLAIM_SECRET_BLOCK".into(), bad);
        assert_eq!(refusal(verify(&world, &flipped).await), invalid);
    }

    // None of that used the block up, and it waits three minutes.
    world.advance(Duration::from_millis(3 * 60 * 1000 - 1));
    tokens(verify(&world, &answer).await);
    let late = begin(&world, "ada").await;
    world.advance(Duration::from_mins(3));
    let expired = not_authorized("Invalid session for the user, session is expired.");
    assert_eq!(
        refusal(verify(&world, &late.answer(&world, PASSWORD)).await),
        expired
    );
}

#[tokio::test]
async fn the_clients_clock_may_be_five_minutes_off() {
    let world = World::open().await;
    let now_ms = world.engine.now_ms() / 1000 * 1000;
    let second = 1000;
    let expired = not_authorized("Invalid session for the user, session is expired.");
    for far in [now_ms - 301 * second, now_ms + 302 * second] {
        let begun = begin(&world, "ada").await;
        let answer = begun.answer_at(&world, PASSWORD, &timestamp(far));
        assert_eq!(refusal(verify(&world, &answer).await), expired);
    }
    for near in [now_ms - 299 * second, now_ms + 300 * second] {
        let begun = begin(&world, "ada").await;
        tokens(verify(&world, &begun.answer_at(&world, PASSWORD, &timestamp(near))).await);
    }
    let begun = begin(&world, "ada").await;
    let answer = begun.answer_at(&world, PASSWORD, "2026-01-01T00:00:00Z");
    let message = "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.";
    assert_eq!(
        refusal(verify(&world, &answer).await),
        invalid_parameter(message)
    );
}

#[tokio::test]
async fn a_password_changed_in_between_does_not_count() {
    let world = World::open().await;
    let begun = begin(&world, "ada").await;
    user::admin_set_password(&world.engine, &world.pool, "ada", "Another-Horse-2", true)
        .await
        .unwrap();
    assert_eq!(
        refusal(verify(&world, &begun.answer(&world, PASSWORD)).await),
        incorrect()
    );
}

#[tokio::test]
async fn absent_users_look_like_others() {
    let world = World::open().await;
    let (first, again) = (begin(&world, "eve").await, begin(&world, "eve").await);
    for stable in ["USERNAME", "USER_ID_FOR_SRP", "SALT"] {
        assert_eq!(first.given[stable], again.given[stable], "{stable}");
    }
    assert_ne!(first.given["SRP_B"], again.given["SRP_B"]);
    assert_ne!(
        first.given["SALT"],
        begin(&world, "eva").await.given["SALT"]
    );

    let present = begin(&world, "ada").await;
    assert_eq!(
        present.given.keys().collect::<Vec<_>>(),
        first.given.keys().collect::<Vec<_>>()
    );
    assert_eq!(first.given["USER_ID_FOR_SRP"], "eve");
    for same_length in ["SALT", "SECRET_BLOCK"] {
        assert_eq!(
            present.given[same_length].len(),
            first.given[same_length].len(),
            "{same_length}"
        );
    }

    let answer = first.answer(&world, PASSWORD);
    assert_eq!(refusal(verify(&world, &answer).await), incorrect());
    let used = "Invalid session for the user, session can only be used once.";
    assert_eq!(refusal(verify(&world, &answer).await), not_authorized(used));
    world.fail("eve", 4).await;
    assert_eq!(
        refusal(verify(&world, &again.answer(&world, PASSWORD)).await),
        exceeded()
    );
}

#[tokio::test]
async fn where_addresses_are_usernames_absent_users_have_a_uuid() {
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "PreventUserExistenceErrors": "ENABLED"});
    let world = World::with_pool_and_user(
        json!({"UsernameAttributes": ["email"]}),
        settings,
        "ada@example.com",
    )
    .await;
    let present = begin(&world, "ada@example.com").await;
    let absent = begin(&world, "eve@example.com").await;
    for begun in [&present, &absent] {
        assert!(user::name::is_sub(&begun.given["USER_ID_FOR_SRP"]));
    }
    assert_eq!(
        present.given["SECRET_BLOCK"].len(),
        absent.given["SECRET_BLOCK"].len()
    );
    tokens(verify(&world, &present.answer(&world, PASSWORD)).await);
}

#[tokio::test]
async fn an_open_client_says_who_is_absent() {
    let world = World::new(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let client = Client::new(&SeededRng::new(79));
    let given = parameters([("USERNAME", "nobody"), ("SRP_A", &client.srp_a())]);
    let answer = world.initiate("USER_SRP_AUTH", &given).await;
    assert_eq!(
        refusal(answer),
        (Refusal::UserNotFound, "User does not exist.".to_owned())
    );
}
