//! Revocation on nodes whose clocks differ, and beside sign-ins that run at the same time.

use std::sync::{Arc, atomic::Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::world::{ALL_FLOWS, PASSWORD, World};
use super::{claims, not_authorized, parameters, refusal, tokens};
use crate::auth::attempt::Subject;
use crate::auth::refresh::Family;
use crate::auth::{Door, SignIn, Tokens, conclude, initiate, refresh};
use crate::change::Feed;
use crate::issue::verify_access;
use crate::{Engine, revocation};

#[tokio::test]
async fn a_node_whose_clock_is_off_signs_in_and_out_in_order() {
    in_order(World::open().await).await;
}

#[tokio::test]
async fn a_node_whose_clock_is_off_signs_in_and_out_in_order_on_postgres() {
    in_order(World::on_postgres(json!({"ExplicitAuthFlows": ALL_FLOWS})).await).await;
}

/// Whichever of the two clocks is ahead.
async fn in_order(world: World) {
    for off_ms in [600_000, -600_000] {
        let there = world.beside(off_ms).await;
        let (here, there) = (&world.engine, &there);
        // Tokens from the future are refused whatever was revoked.
        let ahead = if off_ms > 0 { there } else { here };
        for (signs_in, signs_out) in [(here, there), (there, here)] {
            let first = sign_in(&world, signs_in).await;
            let sub = claims(&first.access_token)["sub"].clone();
            let sub = sub.as_str().unwrap();
            let refreshed = renew(&world, signs_in, &first).await;
            refresh::sign_out(signs_out, world.pool.id(), sub)
                .await
                .unwrap();
            Feed::default().poll(ahead).await.unwrap();
            for ended in [&first, &refreshed] {
                assert_eq!(
                    refusal(verify_access(ahead, &ended.access_token).await),
                    not_authorized("Access Token has been revoked"),
                    "{off_ms}"
                );
            }
            let next = sign_in(&world, signs_in).await;
            let refreshed = renew(&world, signs_in, &next).await;
            for live in [&next, &refreshed] {
                verify_access(ahead, &live.access_token).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_is_made_while_a_sign_out_is_under_way_ends_with_it() {
    let world = World::open().await;
    let first = world.signed_in().await;
    let sub = claims(&first.access_token)["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let (revoked, commit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gates = (Arc::clone(&revoked), Arc::clone(&commit));
    let input = (world.pool.id().to_owned(), sub, gates);
    let db = world.engine.db().clone();
    let sign_out = tokio::spawn(async move {
        db.write_with(input, |tx, (pool_id, sub, (revoked, commit))| {
            Box::pin(async move {
                let done = revocation::revoke_user(tx, pool_id, sub).await;
                revoked.notify_one();
                commit.notified().await;
                done
            })
        })
        .await
    });
    revoked.notified().await;
    // The sign-out has its time and is not committed: a refresh does not see it yet.
    let refreshed = renew(&world, &world.engine, &first).await;
    commit.notify_one();
    world.engine.note_revoked(&sign_out.await.unwrap().unwrap());
    assert_eq!(
        refusal(verify_access(&world.engine, &refreshed.access_token).await),
        not_authorized("Access Token has been revoked")
    );
}

#[tokio::test]
async fn tokens_of_a_node_that_is_a_little_ahead_are_good_at_once() {
    let world = World::open().await;
    for (ahead_ms, good) in [(5_000, true), (6_000, false)] {
        let there = world.beside(ahead_ms).await;
        let fresh = sign_in(&world, &there).await;
        let proof = verify_access(&world.engine, &fresh.access_token).await;
        assert_eq!(proof.is_ok(), good, "{ahead_ms}");
    }
}

#[tokio::test]
async fn tokens_end_on_time_whatever_clocks_may_differ_by() {
    let world = World::open().await;
    let fresh = world.signed_in().await;
    world.advance(Duration::from_secs(3599));
    verify_access(&world.engine, &fresh.access_token)
        .await
        .unwrap();
    world.advance(Duration::from_secs(1));
    assert_eq!(
        refusal(verify_access(&world.engine, &fresh.access_token).await),
        not_authorized("Access Token has expired")
    );
}

/// A process may stand still between reading and signing, and be told first how late it is.
#[tokio::test]
async fn a_sign_in_that_stood_still_ends_with_a_sign_out_it_did_not_see() {
    let world = World::open().await;
    let subject = Subject::named(world.sign_in(), "ada").await.unwrap();
    let sub = subject.sub().to_owned();
    let made = Family::begin(
        world.sign_in(),
        subject.user.as_ref().unwrap(),
        world.engine.now_ms(),
    );
    stand_still(&world, &sub).await;
    let ahead = conclude::sign_ahead(world.sign_in(), Some(&made), &subject).await;
    is_revoked(&world, &ahead.unwrap()).await;
}

#[tokio::test]
async fn a_refresh_that_stood_still_ends_with_a_sign_out_it_did_not_see() {
    let world = World::open().await;
    let first = world.signed_in().await;
    let token = first.refresh_token.unwrap();
    let sub = claims(&first.access_token)["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let owned = refresh::Owned::load(world.sign_in(), &token).await.unwrap();
    stand_still(&world, &sub).await;
    let refreshed = owned.exchange(world.sign_in(), &token).await.unwrap();
    is_revoked(&world, &refreshed).await;
}

/// Others sign the user out meanwhile, and time passes.
async fn stand_still(world: &World, sub: &str) {
    refresh::sign_out(&world.engine, world.pool.id(), sub)
        .await
        .unwrap();
    let hour_later = world.engine.polled_ms() + 3_600_000;
    world
        .engine
        .0
        .polled_ms
        .store(hour_later, Ordering::Relaxed);
}

async fn is_revoked(world: &World, tokens: &Tokens) {
    assert_eq!(
        refusal(verify_access(&world.engine, &tokens.access_token).await),
        not_authorized("Access Token has been revoked")
    );
}

fn on<'a>(world: &'a World, engine: &'a Engine) -> SignIn<'a> {
    SignIn {
        engine,
        ..world.through(&world.client, Door::Public)
    }
}

async fn sign_in(world: &World, engine: &Engine) -> Tokens {
    let given = parameters([("USERNAME", "ada"), ("PASSWORD", PASSWORD)]);
    tokens(initiate(on(world, engine), "USER_PASSWORD_AUTH", &given).await)
}

async fn renew(world: &World, engine: &Engine, tokens_of: &Tokens) -> Tokens {
    let token = tokens_of.refresh_token.as_deref().unwrap();
    let given = parameters([("REFRESH_TOKEN", token)]);
    tokens(initiate(on(world, engine), "REFRESH_TOKEN_AUTH", &given).await)
}
