use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::World;
use super::{claims, invalid_parameter, not_authorized, refusal};
use crate::Refusal;
use crate::auth::{Door, SignIn, Tokens, refresh};
use crate::issue::verify_access;

async fn rotating(grace_seconds: u64) -> World {
    World::new(settings(grace_seconds)).await
}

/// A client that rotates.
pub(super) fn settings(grace_seconds: u64) -> Value {
    json!({
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
        "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": grace_seconds},
        "RefreshTokenValidity": 120,
        "TokenValidityUnits": {"RefreshToken": "minutes"},
    })
}

fn reused() -> Refusal {
    Refusal::RefreshTokenReuse
}

async fn turn(world: &World, token: &str) -> Tokens {
    world.exchange(token).await.unwrap()
}

#[tokio::test]
async fn each_use_gives_a_successor_with_the_same_end() {
    let world = rotating(0).await;
    let signed_in = world.signed_in().await;
    let first = signed_in.refresh_token.clone().unwrap();
    let flow = refusal(world.refresh(&first).await);
    assert_eq!(
        flow,
        invalid_parameter("Auth flow not enabled for this client")
    );

    world.advance(Duration::from_hours(1));
    let second = turn(&world, &first).await;
    let token = second.refresh_token.unwrap();
    assert_ne!(token, first);
    assert_eq!(token.split('.').count(), 5);
    for kept in ["origin_jti", "auth_time", "event_id"] {
        assert_eq!(
            claims(&second.access_token)[kept],
            claims(&signed_in.access_token)[kept],
            "{kept}"
        );
    }
    world.advance(Duration::from_hours(1) - Duration::from_millis(1));
    let third = turn(&world, &token).await.refresh_token.unwrap();
    world.advance(Duration::from_millis(1));
    assert_eq!(
        refusal(world.exchange(&third).await),
        not_authorized("Refresh Token has expired")
    );
}

#[tokio::test]
async fn a_use_after_the_grace_time_ends_the_family() {
    let world = rotating(10).await;
    let other = world.signed_in().await;
    let first = world.signed_in().await.refresh_token.unwrap();
    let second = turn(&world, &first).await.refresh_token.unwrap();
    world.advance(Duration::from_millis(9_999));
    // A retry gets what the first use got.
    assert_eq!(turn(&world, &first).await.refresh_token.unwrap(), second);
    let third = turn(&world, &second).await;
    world.advance(Duration::from_millis(1));
    assert_eq!(refusal(world.exchange(&first).await).0, reused());

    let revoked = not_authorized("Refresh Token has been revoked");
    for ended in [&first, &second, third.refresh_token.as_ref().unwrap()] {
        assert_eq!(refusal(world.exchange(ended).await), revoked);
    }
    let access = verify_access(&world.engine, &third.access_token).await;
    assert_eq!(
        refusal(access),
        not_authorized("Access Token has been revoked")
    );
    turn(&world, &other.refresh_token.unwrap()).await;
}

#[tokio::test]
async fn without_grace_the_second_use_ends_the_family() {
    let world = rotating(0).await;
    let first = world.signed_in().await.refresh_token.unwrap();
    let second = turn(&world, &first).await.refresh_token.unwrap();
    assert_eq!(refusal(world.exchange(&first).await).0, reused());
    assert_eq!(
        refusal(world.exchange(&second).await),
        not_authorized("Refresh Token has been revoked")
    );
}

#[tokio::test]
async fn fifty_uses_at_once_leave_one_member() {
    for grace_seconds in [60, 0] {
        use_at_once(&rotating(grace_seconds).await, grace_seconds).await;
    }
}

/// Fifty uses of one token at the same time: with grace all get the one successor, without it the family ends.
pub(super) async fn use_at_once(world: &World, grace_seconds: u64) {
    let first = world.signed_in().await.refresh_token.unwrap();
    let spend = |_| {
        let (engine, pool, client) = (
            world.engine.clone(),
            world.pool.clone(),
            world.client.clone(),
        );
        let token = first.clone();
        tokio::spawn(async move {
            let sign_in = SignIn {
                engine: &engine,
                pool: &pool,
                client: &client,
                door: Door::Public,
            };
            refresh::by_secret(sign_in, &token, None).await
        })
    };
    let uses: Vec<_> = (0..50).map(spend).collect();
    let mut given = Vec::new();
    for one in uses {
        match one.await.unwrap() {
            Ok(tokens) => given.push(tokens.refresh_token.unwrap()),
            answer => {
                let (kind, _) = refusal(answer);
                assert!([reused(), Refusal::NotAuthorized].contains(&kind));
            }
        }
    }
    let least = if grace_seconds > 0 { 50 } else { 1 };
    assert!(given.len() >= least, "{} of {least}", given.len());
    let members: BTreeSet<_> = given.iter().collect();
    assert_eq!(members.len(), 1);
    let alive = world.exchange(members.first().unwrap()).await.is_ok();
    assert_eq!(alive, grace_seconds > 0);
}
