//! What the tokens say.

use serde_json::{Value, json};

use super::{World, group, part};
use crate::issue::USER_ADMIN_SCOPE;

#[tokio::test]
async fn the_tokens_say_what_awss_say() {
    let world = World::new(json!({"IdTokenValidity": 2})).await;
    let signed = world.issue(&[group("readers", None, None)]).await;
    assert_eq!(signed.expires_in, 3600);
    for token in [&signed.id_token, &signed.access_token] {
        assert_eq!(names(&part(token, 0)), ["alg", "kid"]);
        assert_eq!(part(token, 0)["alg"], "RS256");
    }
    let (id, access) = (part(&signed.id_token, 1), part(&signed.access_token, 1));
    assert_ne!(
        part(&signed.id_token, 0)["kid"],
        part(&signed.access_token, 0)["kid"]
    );
    let common = [
        "auth_time",
        "cognito:groups",
        "event_id",
        "exp",
        "iat",
        "iss",
        "jti",
        "origin_jti",
        "sub",
        "token_use",
    ];
    let mut expected = [&common[..], &["client_id", "scope", "username"]].concat();
    expected.sort_unstable();
    assert_eq!(names(&access), expected);
    let of_user = [
        "aud",
        "cognito:username",
        "address",
        "custom:team",
        "email",
        "email_verified",
        "updated_at",
    ];
    let mut expected = [&common[..], &of_user].concat();
    expected.sort_unstable();
    assert_eq!(names(&id), expected);

    let now = world.harness.engine.now_ms() / 1000;
    for claims in [&id, &access] {
        assert_eq!(
            claims["iss"],
            format!("http://localhost:8080/{}", world.pool.id())
        );
        assert_eq!(claims["sub"], world.user.sub);
        assert_eq!(claims["iat"], now);
        assert_eq!(claims["auth_time"], now - 90);
        assert_eq!(claims["origin_jti"], "origin");
        assert_eq!(claims["event_id"], "event");
        assert_eq!(claims["cognito:groups"], json!(["readers"]));
    }
    assert_ne!(id["jti"], access["jti"]);
    assert_eq!(
        (&access["token_use"], &access["exp"]),
        (&json!("access"), &json!(now + 3600))
    );
    assert_eq!(
        (&id["token_use"], &id["exp"]),
        (&json!("id"), &json!(now + 7200))
    );
    assert_eq!(access["client_id"], world.client.id());
    assert_eq!(id["aud"], world.client.id());
    assert_eq!(access["scope"], USER_ADMIN_SCOPE);
    assert_eq!(
        (&access["username"], &id["cognito:username"]),
        (&json!("ada"), &json!("ada"))
    );
    assert_eq!(id["email_verified"], true);
    assert_eq!(id["custom:team"], "7");
    assert_eq!(id["address"], json!({"formatted": "1 Main St"}));
    assert_eq!(id["updated_at"], 1_700_000_000);
}

#[tokio::test]
async fn a_client_sees_what_it_may_read() {
    let world =
        World::new(json!({"ReadAttributes": ["email"], "EnableTokenRevocation": false})).await;
    let signed = world.issue(&[]).await;
    let id = part(&signed.id_token, 1);
    assert_eq!(id["email"], "ada@example.com");
    for absent in [
        "custom:team",
        "email_verified",
        "address",
        "cognito:groups",
        "origin_jti",
        "cognito:roles",
    ] {
        assert!(id.get(absent).is_none(), "{absent}");
    }
    assert!(part(&signed.access_token, 1).get("origin_jti").is_none());
}

#[tokio::test]
async fn an_attribute_never_takes_a_claims_place() {
    let mut world = World::new(json!({})).await;
    for name in [
        "sub",
        "iss",
        "aud",
        "exp",
        "cognito:groups",
        "cognito:username",
        "token_use",
    ] {
        world.user.attributes.insert(name.into(), "evil".into());
    }
    let id = part(
        &world.issue(&[group("readers", None, None)]).await.id_token,
        1,
    );
    assert!(!id.to_string().contains("evil"), "{id}");
}

#[tokio::test]
async fn roles_come_from_groups_by_precedence() {
    let world = World::new(json!({})).await;
    for (groups, roles, preferred) in [
        (
            vec![
                group("a", Some("r1"), Some(1)),
                group("b", Some("r2"), Some(2)),
            ],
            json!(["r1", "r2"]),
            json!("r1"),
        ),
        (
            vec![
                group("a", Some("r1"), Some(1)),
                group("b", Some("r2"), Some(1)),
            ],
            json!(["r1", "r2"]),
            Value::Null,
        ),
        (
            vec![
                group("a", Some("r1"), Some(1)),
                group("b", Some("r1"), Some(1)),
            ],
            json!(["r1"]),
            json!("r1"),
        ),
        (
            vec![group("a", None, Some(0)), group("b", Some("r2"), None)],
            json!(["r2"]),
            json!("r2"),
        ),
        (vec![group("a", None, Some(0))], Value::Null, Value::Null),
    ] {
        let id = part(&world.issue(&groups).await.id_token, 1);
        assert_eq!(id.get("cognito:roles").cloned().unwrap_or_default(), roles);
        assert_eq!(
            id.get("cognito:preferred_role")
                .cloned()
                .unwrap_or_default(),
            preferred
        );
    }
}

fn names(claims: &Value) -> Vec<&str> {
    let mut names: Vec<_> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}
