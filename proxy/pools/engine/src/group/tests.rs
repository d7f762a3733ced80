use super::*;
use crate::user::tests::fixture::{World, kind, refusal};

fn ranked(precedence: i64) -> Settings {
    Settings {
        precedence: Some(precedence),
        ..Settings::default()
    }
}

async fn make(world: &World, name: &str) -> Group {
    create(&world.engine, &world.pool, name, Settings::default())
        .await
        .unwrap()
}

async fn join(world: &World, group: &str, name: &str) -> Result<()> {
    add_user(&world.engine, &world.pool, group, name).await
}

/// Names of a user's groups, in the order of tokens.
async fn groups_of(world: &World, name: &str) -> Vec<String> {
    let user = world.find(name).await.unwrap();
    let groups = world.engine.db().read_with(user, |tx, user| {
        Box::pin(async move { of_user(tx, &user.pool_id, &user.sub).await })
    });
    groups
        .await
        .unwrap()
        .into_iter()
        .map(|group| group.name)
        .collect()
}

#[tokio::test]
async fn a_group_is_made_changed_and_deleted() {
    let world = World::new().await;
    let settings = Settings {
        description: Some("who reads".into()),
        role_arn: Some("arn:aws:iam::000000000000:role/reader".into()),
        precedence: Some(3),
    };
    let made = create(&world.engine, &world.pool, "readers", settings)
        .await
        .unwrap();
    assert_eq!(
        load(&world.engine, &world.pool, "readers").await.unwrap(),
        made
    );
    world.advance_minutes(1);
    let changed = update(&world.engine, &world.pool, "readers", ranked(0))
        .await
        .unwrap();
    assert_eq!(
        changed,
        Group {
            precedence: Some(0),
            modified_ms: world.engine.now_ms(),
            ..made
        }
    );
    assert_eq!(
        load(&world.engine, &world.pool, "readers").await.unwrap(),
        changed
    );

    let again = create(&world.engine, &world.pool, "readers", Settings::default()).await;
    assert_eq!(
        refusal(again),
        (
            Refusal::GroupExists,
            "A group with the name already exists.".into()
        )
    );
    make(&world, "Readers").await;
    delete(&world.engine, &world.pool, "readers").await.unwrap();
    for end in [
        load(&world.engine, &world.pool, "readers").await.map(drop),
        update(&world.engine, &world.pool, "readers", ranked(1))
            .await
            .map(drop),
        delete(&world.engine, &world.pool, "readers").await,
    ] {
        assert_eq!(
            refusal(end),
            (Refusal::ResourceNotFound, "Group not found.".into())
        );
    }
}

#[tokio::test]
async fn groups_of_a_user_come_by_precedence() {
    let world = World::new().await;
    world.user("ada", "a@b.c").await;
    for (name, settings) in [
        ("none", Settings::default()),
        ("ten", ranked(10)),
        ("one-b", ranked(1)),
        ("one-a", ranked(1)),
    ] {
        create(&world.engine, &world.pool, name, settings)
            .await
            .unwrap();
        join(&world, name, "ada").await.unwrap();
        join(&world, name, "ada").await.unwrap();
    }
    assert_eq!(
        groups_of(&world, "ada").await,
        ["one-a", "one-b", "ten", "none"]
    );
    remove_user(&world.engine, &world.pool, "ten", "ada")
        .await
        .unwrap();
    remove_user(&world.engine, &world.pool, "ten", "ada")
        .await
        .unwrap();
    delete(&world.engine, &world.pool, "one-b").await.unwrap();
    assert_eq!(groups_of(&world, "ada").await, ["one-a", "none"]);
}

#[tokio::test]
async fn members_must_be_there() {
    let world = World::new().await;
    world.user("ada", "a@b.c").await;
    make(&world, "readers").await;
    assert_eq!(
        kind(join(&world, "readers", "nobody").await),
        Refusal::UserNotFound
    );
    assert_eq!(
        kind(join(&world, "none", "ada").await),
        Refusal::ResourceNotFound
    );
    let remove = |group, name| remove_user(&world.engine, &world.pool, group, name);
    assert_eq!(
        kind(remove("readers", "nobody").await),
        Refusal::UserNotFound
    );
    assert_eq!(kind(remove("none", "ada").await), Refusal::ResourceNotFound);
    let groups = list_of_user(&world.engine, &world.pool, "nobody", 60, None).await;
    assert_eq!(kind(groups), Refusal::UserNotFound);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    for name in ["ada", "bob", "eve"] {
        world.sign_up(name, &[]).await.unwrap();
    }
    for name in ["a", "b", "c"] {
        make(&world, name).await;
        join(&world, name, "ada").await.unwrap();
        join(
            &world,
            "a",
            ["ada", "bob", "eve"][usize::from(name.as_bytes()[0] - b'a')],
        )
        .await
        .unwrap();
    }
    let (engine, pool) = (&world.engine, &world.pool);
    let first = list(engine, pool, 2, None).await.unwrap();
    let second = list(engine, pool, 2, first.next.as_deref()).await.unwrap();
    let names = |page: &Page<Group>| {
        page.items
            .iter()
            .map(|group| group.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first), names(&second), second.next),
        (vec!["a".into(), "b".into()], vec!["c".into()], None)
    );

    let theirs = list_of_user(engine, pool, "ada", 2, None).await.unwrap();
    assert_eq!(names(&theirs), ["a", "b"]);
    let rest = list_of_user(engine, pool, "ada", 2, theirs.next.as_deref())
        .await
        .unwrap();
    assert_eq!((names(&rest), rest.next), (vec!["c".to_owned()], None));
    let stolen = list_of_user(engine, pool, "bob", 2, theirs.next.as_deref()).await;
    assert_eq!(kind(stolen), Refusal::InvalidParameter);

    let first = crate::user::members(engine, pool, "a", 2, None)
        .await
        .unwrap();
    let second = crate::user::members(engine, pool, "a", 2, first.next.as_deref())
        .await
        .unwrap();
    let mut members: Vec<_> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|user| user.username.clone())
        .collect();
    members.sort();
    assert_eq!(
        (members, second.next),
        (vec!["ada".to_owned(), "bob".into(), "eve".into()], None)
    );
}

#[tokio::test]
async fn a_user_is_in_a_hundred_groups_at_most() {
    let world = World::new().await;
    world.sign_up("ada", &[]).await.unwrap();
    for number in 0..=100 {
        make(&world, &format!("g{number}")).await;
    }
    for number in 0..100 {
        join(&world, &format!("g{number}"), "ada").await.unwrap();
    }
    assert_eq!(
        kind(join(&world, "g100", "ada").await),
        Refusal::LimitExceeded
    );
    assert_eq!(groups_of(&world, "ada").await.len(), 100);
    join(&world, "g7", "ada").await.unwrap();
}

#[tokio::test]
async fn a_pool_has_ten_thousand_groups_at_most() {
    let world = World::new().await;
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO groups (pool_id, name, created_ms, modified_ms) SELECT $1, 'g' || i, 0, 0 FROM n";
    let filled = world
        .engine
        .db()
        .write_with(world.pool.id().to_owned(), move |tx, id| {
            Box::pin(async move { Ok::<_, Error>(tx.execute(fill, ::store::args![id]).await?) })
        });
    assert_eq!(filled.await.unwrap(), 9_999);
    make(&world, "the last").await;
    let more = create(&world.engine, &world.pool, "one more", Settings::default()).await;
    assert_eq!(kind(more), Refusal::LimitExceeded);
}
