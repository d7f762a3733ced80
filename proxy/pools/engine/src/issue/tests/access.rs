//! What proves that a user calls, and what does not.

use std::time::Duration;

use serde_json::json;

use super::{World, part};
use crate::issue::{IssueInput, tokens, verify_access};
use crate::{client, pool, revocation};

#[tokio::test]
async fn a_live_access_token_proves_its_user() {
    let world = World::new(json!({})).await;
    world.store_user().await;
    let signed = world.issue(&[]).await;
    let proved = verify_access(&world.harness.engine, &signed.access_token)
        .await
        .unwrap();
    assert_eq!(
        (proved.user.username.as_str(), proved.client.id()),
        ("ada", world.client.id())
    );
    assert_eq!(proved.origin_jti.as_deref(), Some("origin"));

    assert_eq!(
        world.refusal(&signed.id_token).await,
        "Invalid Access Token"
    );
    for hostile in [
        "",
        "a",
        "a.b.c",
        &format!("{}x", signed.access_token),
        &"A".repeat(100_000),
    ] {
        assert_eq!(world.refusal(hostile).await, "Invalid Access Token");
    }
    world.harness.clock.advance(Duration::from_hours(1));
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "Access Token has expired"
    );
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let world = World::new(json!({})).await;
    world.store_user().await;
    let signed = world.issue(&[]).await;
    let aws = world
        .harness
        .open_as(json!({"issuer": "aws"}))
        .await
        .unwrap();
    let error = verify_access(&aws, &signed.access_token).await.unwrap_err();
    assert_eq!(error.to_string(), "Invalid Access Token");
    let region = world.pool.id().split_once('_').unwrap().0;
    assert_eq!(
        aws.issuer(world.pool.id()),
        format!(
            "https://cognito-idp.{region}.amazonaws.com/{}",
            world.pool.id()
        )
    );
}

#[tokio::test]
async fn a_revoked_token_proves_nothing() {
    let world = World::new(json!({})).await;
    world.store_user().await;
    let signed = world.issue(&[]).await;
    let (pool_id, sub) = (world.pool.id().to_owned(), world.user.sub.clone());
    let revoked = world
        .harness
        .engine
        .db()
        .write_with((pool_id, sub), |tx, (pool_id, sub)| {
            Box::pin(revocation::revoke_user(tx, pool_id, sub))
        })
        .await
        .unwrap();
    world.harness.engine.note_revoked(&revoked);
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "Access Token has been revoked"
    );
    // The next sign-in is in the same second, so `iat` alone would not tell them apart.
    let again = world.issue(&[]).await;
    assert_eq!(
        part(&again.access_token, 1)["iat"],
        part(&signed.access_token, 1)["iat"]
    );
    verify_access(&world.harness.engine, &again.access_token)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_token_speaks_for_must_be_there() {
    let world = World::new(json!({})).await;
    let signed = world.issue(&[]).await;
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "User does not exist."
    );
    world.store_user().await;
    client::delete(&world.harness.engine, world.pool.id(), world.client.id())
        .await
        .unwrap();
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "Access Token has been revoked"
    );
    pool::delete(&world.harness.engine, world.pool.id())
        .await
        .unwrap();
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "Invalid Access Token"
    );
}

#[tokio::test]
async fn the_scope_of_a_token_limits_it() {
    let world = World::new(json!({})).await;
    world.store_user().await;
    let input = IssueInput {
        origin_jti: "o",
        event_id: "e",
        auth_time_ms: 0,
        scope: "openid email",
        issued_ms: world.harness.engine.now_ms(),
        known_ms: world.known_ms().await,
        nonce: Some("n"),
    };
    let signed = tokens(
        &world.harness.engine,
        &world.pool,
        &world.client,
        &world.user,
        &[],
        input,
    )
    .await
    .unwrap();
    assert_eq!(part(&signed.id_token, 1)["nonce"], "n");
    assert_eq!(
        world.refusal(&signed.access_token).await,
        "Access Token does not have required scopes"
    );
}
