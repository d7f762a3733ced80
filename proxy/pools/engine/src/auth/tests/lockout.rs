use std::time::Duration;

use super::world::{PASSWORD, World};
use super::{exceeded, incorrect, parameters, refusal, tokens};
use crate::auth::{Door, initiate};

#[tokio::test]
async fn the_fifth_wrong_password_begins_the_wait() {
    let world = World::open().await;
    world.fail("ada", 4).await;
    tokens(world.password("ada", PASSWORD).await);
    // The right one forgave the four before.
    world.fail("ada", 5).await;
    assert_eq!(refusal(world.password("ada", PASSWORD).await), exceeded());
    world.advance(Duration::from_millis(999));
    assert_eq!(refusal(world.password("ada", PASSWORD).await), exceeded());
    world.advance(Duration::from_millis(1));
    tokens(world.password("ada", PASSWORD).await);
    world.fail("ada", 4).await;
    tokens(world.password("ada", PASSWORD).await);
}

#[tokio::test]
async fn waits_double_and_attempts_within_them_do_not_count() {
    let world = World::open().await;
    world.fail("ada", 5).await;
    for seconds in [1, 2, 4] {
        for _ in 0..3 {
            assert_eq!(refusal(world.password("ada", "Wrong-1").await), exceeded());
        }
        world.advance(Duration::from_secs(seconds));
        world.fail("ada", 1).await;
    }
    world.advance(Duration::from_millis(7_999));
    assert_eq!(refusal(world.password("ada", PASSWORD).await), exceeded());
    world.advance(Duration::from_millis(1));
    tokens(world.password("ada", PASSWORD).await);
}

#[tokio::test]
async fn the_wait_holds_at_every_door_and_for_names_nobody_has() {
    let world = World::open().await;
    let admin = world.through(&world.client, Door::Admin);
    let wrong = parameters([("USERNAME", "ada"), ("PASSWORD", "Wrong-1")]);
    world.fail("ada", 3).await;
    for _ in 0..2 {
        assert_eq!(
            refusal(initiate(admin, "ADMIN_USER_PASSWORD_AUTH", &wrong).await),
            incorrect()
        );
    }
    assert_eq!(
        refusal(initiate(admin, "ADMIN_USER_PASSWORD_AUTH", &wrong).await),
        exceeded()
    );
    assert_eq!(refusal(world.password("ada", PASSWORD).await), exceeded());

    world.fail("nobody", 5).await;
    assert_eq!(
        refusal(world.password("nobody", "Wrong-1").await),
        exceeded()
    );
    world.fail("nobody else", 1).await;
}

#[tokio::test]
async fn many_guesses_at_once_are_as_few_as_one_after_another() {
    guess_at_once(&World::open().await).await;
}

/// Thirty wrong passwords at the same time.
pub(super) async fn guess_at_once(world: &World) {
    let guess = |number: usize| {
        let (engine, pool, client) = (
            world.engine.clone(),
            world.pool.clone(),
            world.client.clone(),
        );
        tokio::spawn(async move {
            let sign_in = crate::auth::SignIn {
                engine: &engine,
                pool: &pool,
                client: &client,
                door: Door::Public,
            };
            let given = parameters([
                ("USERNAME", "ada"),
                ("PASSWORD", &format!("Wrong-{number}")),
            ]);
            refusal(initiate(sign_in, "USER_PASSWORD_AUTH", &given).await)
        })
    };
    let guesses: Vec<_> = (0..30).map(guess).collect();
    let mut told = Vec::new();
    for guess in guesses {
        told.push(guess.await.unwrap());
    }
    assert_eq!(
        told.iter().filter(|answer| **answer == incorrect()).count(),
        5
    );
    assert_eq!(
        told.iter().filter(|answer| **answer == exceeded()).count(),
        25
    );
}

#[tokio::test]
async fn what_is_old_is_swept() {
    let world = World::open().await;
    world.fail("ada", 1).await;
    world.fail("nobody", 1).await;
    assert_eq!(rows(&world).await, 2);
    crate::auth::sweep(&world.engine).await.unwrap();
    assert_eq!(rows(&world).await, 2);
    world.advance(Duration::from_mins(15));
    crate::auth::sweep(&world.engine).await.unwrap();
    assert_eq!(rows(&world).await, 0);
}

async fn rows(world: &World) -> i64 {
    let sql = "SELECT COUNT(*) AS many FROM sign_in_failures";
    world
        .engine
        .db()
        .row(sql, Vec::new())
        .await
        .unwrap()
        .unwrap()
        .int("many")
        .unwrap()
}
