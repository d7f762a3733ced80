//! Hashes of another profile than the settings name.

use std::sync::Arc;

use store::args;

use super::world::{PASSWORD, World};
use super::{incorrect, refusal, tokens};
use crate::auth::attempt::Subject;
use crate::auth::conclude::conclude;
use crate::config::{HashProfile, Hashing};
use crate::hasher::Comparison;
use crate::testing::SeededRng;
use crate::{Hasher, credential, seal, user};

#[tokio::test]
async fn an_outdated_hash_is_renewed_at_a_sign_in_with_the_right_password() {
    let world = World::open().await;
    let old = outdate(&world).await;
    world.fail("ada", 1).await;
    world.engine.auth().renewals.finish().await;
    assert_eq!(hash(&world).await, old, "the password was wrong");

    tokens(world.password("ada", PASSWORD).await);
    world.engine.auth().renewals.finish().await;
    let fresh = hash(&world).await;
    let user = ada(&world).await;
    let compared = credential::compare(&world.engine, user.owner(), Some(&fresh), PASSWORD);
    assert_eq!(compared.await.unwrap(), Comparison::Right);
    tokens(world.password("ada", PASSWORD).await);
    world.engine.auth().renewals.finish().await;
    assert_eq!(hash(&world).await, fresh, "it is of the profile in force");
}

#[tokio::test]
async fn a_sign_in_beside_the_renewal_goes_on() {
    let world = World::open().await;
    outdate(&world).await;
    let subject = Subject::named(world.sign_in(), "ada").await.unwrap();
    tokens(world.password("ada", PASSWORD).await);
    world.engine.auth().renewals.finish().await;
    tokens(conclude(world.sign_in(), subject, true, None).await);
}

#[tokio::test]
async fn a_renewal_never_brings_back_an_old_password() {
    let world = World::open().await;
    let old = outdate(&world).await;
    let subject = Subject::named(world.sign_in(), "ada").await.unwrap();
    user::admin_set_password(&world.engine, &world.pool, "ada", "Another-Horse-2", true)
        .await
        .unwrap();
    let changed = hash(&world).await;
    renew(&world, &old, "late").await;
    assert_eq!(hash(&world).await, changed);
    let end = conclude(world.sign_in(), subject, true, None).await;
    assert_eq!(refusal(end), incorrect());
}

/// Gives `ada` a hash of another profile, which it returns.
async fn outdate(world: &World) -> String {
    let config = Hashing {
        profile: HashProfile::Nist,
        threads: Some(1),
        ..Hashing::default()
    };
    let hasher = Hasher::start(&config, Arc::new(SeededRng::new(5))).unwrap();
    let phc = hasher.hash(PASSWORD).await.unwrap();
    let user = ada(world).await;
    let place = seal::place("users", "password_hash", &[&user.pool_id, &user.sub]);
    let engine = &world.engine;
    let old = engine
        .sealer()
        .seal(engine.rng(), &place, phc.as_bytes())
        .unwrap();
    renew(world, &hash(world).await, &old).await;
    assert_eq!(hash(world).await, old);
    old
}

async fn renew(world: &World, seen: &str, fresh: &str) {
    let user = ada(world).await;
    let input = (user.pool_id, user.sub, seen.to_owned(), fresh.to_owned());
    let done = world
        .engine
        .db()
        .write_with(input, |tx, (pool_id, sub, seen, fresh)| {
            Box::pin(user::renew_hash(tx, pool_id, sub, seen, fresh))
        });
    done.await.unwrap();
}

async fn hash(world: &World) -> String {
    let sql = "SELECT password_hash FROM users WHERE username = 'ada'";
    let row = world.engine.db().row(sql, args![]).await.unwrap().unwrap();
    row.text("password_hash").unwrap()
}

async fn ada(world: &World) -> user::User {
    user::load(&world.engine, &world.pool, "ada")
        .await
        .unwrap()
        .unwrap()
}
