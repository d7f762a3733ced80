use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::harness::{Harness, document};
use crate::user::Status;
use crate::{client, pool, revocation};

struct World {
    harness: Harness,
    pool: Arc<Pool>,
    client: Arc<Client>,
    user: User,
}

impl World {
    async fn new(settings: Value) -> Self {
        let harness = Harness::new().await;
        let schema = json!({"Schema": [{"Name": "team", "AttributeDataType": "String"}]});
        let pool = pool::create(&harness.engine, "staff", document(schema))
            .await
            .unwrap();
        let client = client::create(&harness.engine, &pool, "web", document(settings))
            .await
            .unwrap();
        let attributes = [
            ("email", "ada@example.com"),
            ("email_verified", "true"),
            ("custom:team", "7"),
            ("address", "1 Main St"),
            ("updated_at", "1700000000"),
        ];
        let user = User {
            pool_id: pool.id().into(),
            sub: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
            username: "ada".into(),
            status: Status::Confirmed,
            enabled: true,
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            created_ms: 0,
            modified_ms: 0,
            password: None,
        };
        Self {
            harness,
            pool,
            client,
            user,
        }
    }

    /// What a sign-in of now finds.
    async fn known_ms(&self) -> i64 {
        let of = [self.pool.id(), &self.user.sub, self.client.id()].map(str::to_owned);
        let floor = revocation::Floor::now(&self.harness.engine);
        let latest = self
            .harness
            .engine
            .db()
            .read_with(of, |tx, [pool, sub, client]| {
                Box::pin(revocation::latest(tx, pool, sub, client))
            });
        floor.known_ms(latest.await.unwrap())
    }

    async fn issue(&self, groups: &[Group]) -> Tokens {
        let input = IssueInput {
            origin_jti: "origin",
            event_id: "event",
            auth_time_ms: self.harness.engine.now_ms() - 90_000,
            scope: USER_ADMIN_SCOPE,
            issued_ms: self.harness.engine.now_ms(),
            known_ms: self.known_ms().await,
            nonce: None,
        };
        tokens(
            &self.harness.engine,
            &self.pool,
            &self.client,
            &self.user,
            groups,
            input,
        )
        .await
        .unwrap()
    }

    async fn store_user(&self) {
        let user = self.user.clone();
        let sql = "INSERT INTO users (pool_id, sub, username, username_key, status, enabled, created_ms, modified_ms,
            attributes) VALUES ($1, $2, $3, $3, 'CONFIRMED', 1, 0, 0, '{}')";
        self.harness
            .engine
            .db()
            .write_with(user, move |tx, user| {
                Box::pin(async move {
                    tx.execute(sql, store::args![user.pool_id, user.sub, user.username])
                        .await
                        .map_err(crate::Error::from)
                })
            })
            .await
            .unwrap();
    }

    async fn refusal(&self, token: &str) -> String {
        verify_access(&self.harness.engine, token)
            .await
            .unwrap_err()
            .to_string()
    }
}

fn group(name: &str, role: Option<&str>, precedence: Option<i64>) -> Group {
    Group {
        pool_id: "p".into(),
        name: name.into(),
        description: None,
        role_arn: role.map(str::to_owned),
        precedence,
        created_ms: 0,
        modified_ms: 0,
    }
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(token.split('.').nth(index).unwrap())
            .unwrap(),
    )
    .unwrap()
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
async fn the_gate_verifies_what_is_signed_through_rotation() {
    let world = World::new(json!({})).await;
    let engine = &world.harness.engine;
    let keys = engine.pool_keys(world.pool.id());
    let before = world.issue(&[]).await;
    crate::signing_key::rotate(engine, world.pool.id(), engine.now_ms())
        .await
        .unwrap();
    let after = world.issue(&[]).await;
    assert_ne!(
        part(&before.id_token, 0)["kid"],
        part(&after.id_token, 0)["kid"]
    );
    let rules = Arc::new(token::Rules {
        name: "embedded".into(),
        iss: engine.issuer(world.pool.id()),
        kind: token::Kind::Cognito,
        audience: token::Audience::Embedded,
        naming: token::Naming::cognito(world.pool.id()),
    });
    for raw in [
        &before.id_token,
        &before.access_token,
        &after.id_token,
        &after.access_token,
    ] {
        let claims = token::verify(
            raw,
            &keys.current(),
            &rules,
            Duration::ZERO,
            engine.clock().now(),
        )
        .unwrap();
        assert_eq!(
            engine.revocations().standing(&claims),
            token::Standing::Live
        );
    }
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

#[test]
fn tokens_do_not_reach_debug() {
    let tokens = Tokens {
        id_token: "secret".into(),
        access_token: "secret".into(),
        expires_in: 1,
    };
    assert!(!format!("{tokens:?}").contains("secret"));
}
