//! What depends on transactions, on a database that runs them beside each other.

use serde_json::json;

use super::world::{ALL_FLOWS, PASSWORD, World};
use super::{challenge, lockout, not_authorized, parameters, refusal, rotation, tokens};
use crate::auth::refresh;

#[tokio::test]
async fn sign_ins_and_their_ends_work_on_postgres() {
    let world = World::on_postgres(json!({"ExplicitAuthFlows": ALL_FLOWS})).await;
    let signed_in = world.signed_in().await;
    let token = signed_in.refresh_token.unwrap();
    tokens(world.refresh(&token).await);
    refresh::revoke(&world.engine, &world.pool, &world.client, &token)
        .await
        .unwrap();
    assert_eq!(
        refusal(world.refresh(&token).await),
        not_authorized("Refresh Token has been revoked")
    );

    world.invited("bob", "Temporary-1").await;
    let asked = challenge(world.password("bob", "Temporary-1").await);
    let responses = parameters([("USERNAME", "bob"), ("NEW_PASSWORD", PASSWORD)]);
    tokens(
        world
            .respond(
                "NEW_PASSWORD_REQUIRED",
                asked.session.as_deref(),
                &responses,
            )
            .await,
    );
    tokens(world.password("bob", PASSWORD).await);
    crate::auth::sweep(&world.engine).await.unwrap();
}

#[tokio::test]
async fn guesses_at_once_are_few_on_postgres() {
    let settings = json!({"ExplicitAuthFlows": ALL_FLOWS, "PreventUserExistenceErrors": "ENABLED"});
    lockout::guess_at_once(&World::on_postgres(settings).await).await;
}

#[tokio::test]
async fn a_family_never_branches_on_postgres() {
    for grace_seconds in [60, 0] {
        let world = World::on_postgres(rotation::settings(grace_seconds)).await;
        rotation::use_at_once(&world, grace_seconds).await;
    }
}
