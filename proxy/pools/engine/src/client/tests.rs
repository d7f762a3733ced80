use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::*;
use crate::Refusal;
use crate::harness::{Harness, document};

struct World {
    harness: Harness,
    pool: Arc<Pool>,
}

impl World {
    async fn new() -> Self {
        Self::of(Harness::new().await).await
    }

    async fn of(harness: Harness) -> Self {
        let schema = json!({"Schema": [
            {"Name": "email", "Required": true},
            {"Name": "team", "AttributeDataType": "String", "Mutable": true},
        ]});
        let pool = pool::create(&harness.engine, "staff", document(schema))
            .await
            .unwrap();
        Self { harness, pool }
    }

    async fn create(&self, settings: Value) -> Result<Arc<Client>> {
        let made = create(&self.harness.engine, &self.pool, "web", document(settings)).await?;
        // As stored, not as made.
        find(&self.harness.engine, made.id())
            .await
            .map(Option::unwrap)
    }

    async fn refusal(&self, settings: Value) -> (Refusal, String) {
        let error = self
            .create(settings.clone())
            .await
            .map(|_| settings)
            .unwrap_err();
        (error.refusal().unwrap(), error.to_string())
    }
}

fn hash(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    BASE64.encode(hmac::sign(&key, text.as_bytes()))
}

#[tokio::test]
async fn a_client_without_settings_has_awss_defaults() {
    let world = World::new().await;
    let client = world.create(json!({})).await.unwrap();
    assert_eq!(client.id().len(), 26);
    assert!(
        client
            .id()
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    assert_eq!(
        Value::Object(client.document().clone()),
        json!({
            "RefreshTokenValidity": 30,
            "TokenValidityUnits": {},
            "AllowedOAuthFlowsUserPoolClient": false,
            "EnableTokenRevocation": true,
            "EnablePropagateAdditionalUserContextData": false,
            "AuthSessionValidity": 3,
        })
    );
    let lifetimes = client.lifetimes();
    assert_eq!(
        (lifetimes.access, lifetimes.id),
        (Duration::from_hours(1), Duration::from_hours(1))
    );
    assert_eq!(lifetimes.refresh, Duration::from_hours(30 * 24));
    assert_eq!(client.session_validity(), Duration::from_mins(3));
    assert!(!client.has_secret() && !client.hides_absent_users() && client.has_origin());
    assert!(
        client.may_read("custom:team")
            && client.may_write("email")
            && !client.may_write("email_verified")
    );
}

#[tokio::test]
async fn lifetimes_have_units_and_limits() {
    let world = World::new().await;
    let client = world
        .create(json!({
            "AccessTokenValidity": 300, "IdTokenValidity": 10, "RefreshTokenValidity": 60,
            "TokenValidityUnits": {"AccessToken": "seconds", "IdToken": "minutes", "RefreshToken": "minutes"},
        }))
        .await
        .unwrap();
    let lifetimes = client.lifetimes();
    assert_eq!(lifetimes.access, Duration::from_mins(5));
    assert_eq!(lifetimes.id, Duration::from_mins(10));
    assert_eq!(lifetimes.refresh, Duration::from_hours(1));
    for bad in [
        json!({"AccessTokenValidity": 25}),
        json!({"AccessTokenValidity": 299, "TokenValidityUnits": {"AccessToken": "seconds"}}),
        json!({"IdTokenValidity": 2, "TokenValidityUnits": {"IdToken": "days"}}),
        json!({"RefreshTokenValidity": 59, "TokenValidityUnits": {"RefreshToken": "minutes"}}),
        json!({"RefreshTokenValidity": 3651}),
        json!({"AccessTokenValidity": 86400, "TokenValidityUnits": {"AccessToken": "days"}}),
        json!({"AccessTokenValidity": 2, "RefreshTokenValidity": 1, "TokenValidityUnits": {"RefreshToken": "hours"}}),
    ] {
        assert_eq!(
            world.refusal(bad).await,
            (
                Refusal::InvalidParameter,
                "Invalid range for token validity.".to_owned()
            )
        );
    }
}

async fn a_secret_is_sealed_and_proved(harness: Harness) {
    let world = World::of(harness).await;
    let client = world.create(json!({"GenerateSecret": true})).await.unwrap();
    let secret = client.secrets()[0].expose().to_owned();
    assert_eq!(secret.len(), 51);
    let row = world
        .harness
        .engine
        .db()
        .row("SELECT * FROM client_secrets", Vec::new())
        .await
        .unwrap()
        .unwrap();
    assert!(!row.text("sealed").unwrap().contains(&secret));
    assert!(!format!("{client:?}").contains(&secret));

    let id = client.id();
    client
        .check_secret_hash("ada", Some(&hash(&secret, &format!("ada{id}"))))
        .unwrap();
    for wrong in [
        hash(&secret, &format!("bob{id}")),
        hash("x", &format!("ada{id}")),
        "%".into(),
        String::new(),
    ] {
        let error = client.check_secret_hash("ada", Some(&wrong)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Unable to verify secret hash for client {id}")
        );
    }
    let error = client.check_secret_hash("ada", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Client {id} is configured with secret but SECRET_HASH was not received")
    );
    assert_eq!(error.refusal(), Some(Refusal::NotAuthorized));
    client.check_secret(Some(&secret)).unwrap();
    client.check_secret(Some("x")).unwrap_err();
    client.check_secret(None).unwrap_err();
}

#[tokio::test]
async fn a_public_client_takes_no_proof() {
    let world = World::new().await;
    let client = world.create(json!({})).await.unwrap();
    client.check_secret_hash("ada", None).unwrap();
    client.check_secret_hash("ada", Some("x")).unwrap_err();
}

#[tokio::test]
async fn a_given_secret_is_kept() {
    let world = World::new().await;
    let secret = "abcdefghijklmnopqrstuvwx";
    let client = world.create(json!({"ClientSecret": secret})).await.unwrap();
    assert_eq!(client.secrets()[0].expose(), secret);
    assert!(!client.document().contains_key("ClientSecret"));
    let both = json!({"ClientSecret": secret, "GenerateSecret": true});
    assert_eq!(world.refusal(both).await.0, Refusal::InvalidParameter);
}

#[tokio::test]
async fn attribute_lists_limit_what_is_read_and_written() {
    let world = World::new().await;
    let client = world
        .create(json!({"ReadAttributes": ["email", "custom:team"], "WriteAttributes": ["email"]}))
        .await
        .unwrap();
    assert!(client.may_read("sub") && client.may_read("custom:team") && !client.may_read("name"));
    assert!(client.may_write("email") && !client.may_write("custom:team"));
    for (list, names) in [
        ("ReadAttributes", json!(["custom:absent"])),
        ("WriteAttributes", json!(["email", "custom:absent"])),
        ("WriteAttributes", json!(["email", "email_verified"])),
        ("WriteAttributes", json!(["name"])),
    ] {
        let (kind, message) = world.refusal(json!({list: names})).await;
        assert_eq!(kind, Refusal::InvalidParameter);
        let which = if list == "ReadAttributes" {
            "read"
        } else {
            "write"
        };
        assert_eq!(
            message,
            format!("Invalid {which} attributes specified while creating a client")
        );
    }
}

#[tokio::test]
async fn rotation_excludes_the_refresh_flow() {
    let world = World::new().await;
    let rotation = json!({"Feature": "ENABLED", "RetryGracePeriodSeconds": 10});
    let client = world
        .create(
            json!({"RefreshTokenRotation": rotation, "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"]}),
        )
        .await
        .unwrap();
    assert_eq!(client.rotation(), Some(Duration::from_secs(10)));
    let both = json!({"RefreshTokenRotation": rotation,
        "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]});
    assert_eq!(world.refusal(both).await.0, Refusal::InvalidParameter);
    let off = world
        .create(json!({"RefreshTokenRotation": {"Feature": "DISABLED"}}))
        .await
        .unwrap();
    assert_eq!(off.rotation(), None);
}

#[tokio::test]
async fn oauth_settings_must_make_sense() {
    let world = World::new().await;
    let good = json!({
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid", "email"],
        "CallbackURLs": ["https://app.test/cb"],
        "DefaultRedirectURI": "https://app.test/cb",
        "SupportedIdentityProviders": ["COGNITO"],
    });
    let client = world.create(good.clone()).await.unwrap();
    assert_eq!(client.document()["CallbackURLs"], good["CallbackURLs"]);
    for (key, value, kind) in [
        ("AllowedOAuthFlows", json!([]), Refusal::InvalidParameter),
        (
            "AllowedOAuthFlows",
            json!(["code", "client_credentials"]),
            Refusal::InvalidOAuthFlow,
        ),
        (
            "AllowedOAuthFlows",
            json!(["client_credentials"]),
            Refusal::InvalidOAuthFlow,
        ),
        (
            "AllowedOAuthScopes",
            json!(["pets/read"]),
            Refusal::ScopeDoesNotExist,
        ),
        (
            "CallbackURLs",
            json!(["http://app.test/cb"]),
            Refusal::InvalidParameter,
        ),
        (
            "DefaultRedirectURI",
            json!("https://app.test/other"),
            Refusal::InvalidParameter,
        ),
        (
            "SupportedIdentityProviders",
            json!(["Google"]),
            Refusal::InvalidParameter,
        ),
    ] {
        let mut bad = good.clone();
        bad[key] = value.clone();
        assert_eq!(world.refusal(bad).await.0, kind, "{key}: {value}");
    }
}

async fn an_update_replaces_all_but_the_secret(harness: Harness) {
    let world = World::of(harness).await;
    let engine = &world.harness.engine;
    let client = world
        .create(json!({"GenerateSecret": true, "AccessTokenValidity": 2, "PreventUserExistenceErrors": "ENABLED"}))
        .await
        .unwrap();
    update(
        engine,
        &world.pool,
        client.id(),
        None,
        document(json!({"AuthSessionValidity": 5})),
    )
    .await
    .unwrap();
    let after = find(engine, client.id()).await.unwrap().unwrap();
    assert_eq!(after.name(), "web");
    assert_eq!(after.lifetimes().access, Duration::from_hours(1));
    assert!(!after.hides_absent_users());
    assert_eq!(after.session_validity(), Duration::from_mins(5));
    assert_eq!(after.secrets()[0].expose(), client.secrets()[0].expose());
}

async fn an_update_loses_nothing_of_another_nodes(harness: Harness) {
    let world = World::of(harness).await;
    let (here, there) = (&world.harness.engine, &world.harness.second().await);
    let client = world.create(json!({})).await.unwrap();
    let rename = async |name: &str| {
        let name = Some(name.to_owned());
        update(here, &world.pool, client.id(), name, document(json!({})))
            .await
            .map(drop)
    };
    let settings = async || {
        let settings = document(json!({"AuthSessionValidity": 5}));
        update(there, &world.pool, client.id(), None, settings).await
    };
    // In the other's memory it has the old name until the next poll.
    load(there, client.id()).await.unwrap();
    rename("site").await.unwrap();
    assert_eq!(settings().await.unwrap().name(), "site");

    let (renamed, set) = tokio::join!(rename("portal"), settings());
    renamed.unwrap();
    set.unwrap();
    let stored = super::store::find(here, client.id()).await.unwrap();
    assert_eq!(stored.unwrap().name(), "portal");
}

async fn a_client_is_found_in_its_own_pool_only(harness: Harness) {
    let world = World::of(harness).await;
    let engine = &world.harness.engine;
    let client = world.create(json!({})).await.unwrap();
    let other = pool::create(engine, "other", document(json!({})))
        .await
        .unwrap();
    load_of(engine, world.pool.id(), client.id()).await.unwrap();
    let absent = (
        Refusal::ResourceNotFound,
        format!("User pool client {} does not exist.", client.id()),
    );
    for error in [
        load_of(engine, other.id(), client.id())
            .await
            .map(drop)
            .unwrap_err(),
        update(engine, &other, client.id(), None, document(json!({})))
            .await
            .map(drop)
            .unwrap_err(),
        delete(engine, other.id(), client.id()).await.unwrap_err(),
    ] {
        assert_eq!((error.refusal().unwrap(), error.to_string()), absent);
    }
    delete(engine, world.pool.id(), client.id()).await.unwrap();
    let error = load(engine, client.id()).await.map(drop).unwrap_err();
    assert_eq!((error.refusal().unwrap(), error.to_string()), absent);
}

async fn a_pool_that_is_gone_gets_no_clients(harness: Harness) {
    let world = World::of(harness).await;
    let engine = &world.harness.engine;
    pool::delete(engine, world.pool.id()).await.unwrap();
    let error = create(engine, &world.pool, "late", document(json!({})))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::ResourceNotFound));
}

async fn clients_are_listed_in_pages(harness: Harness) {
    let world = World::of(harness).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.create(json!({})).await.unwrap().id().to_owned());
    }
    ids.sort();
    let engine = &world.harness.engine;
    let found = |page: &crate::page::Page<Summary>| {
        page.items
            .iter()
            .map(|one| one.id.clone())
            .collect::<Vec<_>>()
    };
    let first = list(engine, &world.pool, 2, None).await.unwrap();
    assert_eq!(found(&first), ids[..2]);
    let rest = list(engine, &world.pool, 2, first.next.as_deref())
        .await
        .unwrap();
    assert_eq!((found(&rest), rest.next), (ids[2..].to_vec(), None));
}

crate::harness::on_both_stores! {
    a_secret_is_sealed_and_proved,
    an_update_replaces_all_but_the_secret,
    an_update_loses_nothing_of_another_nodes,
    a_client_is_found_in_its_own_pool_only,
    a_pool_that_is_gone_gets_no_clients,
    clients_are_listed_in_pages,
}
