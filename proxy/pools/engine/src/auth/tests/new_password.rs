use std::time::Duration;

use serde_json::{Value, json};

use super::world::{ALL_FLOWS, World};
use super::{challenge, claims, invalid_parameter, not_authorized, parameters, refusal, tokens};
use crate::auth::{Challenge, ChallengeKind, Door, Parameters, respond};
use crate::user::{self, Status};
use crate::{Error, Refusal};

const TEMPORARY: &str = "Temporary-1";
const CHOSEN: &str = "Chosen-Horse-2";

async fn asked(world: &World) -> Challenge {
    let asked = challenge(world.password("bob", TEMPORARY).await);
    assert_eq!(asked.kind, ChallengeKind::NewPasswordRequired);
    asked
}

fn chosen(password: &str) -> Parameters {
    parameters([("USERNAME", "bob"), ("NEW_PASSWORD", password)])
}

async fn answer(
    world: &World,
    asked: &Challenge,
    responses: &Parameters,
) -> crate::Result<crate::auth::Answer> {
    world
        .respond("NEW_PASSWORD_REQUIRED", asked.session.as_deref(), responses)
        .await
}

#[tokio::test]
async fn a_chosen_password_confirms_and_signs_in() {
    let world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    assert_eq!(asked.parameters["USER_ID_FOR_SRP"], "bob");
    assert_eq!(asked.parameters["requiredAttributes"], "[]");
    assert_eq!(asked.parameters["userAttributes"], "{}");
    let session = asked.session.clone().unwrap();
    assert!((20..=2048).contains(&session.len()), "{}", session.len());

    let signed_in = tokens(answer(&world, &asked, &chosen(CHOSEN)).await);
    assert_eq!(claims(&signed_in.id_token)["cognito:username"], "bob");
    assert!(signed_in.refresh_token.is_some());
    let bob = user::load(&world.engine, &world.pool, "bob")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bob.status, Status::Confirmed);
    tokens(world.password("bob", CHOSEN).await);
    world.fail("bob", 1).await;

    let used = "Invalid session for the user, session can only be used once.";
    let again = answer(&world, &asked, &chosen("Third-Horse-3")).await;
    assert_eq!(refusal(again), not_authorized(used));
}

#[tokio::test]
async fn two_answers_at_once_count_once() {
    let world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    let (first, second) = (chosen(CHOSEN), chosen("Third-Horse-3"));
    let (first, second) = tokio::join!(
        answer(&world, &asked, &first),
        answer(&world, &asked, &second)
    );
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
}

#[tokio::test]
async fn a_refused_password_leaves_the_session_good() {
    let world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    let short = answer(&world, &asked, &chosen("Short-1")).await;
    let message = "Password did not conform with policy: Password not long enough".to_owned();
    assert_eq!(refusal(short), (Refusal::InvalidPassword, message));
    tokens(answer(&world, &asked, &chosen(CHOSEN)).await);
}

#[tokio::test]
async fn a_session_belongs_to_its_user_client_challenge_and_time() {
    let world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    let invalid = not_authorized("Invalid session for the user.");

    let ada = parameters([("USERNAME", "ada"), ("NEW_PASSWORD", CHOSEN)]);
    assert_eq!(refusal(answer(&world, &asked, &ada).await), invalid);
    let other = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let sign_in = world.through(&other, Door::Public);
    let moved = respond(
        sign_in,
        "NEW_PASSWORD_REQUIRED",
        asked.session.as_deref(),
        &chosen(CHOSEN),
    )
    .await;
    assert_eq!(refusal(moved), invalid);
    let session = asked.session.clone().unwrap();
    for bad in [
        session.replacen('A', "B", 1),
        session[..session.len() - 1].to_owned(),
        "x".repeat(40),
    ] {
        let answer = world
            .respond("NEW_PASSWORD_REQUIRED", Some(&bad), &chosen(CHOSEN))
            .await;
        assert_eq!(refusal(answer), invalid);
    }
    for name in [
        "SMS_MFA",
        "SOFTWARE_TOKEN_MFA",
        "CUSTOM_CHALLENGE",
        "ADMIN_NO_SRP_AUTH",
    ] {
        let answer = world
            .respond(name, asked.session.as_deref(), &chosen(CHOSEN))
            .await;
        assert_eq!(refusal(answer), invalid, "{name}");
    }
    let missing = world
        .respond("NEW_PASSWORD_REQUIRED", None, &chosen(CHOSEN))
        .await;
    assert_eq!(
        refusal(missing),
        invalid_parameter("Missing required parameter Session")
    );

    world.advance(Duration::from_mins(3));
    let expired = "Invalid session for the user, session is expired.";
    assert_eq!(
        refusal(answer(&world, &asked, &chosen(CHOSEN)).await),
        not_authorized(expired)
    );
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_client_says() {
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "AuthSessionValidity": 15});
    let world = World::new(settings).await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    world.advance(Duration::from_mins(15) - Duration::from_millis(1));
    tokens(answer(&world, &asked, &chosen(CHOSEN)).await);
}

#[tokio::test]
async fn a_session_ends_with_the_password_it_rests_on() {
    let world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    user::admin_set_password(&world.engine, &world.pool, "bob", "Temporary-2", false)
        .await
        .unwrap();
    assert_eq!(
        refusal(answer(&world, &asked, &chosen(CHOSEN)).await),
        not_authorized("Invalid session for the user.")
    );
    user::admin_disable(&world.engine, &world.pool, "bob")
        .await
        .unwrap();
    assert_eq!(
        refusal(answer(&world, &asked, &chosen(CHOSEN)).await),
        not_authorized("User is disabled.")
    );
}

#[tokio::test]
async fn a_second_factor_asked_for_meanwhile_is_not_skipped() {
    let mut world = World::open().await;
    world.invited("bob", TEMPORARY).await;
    let asked = asked(&world).await;
    let settings = json!({"MfaConfiguration": "ON", "SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::0:role/x"}});
    world.update_pool(settings).await;
    let answer = answer(&world, &asked, &chosen(CHOSEN)).await;
    assert!(matches!(answer, Err(Error::NotBuilt(_))));
}

#[tokio::test]
async fn required_attributes_are_given_and_others_kept() {
    let schema = json!({"Schema": [
        {"Name": "email", "Required": true, "Mutable": true},
        {"Name": "name", "Required": true, "Mutable": true},
        {"Name": "given_name", "Required": true, "Mutable": true},
    ]});
    let world = World::with_pool(schema, json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let invitation = user::Invitation {
        username: "bob".into(),
        password: Some(TEMPORARY.to_owned().into()),
        attributes: [("email".to_owned(), "bob@example.com".to_owned())].into(),
        suppress: true,
        ..user::Invitation::default()
    };
    user::admin_create(&world.engine, &world.pool, invitation)
        .await
        .unwrap();
    let asked = asked(&world).await;
    let required: Value = serde_json::from_str(&asked.parameters["requiredAttributes"]).unwrap();
    let mut required: Vec<_> = required
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    required.sort_unstable();
    assert_eq!(
        required,
        ["userAttributes.given_name", "userAttributes.name"]
    );
    let has: Value = serde_json::from_str(&asked.parameters["userAttributes"]).unwrap();
    assert_eq!(has["email"], "bob@example.com");

    let with = |extra: &[(&str, &str)]| {
        let mut responses = chosen(CHOSEN);
        responses.extend(
            extra
                .iter()
                .map(|(name, value)| (format!("userAttributes.{name}"), (*value).to_owned())),
        );
        responses
    };
    let missing = refusal(answer(&world, &asked, &with(&[("given_name", "Bob")])).await);
    assert_eq!(
        missing,
        invalid_parameter("Invalid attributes given, name is missing")
    );
    let both = refusal(answer(&world, &asked, &chosen(CHOSEN)).await);
    assert_eq!(both.0, Refusal::InvalidParameter);
    assert!(
        both.1.ends_with("are missing") && both.1.contains(" and "),
        "{}",
        both.1
    );
    let complete = [("given_name", "Bob"), ("name", "Bob B")];
    let altered = with(&[complete[0], complete[1], ("email", "eve@example.com")]);
    let message = "Cannot modify an already provided email";
    assert_eq!(
        refusal(answer(&world, &asked, &altered).await),
        not_authorized(message)
    );

    let same = with(&[complete[0], complete[1], ("email", "bob@example.com")]);
    let signed_in = tokens(answer(&world, &asked, &same).await);
    assert_eq!(claims(&signed_in.id_token)["given_name"], "Bob");
    let bob = user::load(&world.engine, &world.pool, "bob")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bob.attribute("name"), Some("Bob B"));
}
