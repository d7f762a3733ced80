use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::{ALL_FLOWS, PASSWORD, World, document};
use super::{challenge, claims, not_authorized, parameters, refusal, tokens};
use crate::auth::{Door, Tokens, initiate, refresh};
use crate::client::{self, Client};
use crate::group::{self, Settings};
use crate::issue::verify_access;
use crate::{Refusal, user};

fn revoked() -> (Refusal, String) {
    not_authorized("Refresh Token has been revoked")
}

fn invalid() -> (Refusal, String) {
    not_authorized("Invalid Refresh Token")
}

#[tokio::test]
async fn a_refresh_keeps_the_sign_in_and_reads_the_rest_anew() {
    let world = World::open().await;
    let first = world.signed_in().await;
    let token = first.refresh_token.unwrap();
    group::create(&world.engine, &world.pool, "readers", Settings::default())
        .await
        .unwrap();
    group::add_user(&world.engine, &world.pool, "readers", "ada")
        .await
        .unwrap();
    world.advance(Duration::from_mins(90));
    for flow in ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"] {
        let again = tokens(
            world
                .initiate(flow, &parameters([("REFRESH_TOKEN", &token)]))
                .await,
        );
        assert!(again.refresh_token.is_none());
        let (old, new) = (claims(&first.access_token), claims(&again.access_token));
        for kept in [
            "auth_time",
            "event_id",
            "origin_jti",
            "sub",
            "username",
            "client_id",
            "scope",
        ] {
            assert_eq!(old[kept], new[kept], "{kept}");
        }
        assert_ne!(old["jti"], new["jti"]);
        assert_eq!(
            new["iat"].as_i64().unwrap() - old["iat"].as_i64().unwrap(),
            5400
        );
        assert_eq!(new["cognito:groups"], json!(["readers"]));
        assert_eq!(
            claims(&again.id_token)["cognito:groups"],
            json!(["readers"])
        );
    }
    let admin = world.through(&world.client, Door::Admin);
    tokens(
        initiate(
            admin,
            "REFRESH_TOKEN_AUTH",
            &parameters([("REFRESH_TOKEN", &token)]),
        )
        .await,
    );
    assert!(
        world
            .exchange(&token)
            .await
            .unwrap()
            .refresh_token
            .is_none()
    );
}

#[tokio::test]
async fn a_token_ends_to_the_millisecond() {
    let settings = json!({
        "ExplicitAuthFlows": ALL_FLOWS,
        "RefreshTokenValidity": 90,
        "TokenValidityUnits": {"RefreshToken": "minutes"},
    });
    let world = World::new(settings).await;
    let token = world.signed_in().await.refresh_token.unwrap();
    world.advance(Duration::from_mins(90) - Duration::from_millis(1));
    tokens(world.refresh(&token).await);
    world.advance(Duration::from_millis(1));
    assert_eq!(
        refusal(world.refresh(&token).await),
        not_authorized("Refresh Token has expired")
    );
}

#[tokio::test]
async fn tokens_of_others_and_no_tokens_are_invalid() {
    let world = World::open().await;
    let signed_in = world.signed_in().await;
    let token = signed_in.refresh_token.unwrap();
    let other = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let moved = refresh::by_secret(world.through(&other, Door::Public), &token, None).await;
    assert_eq!(refusal(moved), invalid());
    let mut flipped = token.clone();
    let last = flipped.pop().unwrap();
    flipped.push(if last == 'A' { 'B' } else { 'A' });
    for bad in [
        flipped.as_str(),
        "x",
        "a.b.c.d.e",
        &signed_in.access_token,
        &token[1..],
    ] {
        assert_eq!(refusal(world.refresh(bad).await), invalid(), "{bad}");
    }
    tokens(world.refresh(&token).await);
}

#[tokio::test]
async fn users_who_are_out_are_not_refreshed() {
    let world = World::open().await;
    let token = world.signed_in().await.refresh_token.unwrap();
    user::admin_disable(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), revoked());
    user::admin_enable(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), revoked());

    world.advance(Duration::from_millis(1));
    let token = world.signed_in().await.refresh_token.unwrap();
    user::admin_set_password(&world.engine, &world.pool, "ada", "Another-Horse-2", true)
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), revoked());

    world.advance(Duration::from_millis(1));
    let token = tokens(world.password("ada", "Another-Horse-2").await)
        .refresh_token
        .unwrap();
    user::admin_delete(&world.engine, &world.pool, "ada")
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), invalid());
}

#[tokio::test]
async fn a_sign_out_ends_all_that_was_before_it() {
    let world = World::open().await;
    let (first, second) = (world.signed_in().await, world.signed_in().await);
    let sub = claims(&first.access_token)["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    verify_access(&world.engine, &first.access_token)
        .await
        .unwrap();
    refresh::sign_out(&world.engine, world.pool.id(), &sub)
        .await
        .unwrap();
    for ended in [first, second] {
        assert_eq!(
            refusal(world.refresh(&ended.refresh_token.unwrap()).await),
            revoked()
        );
        let access = verify_access(&world.engine, &ended.access_token).await;
        assert_eq!(
            refusal(access),
            not_authorized("Access Token has been revoked")
        );
    }
    world.advance(Duration::from_millis(1));
    let later = world.signed_in().await;
    verify_access(&world.engine, &later.access_token)
        .await
        .unwrap();
    tokens(world.refresh(&later.refresh_token.unwrap()).await);
}

#[tokio::test]
async fn revoking_ends_one_sign_in() {
    let world = World::open().await;
    let (ended, other) = (world.signed_in().await, world.signed_in().await);
    let token = ended.refresh_token.unwrap();
    let refreshed = tokens(world.refresh(&token).await);
    refresh::revoke(&world.engine, &world.pool, &world.client, &token)
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), revoked());
    for access in [&ended.access_token, &refreshed.access_token] {
        let access = verify_access(&world.engine, access).await;
        assert_eq!(
            refusal(access),
            not_authorized("Access Token has been revoked")
        );
    }
    verify_access(&world.engine, &other.access_token)
        .await
        .unwrap();
    tokens(world.refresh(&other.refresh_token.unwrap()).await);
    // Again, and for tokens nobody gave out: no effect, no error.
    for token in [token.as_str(), "a.b.c.d.e", "x"] {
        refresh::revoke(&world.engine, &world.pool, &world.client, token)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn revoking_takes_a_refresh_token_of_the_client_that_may() {
    let world = World::open().await;
    let signed_in = world.signed_in().await;
    let token = signed_in.refresh_token.unwrap();
    for jws in [&signed_in.access_token, &signed_in.id_token] {
        let end = refresh::revoke(&world.engine, &world.pool, &world.client, jws).await;
        assert_eq!(refusal(end).0, Refusal::UnsupportedTokenType);
    }
    let other = world.client(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    refresh::revoke(&world.engine, &world.pool, &other, &token)
        .await
        .unwrap();
    let without = world.client(json!({"EnableTokenRevocation": false})).await;
    let end = refresh::revoke(&world.engine, &world.pool, &without, &token).await;
    assert_eq!(refusal(end).0, Refusal::UnsupportedOperation);
    tokens(world.refresh(&token).await);
}

/// Changes the password of whoever these tokens are.
async fn change_password(world: &World, kept: &Tokens) {
    let claims = claims(&kept.access_token);
    let change = user::ChangePassword {
        sub: claims["sub"].as_str().unwrap(),
        origin_jti: claims["origin_jti"].as_str(),
        previous: Some(PASSWORD),
        proposed: "Another-Horse-2",
    };
    user::change_password(&world.engine, &world.pool, change)
        .await
        .unwrap();
}

/// Tokens of a client's that do not name their sign-in.
async fn nameless(world: &World, client: &Arc<Client>) -> Tokens {
    let given = parameters([("USERNAME", "ada"), ("PASSWORD", PASSWORD)]);
    let through = world.through(client, Door::Public);
    tokens(initiate(through, "USER_PASSWORD_AUTH", &given).await)
}

#[tokio::test]
async fn a_changed_password_leaves_only_the_sign_in_that_changed_it() {
    let world = World::open().await;
    let (kept, ended) = (world.signed_in().await, world.signed_in().await);
    change_password(&world, &kept).await;
    assert_eq!(
        refusal(world.refresh(&ended.refresh_token.unwrap()).await),
        revoked()
    );
    tokens(world.refresh(&kept.refresh_token.unwrap()).await);
    verify_access(&world.engine, &kept.access_token)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_changed_password_ends_tokens_that_name_no_sign_in() {
    let world = World::open().await;
    let kept = world.signed_in().await;
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "EnableTokenRevocation": false});
    let other = world.client(settings).await;
    let ended = nameless(&world, &other).await;
    change_password(&world, &kept).await;
    // Nothing tells the caller's own access token from the other's, so it ends too; its refresh token goes on.
    for access in [&ended.access_token, &kept.access_token] {
        assert_eq!(
            refusal(verify_access(&world.engine, access).await),
            not_authorized("Access Token has been revoked")
        );
    }
    let gone = parameters([("REFRESH_TOKEN", ended.refresh_token.as_deref().unwrap())]);
    let through = world.through(&other, Door::Public);
    assert_eq!(
        refusal(initiate(through, "REFRESH_TOKEN_AUTH", &gone).await),
        revoked()
    );
    world.advance(Duration::from_millis(1));
    let again = tokens(world.refresh(&kept.refresh_token.unwrap()).await);
    verify_access(&world.engine, &again.access_token)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_changed_password_ends_tokens_of_before_they_named_their_sign_in() {
    let world = World::open().await;
    let kept = world.signed_in().await;
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "EnableTokenRevocation": false});
    let other = world.client(settings).await;
    let ended = nameless(&world, &other).await;
    world.advance(Duration::from_mins(1));
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "EnableTokenRevocation": true});
    let (engine, pool) = (&world.engine, &world.pool);
    client::update(engine, pool, other.id(), None, document(settings))
        .await
        .unwrap();
    change_password(&world, &kept).await;
    assert_eq!(
        refusal(verify_access(engine, &ended.access_token).await),
        not_authorized("Access Token has been revoked")
    );
}

#[tokio::test]
async fn a_new_temporary_password_ends_what_was_signed_in() {
    let world = World::open().await;
    let token = world.signed_in().await.refresh_token.unwrap();
    user::admin_set_password(&world.engine, &world.pool, "ada", "Temporary-2", false)
        .await
        .unwrap();
    assert_eq!(refusal(world.refresh(&token).await), revoked());
    challenge(world.password("ada", "Temporary-2").await);
}
