use serde_json::json;

use super::fixture::{World, given, kind};
use crate::Refusal;
use crate::user::{self, Filter, Invitation, User};

/// Users a0 to a{count}, by an operator; half of them of the family `Lovelace`.
async fn crowd(world: &World, count: usize) {
    for number in 0..count {
        let family = if number % 2 == 0 { "Lovelace" } else { "Byron" };
        let email = format!("A{number}@Example.com");
        let invitation = Invitation {
            username: format!("a{number}"),
            attributes: given(&[("email", &email), ("family_name", family), ("name", "Ada")]),
            suppress: true,
            ..Invitation::default()
        };
        user::admin_create(&world.engine, &world.pool, invitation)
            .await
            .unwrap();
    }
}

/// All pages of a list, and how many there were.
async fn all(world: &World, filter: &str, limit: usize) -> (Vec<User>, usize) {
    let filter = Filter::parse(filter).unwrap();
    let (mut users, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = user::list(
            &world.engine,
            &world.pool,
            filter.as_ref(),
            limit,
            token.as_deref(),
        )
        .await
        .unwrap();
        assert!(page.items.len() <= limit);
        users.extend(page.items);
        pages += 1;
        token = page.next;
        if token.is_none() {
            return (users, pages);
        }
    }
}

async fn names(world: &World, filter: &str) -> Vec<String> {
    let (mut users, _) = all(world, filter, 2).await;
    users.sort_by(|a, b| a.username.cmp(&b.username));
    users.into_iter().map(|user| user.username).collect()
}

#[tokio::test]
async fn pages_hold_each_user_once() {
    let world = World::new().await;
    crowd(&world, 5).await;
    for (limit, pages) in [(1, 5), (2, 3), (4, 2), (5, 1), (60, 1)] {
        let (users, seen) = all(&world, "", limit).await;
        assert_eq!((users.len(), seen), (5, pages), "{limit} a page");
        assert!(users.is_sorted_by(|a, b| a.sub < b.sub));
    }
}

#[tokio::test]
async fn filters_find_who_they_name() {
    let world = World::with(json!({"UsernameConfiguration": {"CaseSensitive": false}})).await;
    crowd(&world, 4).await;
    user::admin_disable(&world.engine, &world.pool, "a3")
        .await
        .unwrap();
    user::admin_set_password(&world.engine, &world.pool, "a2", "Passw0rd!", true)
        .await
        .unwrap();
    let sub = world.find("a1").await.unwrap().sub;
    for (filter, expected) in [
        (r#"username = "A1""#.to_owned(), vec!["a1"]),
        (r#"username ^= "a""#.into(), vec!["a0", "a1", "a2", "a3"]),
        (r#"email = "a1@example.com""#.into(), vec!["a1"]),
        (r#"email ^= "A1@""#.into(), vec!["a1"]),
        (r#"family_name = "Lovelace""#.into(), vec!["a0", "a2"]),
        (r#"family_name = "lovelace""#.into(), vec![]),
        (r#"family_name ^= "By""#.into(), vec!["a1", "a3"]),
        (r#"name ^= "A""#.into(), vec!["a0", "a1", "a2", "a3"]),
        (r#"name ^= "Ada ""#.into(), vec![]),
        (r#"given_name = "Ada""#.into(), vec![]),
        (r#"phone_number ^= "+1""#.into(), vec![]),
        (r#"status = "Disabled""#.into(), vec!["a3"]),
        (r#"status = "Enabled""#.into(), vec!["a0", "a1", "a2"]),
        (r#"status = "enabled""#.into(), vec![]),
        (r#"status ^= """#.into(), vec!["a0", "a1", "a2", "a3"]),
        (
            r#"cognito:user_status = "force_change_password""#.into(),
            vec!["a0", "a1", "a3"],
        ),
        (r#"cognito:user_status ^= "CONF""#.into(), vec!["a2"]),
        (format!(r#"sub = "{sub}""#), vec!["a1"]),
        (format!(r#"sub ^= "{}""#, &sub[..13]), vec!["a1"]),
    ] {
        assert_eq!(names(&world, &filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn long_values_are_found_by_their_beginning() {
    let world = World::new().await;
    let long = "x".repeat(2000);
    let invitation = Invitation {
        username: "ada".into(),
        attributes: given(&[("name", &long)]),
        suppress: true,
        ..Invitation::default()
    };
    user::admin_create(&world.engine, &world.pool, invitation)
        .await
        .unwrap();
    let most = "x".repeat(240);
    assert_eq!(
        names(&world, &format!(r#"name ^= "{most}""#)).await,
        ["ada"]
    );
    assert_eq!(
        names(&world, &format!(r#"name = "{most}""#)).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_token_continues_its_own_list_for_an_hour() {
    let world = World::new().await;
    crowd(&world, 3).await;
    let list = |filter: &'static str, token: Option<String>| {
        let world = &world;
        async move {
            let filter = Filter::parse(filter).unwrap();
            user::list(
                &world.engine,
                &world.pool,
                filter.as_ref(),
                1,
                token.as_deref(),
            )
            .await
        }
    };
    let token = list("", None).await.unwrap().next.unwrap();
    list("", Some(token.clone())).await.unwrap();
    assert_eq!(
        kind(list(r#"name = "Ada""#, Some(token.clone())).await),
        Refusal::InvalidParameter
    );
    for forged in ["", "x", "s1.0.AAAA", &token[..token.len() - 2]] {
        assert_eq!(
            kind(list("", Some(forged.to_owned())).await),
            Refusal::InvalidParameter,
            "{forged}"
        );
    }
    world.advance_minutes(59);
    list("", Some(token.clone())).await.unwrap();
    world.advance_minutes(1);
    assert_eq!(kind(list("", Some(token)).await), Refusal::InvalidParameter);
}

#[tokio::test]
async fn each_filter_is_a_range_of_an_index() {
    let world = World::new().await;
    for (filter, index) in [
        ("", "sqlite_autoindex_users_1"),
        (r#"username = "a""#, "users_username"),
        (r#"username ^= "a""#, "users_username"),
        (r#"sub = "a""#, "sqlite_autoindex_users_1"),
        (r#"sub ^= "a""#, "sqlite_autoindex_users_1"),
        (r#"email = "a""#, "users_email"),
        (r#"email ^= "a""#, "users_email"),
        (r#"phone_number ^= "a""#, "users_phone_number"),
        (r#"name ^= "a""#, "users_name"),
        (r#"given_name ^= "a""#, "users_given_name"),
        (r#"family_name ^= "a""#, "users_family_name"),
        (r#"preferred_username ^= "a""#, "users_preferred_username"),
        (r#"cognito:user_status = "a""#, "users_status"),
        (r#"cognito:user_status ^= "a""#, "users_status"),
        (r#"status = "Enabled""#, "users_enabled"),
    ] {
        let filter = Filter::parse(filter).unwrap();
        let (sql, args) = user::list::query(&world.pool, filter.as_ref(), None, 60).unwrap();
        let plan = world
            .engine
            .db()
            .rows(format!("EXPLAIN QUERY PLAN {sql}"), args)
            .await
            .unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
        let [step] = steps.as_slice() else {
            panic!("{filter:?}: {steps:?}")
        };
        assert!(
            step.starts_with("SEARCH users") && step.contains(index),
            "{filter:?}: {step}"
        );
    }
}
