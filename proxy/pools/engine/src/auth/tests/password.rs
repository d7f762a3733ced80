use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::world::{ALL_FLOWS, PASSWORD, World};
use super::{
    challenge, claims, incorrect, invalid_parameter, not_authorized, parameters, refusal, tokens,
};
use crate::auth::attempt::Subject;
use crate::auth::conclude::conclude;
use crate::auth::{ChallengeKind, Door, SignInResult, initiate, refresh};
use crate::issue::verify_access;
use crate::{Error, Refusal};
use crate::{client, group, user};

#[tokio::test]
async fn the_right_password_gives_tokens_of_one_sign_in() {
    let world = World::open().await;
    let tokens = world.signed_in().await;
    let (access, id) = (claims(&tokens.access_token), claims(&tokens.id_token));
    assert_eq!(access["token_use"], "access");
    assert_eq!(access["username"], "ada");
    assert_eq!(access["client_id"], world.client.id());
    assert_eq!(access["scope"], "aws.cognito.signin.user.admin");
    assert_eq!(id["token_use"], "id");
    assert_eq!(id["aud"], world.client.id());
    assert_eq!(id["cognito:username"], "ada");
    for shared in ["sub", "auth_time", "origin_jti", "event_id", "iss"] {
        assert!(!access[shared].is_null(), "{shared}");
        assert_eq!(access[shared], id[shared], "{shared}");
    }
    assert_eq!(tokens.expires_in, 3600);
    assert_eq!(tokens.refresh_token.unwrap().split('.').count(), 5);
}

#[tokio::test]
async fn wrong_passwords_and_absent_users_are_told_apart_only_where_the_client_wants_it() {
    let world = World::open().await;
    for wrong in [
        "Correct-Horse-2",
        "correct-horse-1",
        "Correct-Horse-1 ",
        "Correct-Horse-1\0",
    ] {
        assert_eq!(
            refusal(world.password("ada", wrong).await),
            incorrect(),
            "{wrong:?}"
        );
    }
    assert_eq!(
        refusal(world.password("nobody", PASSWORD).await),
        incorrect()
    );
    let long = "A".repeat(1_000_000);
    assert_eq!(refusal(world.password("nobody", &long).await), incorrect());
    assert_eq!(
        refusal(world.password(&long, PASSWORD).await).0,
        Refusal::InvalidParameter
    );

    let legacy = world
        .client(json!({"ExplicitAuthFlows": ALL_FLOWS, "PreventUserExistenceErrors": "LEGACY"}))
        .await;
    let sign_in = world.through(&legacy, Door::Public);
    let absent = parameters([("USERNAME", "nobody"), ("PASSWORD", PASSWORD)]);
    let unknown = (Refusal::UserNotFound, "User does not exist.".to_owned());
    assert_eq!(
        refusal(initiate(sign_in, "USER_PASSWORD_AUTH", &absent).await),
        unknown
    );
    let admin = world.through(&legacy, Door::Admin);
    assert_eq!(
        refusal(initiate(admin, "ADMIN_USER_PASSWORD_AUTH", &absent).await),
        unknown
    );
}

#[tokio::test]
async fn operators_have_flows_of_their_own() {
    let world = World::open().await;
    let ada = parameters([("USERNAME", "ada"), ("PASSWORD", PASSWORD)]);
    let admin = world.through(&world.client, Door::Admin);
    for flow in ["ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"] {
        tokens(initiate(admin, flow, &ada).await);
        let public = initiate(world.sign_in(), flow, &ada).await;
        assert_eq!(
            refusal(public),
            invalid_parameter("Initiate Auth method not supported.")
        );
    }
    let other = initiate(admin, "USER_PASSWORD_AUTH", &ada).await;
    assert_eq!(
        refusal(other),
        invalid_parameter("Initiate Auth method not supported.")
    );
}

#[tokio::test]
async fn a_flow_must_be_enabled_for_the_client() {
    let world = World::new(json!({"ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH"]})).await;
    for (flow, door, message) in [
        (
            "USER_PASSWORD_AUTH",
            Door::Public,
            "USER_PASSWORD_AUTH flow not enabled for this client",
        ),
        (
            "USER_SRP_AUTH",
            Door::Public,
            "USER_SRP_AUTH is not enabled for the client.",
        ),
        (
            "USER_AUTH",
            Door::Public,
            "USER_AUTH flow not enabled for this client",
        ),
        (
            "ADMIN_USER_PASSWORD_AUTH",
            Door::Admin,
            "Auth flow not enabled for this client",
        ),
        (
            "REFRESH_TOKEN_AUTH",
            Door::Public,
            "Auth flow not enabled for this client",
        ),
        (
            "REFRESH_TOKEN",
            Door::Admin,
            "Auth flow not enabled for this client",
        ),
    ] {
        let answer = initiate(world.through(&world.client, door), flow, &parameters([])).await;
        assert_eq!(refusal(answer), invalid_parameter(message), "{flow}");
    }
    let custom = world
        .initiate("CUSTOM_AUTH", &parameters([("USERNAME", "ada")]))
        .await;
    assert!(matches!(custom, Err(Error::NotBuilt("CUSTOM_AUTH"))));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::open().await;
    for (flow, given, message) in [
        (
            "USER_PASSWORD_AUTH",
            "PASSWORD",
            "Missing required parameter USERNAME",
        ),
        (
            "USER_PASSWORD_AUTH",
            "USERNAME",
            "Missing required parameter PASSWORD",
        ),
        (
            "USER_SRP_AUTH",
            "USERNAME",
            "Missing required parameter SRP_A",
        ),
        (
            "REFRESH_TOKEN_AUTH",
            "USERNAME",
            "Missing required parameter REFRESH_TOKEN",
        ),
    ] {
        let answer = world.initiate(flow, &parameters([(given, "x")])).await;
        assert_eq!(refusal(answer), invalid_parameter(message));
    }
}

#[tokio::test]
async fn a_client_with_a_secret_proves_it() {
    let world = World::new(json!({"ExplicitAuthFlows": ALL_FLOWS, "GenerateSecret": true})).await;
    let id = world.client.id();
    let missing = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    assert_eq!(
        refusal(world.password("ada", PASSWORD).await),
        not_authorized(&missing)
    );

    let sign_in = |hash: String| {
        let given = parameters([
            ("USERNAME", "ada"),
            ("PASSWORD", PASSWORD),
            ("SECRET_HASH", &hash),
        ]);
        let world = &world;
        async move { world.initiate("USER_PASSWORD_AUTH", &given).await }
    };
    let wrong = format!("Unable to verify secret hash for client {id}");
    for hash in [
        secret_hash(&world, "eve"),
        "AAAA".to_owned(),
        "no base64".to_owned(),
    ] {
        assert_eq!(refusal(sign_in(hash).await), not_authorized(&wrong));
    }
    let first = tokens(sign_in(secret_hash(&world, "ada")).await);

    let sub = claims(&first.access_token)["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = first.refresh_token.unwrap();
    for name in ["ada", &sub] {
        let hash = secret_hash(&world, name);
        let given = parameters([("REFRESH_TOKEN", &token), ("SECRET_HASH", &hash)]);
        tokens(world.initiate("REFRESH_TOKEN_AUTH", &given).await);
    }
    let hash = secret_hash(&world, "eve");
    let given = parameters([("REFRESH_TOKEN", &token), ("SECRET_HASH", &hash)]);
    assert_eq!(
        refusal(world.initiate("REFRESH_TOKEN_AUTH", &given).await),
        not_authorized(&wrong)
    );
    assert_eq!(
        refusal(world.refresh(&token).await),
        not_authorized(&missing)
    );
}

#[tokio::test]
async fn what_needs_no_hash_is_refused_without_a_place_for_it() {
    let client = json!({"ExplicitAuthFlows": ALL_FLOWS, "GenerateSecret": true, "PreventUserExistenceErrors": "LEGACY"});
    let world = World::new(client).await;
    let _full = world.fill_queue().await;
    let attempt = |name: &'static str, hash: String| {
        let given = parameters([
            ("USERNAME", name),
            ("PASSWORD", PASSWORD),
            ("SECRET_HASH", &hash),
        ]);
        let world = &world;
        async move { refusal(world.initiate("USER_PASSWORD_AUTH", &given).await).0 }
    };
    let stranger = attempt("ada", "AAAA".to_owned()).await;
    assert_eq!(stranger, Refusal::NotAuthorized);
    // The place comes before the store: whether there is such a user is not even asked.
    for name in ["ada", "nobody"] {
        let refused = attempt(name, secret_hash(&world, name)).await;
        assert_eq!(refused, Refusal::TooManyRequests, "{name}");
    }
}

fn secret_hash(world: &World, name: &str) -> String {
    use aws_lc_rs::hmac;
    let secret = world.client.secrets().first().unwrap().expose();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    STANDARD.encode(hmac::sign(
        &key,
        format!("{name}{}", world.client.id()).as_bytes(),
    ))
}

#[tokio::test]
async fn users_who_may_not_sign_in_learn_why_only_with_the_right_password() {
    let world = World::open().await;
    user::admin_disable(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert_eq!(refusal(world.password("ada", "Wrong-1").await), incorrect());
    assert_eq!(
        refusal(world.password("ada", PASSWORD).await),
        not_authorized("User is disabled.")
    );

    user::sign_up(
        &world.engine,
        &world.pool,
        &world.client,
        "bob",
        PASSWORD,
        [].into(),
    )
    .await
    .unwrap();
    assert_eq!(refusal(world.password("bob", "Wrong-1").await), incorrect());
    let unconfirmed = (
        Refusal::UserNotConfirmed,
        "User is not confirmed.".to_owned(),
    );
    assert_eq!(refusal(world.password("bob", PASSWORD).await), unconfirmed);
}

#[tokio::test]
async fn a_reset_is_announced_as_the_client_wants_it() {
    let world = World::open().await;
    let ada = user::load(&world.engine, &world.pool, "ada")
        .await
        .unwrap()
        .unwrap();
    let now_ms = world.engine.now_ms();
    let db = world.engine.db().clone();
    db.write_with(ada, move |tx, ada| {
        Box::pin(user::set_status(
            tx,
            ada,
            user::Status::ResetRequired,
            now_ms,
        ))
    })
    .await
    .unwrap();
    let reset = (
        Refusal::PasswordResetRequired,
        "Password reset required for the user".to_owned(),
    );
    assert_eq!(refusal(world.password("ada", PASSWORD).await), reset);
    assert_eq!(refusal(world.password("ada", "Wrong-1").await), incorrect());

    let legacy = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let wrong = parameters([("USERNAME", "ada"), ("PASSWORD", "Wrong-1")]);
    let sign_in = world.through(&legacy, Door::Public);
    assert_eq!(
        refusal(initiate(sign_in, "USER_PASSWORD_AUTH", &wrong).await),
        reset
    );
}

#[tokio::test]
async fn a_temporary_password_expires_to_the_millisecond() {
    let world = World::open().await;
    world.invited("bob", "Temporary-1").await;
    world.advance(Duration::from_hours(7 * 24) - Duration::from_millis(1));
    let asked = challenge(world.password("bob", "Temporary-1").await);
    assert_eq!(asked.kind, ChallengeKind::NewPasswordRequired);
    world.advance(Duration::from_millis(1));
    let expired = "Temporary password has expired and must be reset by an administrator.";
    assert_eq!(
        refusal(world.password("bob", "Temporary-1").await),
        not_authorized(expired)
    );
}

#[tokio::test]
async fn a_pool_that_wants_a_second_factor_gives_no_tokens_for_the_first() {
    let pool = json!({"MfaConfiguration": "ON", "SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::0:role/x"}});
    let world = World::with_pool(pool, json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    assert!(matches!(
        world.password("ada", PASSWORD).await,
        Err(Error::NotBuilt("multi-factor authentication"))
    ));
    world.fail("ada", 1).await;
}

#[tokio::test]
async fn sign_ins_are_counted_by_their_end() {
    let world = World::open().await;
    world.signed_in().await;
    world.fail("ada", 2).await;
    world.invited("bob", "Temporary-1").await;
    challenge(world.password("bob", "Temporary-1").await);
    let half = parameters([("USERNAME", "ada"), ("SRP_A", "abc123")]);
    challenge(world.initiate("USER_SRP_AUTH", &half).await);
    let counted: Vec<_> = world
        .engine
        .sign_ins()
        .into_iter()
        .map(|counted| (counted.result, counted.count))
        .collect();
    assert_eq!(
        counted,
        [
            (SignInResult::Success, 1),
            (SignInResult::Challenge, 1),
            (SignInResult::Refused, 2)
        ]
    );
}

#[tokio::test]
async fn counts_of_deleted_clients_are_dropped() {
    let world = World::open().await;
    world.signed_in().await;
    let other = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let given = parameters([("USERNAME", "ada"), ("PASSWORD", PASSWORD)]);
    let through = world.through(&other, Door::Public);
    tokens(initiate(through, "USER_PASSWORD_AUTH", &given).await);
    let clients = || world.engine.sign_ins().into_iter().map(|one| one.client);
    assert_eq!(clients().count(), 2);
    client::delete(&world.engine, world.pool.id(), other.id())
        .await
        .unwrap();
    crate::auth::sweep(&world.engine).await.unwrap();
    assert_eq!(clients().collect::<Vec<_>>(), [world.client.id()]);
}

/// The password is hashed and the tokens are signed while others go on.
#[tokio::test]
async fn tokens_tell_the_groups_and_outlive_the_sign_out_that_came_while_the_password_was_hashed() {
    for world in [
        World::open().await,
        World::on_postgres(json!({"ExplicitAuthFlows": ALL_FLOWS})).await,
    ] {
        let sign_in = world.sign_in();
        let subject = Subject::named(sign_in, "ada").await.unwrap();
        let readers = group::Settings::default();
        group::create(&world.engine, &world.pool, "readers", readers)
            .await
            .unwrap();
        group::add_user(&world.engine, &world.pool, "readers", "ada")
            .await
            .unwrap();
        let sub = subject.sub().to_owned();
        refresh::sign_out(&world.engine, world.pool.id(), &sub)
            .await
            .unwrap();
        let signed = tokens(conclude(sign_in, subject, true, None).await);
        let access = claims(&signed.access_token);
        assert_eq!(access["cognito:groups"], json!(["readers"]));
        verify_access(&world.engine, &signed.access_token)
            .await
            .unwrap();
    }
}
