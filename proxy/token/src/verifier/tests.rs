use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use super::*;
use crate::{BoxFuture, Keys, Kind, Revocations, TokenUse, fixture::*};

/// Keys whose next set stands ready for whoever asks for an unknown one.
struct Rotating {
    current: ArcSwap<KeySet>,
    next: Mutex<Option<KeySet>>,
    asked: AtomicUsize,
}

impl Rotating {
    fn new(current: KeySet, next: Option<KeySet>) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            next: Mutex::new(next),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Keys for Rotating {
    fn current(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    fn fetch_unknown<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(next) = self.next.lock().unwrap().take() {
            self.current.store(Arc::new(next));
        }
        Box::pin(async { self.current() })
    }
}

/// Revocations that can be set.
struct Feed(Mutex<Standing>);

impl Revocations for Feed {
    fn standing(&self, _: &Claims) -> Standing {
        *self.0.lock().unwrap()
    }
}

/// Revocations that count, and how often they were asked for a token.
#[derive(Default)]
struct Counting {
    version: AtomicU64,
    stale: AtomicBool,
    revoked: AtomicBool,
    asked: AtomicUsize,
}

impl Revocations for Counting {
    fn standing(&self, _: &Claims) -> Standing {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.revoked.load(Ordering::Relaxed) {
            Standing::Revoked
        } else {
            Standing::Live
        }
    }

    fn version(&self) -> Option<u64> {
        let stale = self.stale.load(Ordering::Relaxed);
        (!stale).then(|| self.version.load(Ordering::Relaxed))
    }
}

fn first_keys() -> KeySet {
    key_set(1, &[rsa_jwk(&RSA, "k1")])
}

fn verifier(keys: Arc<Rotating>, revocations: Option<Arc<dyn Revocations>>) -> Verifier {
    let rules = (*rules(Kind::Cognito, &["web"])).clone();
    Verifier::new(
        vec![Issuer::new(rules, keys, revocations)],
        Limits::default(),
    )
    .unwrap()
}

async fn ask(
    verifier: &Verifier,
    token: &str,
    requirements: &Requirements,
) -> Result<Verified, Refusal> {
    let staff = verifier.index("staff").unwrap();
    verifier
        .verify(token, &[staff], requirements, at(NOW))
        .await
}

#[tokio::test]
async fn the_second_time_a_token_is_remembered() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let token = sign(&header(), &access());
    let any = Requirements::default();
    assert!(!ask(&verifier, &token, &any).await.unwrap().remembered);
    let again = ask(&verifier, &token, &any).await.unwrap();
    assert!(again.remembered);
    assert_eq!(again.sub(), "u1");
}

#[tokio::test]
async fn a_remembered_token_expires() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let token = sign(&header(), &access());
    let any = Requirements::default();
    ask(&verifier, &token, &any).await.unwrap();
    let staff = [verifier.index("staff").unwrap()];
    let late = |seconds| verifier.verify(&token, &staff, &any, at(NOW + 3600 + seconds));
    assert!(late(4).await.unwrap().remembered);
    assert_eq!(late(5).await.unwrap_err(), Refusal::Expired);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_takes_remembered_tokens_with_it() {
    let keys = Rotating::new(first_keys(), None);
    let verifier = verifier(Arc::clone(&keys), None);
    let token = sign(&header(), &access());
    let any = Requirements::default();
    ask(&verifier, &token, &any).await.unwrap();
    keys.current
        .store(Arc::new(key_set(2, &[rsa_jwk(&OTHER_RSA, "k2")])));
    assert_eq!(
        ask(&verifier, &token, &any).await.unwrap_err(),
        Refusal::KeyUnknown
    );
    // Back with both: verified anew, since the generation is another.
    keys.current.store(Arc::new(key_set(
        3,
        &[rsa_jwk(&RSA, "k1"), rsa_jwk(&OTHER_RSA, "k2")],
    )));
    assert!(!ask(&verifier, &token, &any).await.unwrap().remembered);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once() {
    let keys = Rotating::new(key_set(1, &[rsa_jwk(&OTHER_RSA, "k0")]), Some(first_keys()));
    let verifier = verifier(Arc::clone(&keys), None);
    assert!(
        ask(
            &verifier,
            &sign(&header(), &access()),
            &Requirements::default()
        )
        .await
        .is_ok()
    );
    assert_eq!(keys.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_that_names_no_key_may_be_signed_by_a_new_one() {
    let old = key_set(1, &[rsa_jwk(&OTHER_RSA, "k0")]);
    let keys = Rotating::new(old, Some(first_keys()));
    let verifier = verifier(Arc::clone(&keys), None);
    let token = sign(&json!({"alg": "RS256"}), &access());
    assert!(
        ask(&verifier, &token, &Requirements::default())
            .await
            .is_ok()
    );
    assert_eq!(keys.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_no_key_could_verify_fetches_nothing() {
    let keys = Rotating::new(first_keys(), None);
    let verifier = verifier(Arc::clone(&keys), None);
    for (header, claims) in [
        (json!({"alg": "HS256", "kid": "new"}), access()),
        (json!({"alg": "ES256", "kid": "k1"}), access()),
        (
            json!({"alg": "RS256", "kid": "new"}),
            with(access(), json!({"iss": "https://evil.test"})),
        ),
    ] {
        ask(&verifier, &sign(&header, &claims), &Requirements::default())
            .await
            .unwrap_err();
    }
    assert_eq!(keys.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn revocation_is_asked_each_time() {
    let feed = Arc::new(Feed(Mutex::new(Standing::Live)));
    let verifier = verifier(
        Rotating::new(first_keys(), None),
        Some(Arc::clone(&feed) as Arc<dyn Revocations>),
    );
    let token = sign(&header(), &access());
    let any = Requirements::default();
    ask(&verifier, &token, &any).await.unwrap();
    *feed.0.lock().unwrap() = Standing::Revoked;
    assert_eq!(
        ask(&verifier, &token, &any).await.unwrap_err(),
        Refusal::Revoked
    );
    *feed.0.lock().unwrap() = Standing::Unknown;
    assert_eq!(
        ask(&verifier, &token, &any).await.unwrap_err(),
        Refusal::RevocationsStale
    );
    *feed.0.lock().unwrap() = Standing::Live;
    assert!(ask(&verifier, &token, &any).await.unwrap().remembered);
}

#[tokio::test]
async fn an_embedded_audience_needs_revocations() {
    let mut rules = (*rules(Kind::Cognito, &[])).clone();
    rules.audience = Audience::Embedded;
    let token = sign(&header(), &access());
    let any = Requirements::default();
    let live: Arc<dyn Revocations> = Arc::new(Feed(Mutex::new(Standing::Live)));
    for (revocations, expected) in [(None, Some(Refusal::AudienceInvalid)), (Some(live), None)] {
        let issuer = Issuer::new(
            rules.clone(),
            Rotating::new(first_keys(), None),
            revocations,
        );
        let verifier = Verifier::new(vec![issuer], Limits::default()).unwrap();
        assert_eq!(ask(&verifier, &token, &any).await.err(), expected);
    }
}

#[tokio::test]
async fn a_route_takes_only_its_issuers() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let token = sign(&header(), &access());
    let any = Requirements::default();
    assert_eq!(
        verifier
            .verify(&token, &[], &any, at(NOW))
            .await
            .unwrap_err(),
        Refusal::IssuerUnknown
    );
    ask(&verifier, &token, &any).await.unwrap();
    assert_eq!(
        verifier
            .verify(&token, &[], &any, at(NOW))
            .await
            .unwrap_err(),
        Refusal::IssuerUnknown
    );
}

#[tokio::test]
async fn a_route_asks_for_kind_scope_and_claims() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let token = sign(&header(), &access());
    let refusal =
        async |requirements: Requirements| ask(&verifier, &token, &requirements).await.err();
    let claims = |name: &str, value: &str| Requirements {
        claims: [(name.to_owned(), vec![value.to_owned()])].into(),
        ..Requirements::default()
    };
    let scope = |scope: &str| Requirements {
        scopes: vec!["x".into(), scope.into()],
        ..Requirements::default()
    };
    let id_only = Requirements {
        token_use: vec![TokenUse::Id],
        ..Requirements::default()
    };
    assert_eq!(refusal(id_only).await, Some(Refusal::TokenUseInvalid));
    assert_eq!(refusal(scope("pets/read")).await, None);
    assert_eq!(refusal(scope("pets")).await, Some(Refusal::ScopeMissing));
    assert_eq!(refusal(claims("username", "ann")).await, None);
    assert_eq!(
        refusal(claims("username", "Ann")).await,
        Some(Refusal::ClaimMismatch)
    );
    assert_eq!(
        refusal(claims("absent", "")).await,
        Some(Refusal::ClaimMismatch)
    );
    assert_eq!(refusal(claims("cognito:groups", "readers")).await, None);
    assert_eq!(refusal(claims("auth_time", &NOW.to_string())).await, None);
}

#[tokio::test]
async fn an_id_token_passes_only_where_it_is_named() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let id = with(
        access(),
        json!({"token_use": "id", "client_id": null, "aud": "web"}),
    );
    let token = sign(&header(), &id);
    let default = ask(&verifier, &token, &Requirements::default()).await;
    assert_eq!(default.unwrap_err(), Refusal::TokenUseInvalid);
    let both = Requirements {
        token_use: vec![TokenUse::Access, TokenUse::Id],
        ..Requirements::default()
    };
    assert!(ask(&verifier, &token, &both).await.is_ok());
}

#[test]
fn two_issuers_with_one_iss_are_refused() {
    let issuer = || {
        let rules = (*rules(Kind::Cognito, &["web"])).clone();
        Issuer::new(rules, Rotating::new(first_keys(), None), None)
    };
    assert!(Verifier::new(vec![issuer(), issuer()], Limits::default()).is_err());
}

#[tokio::test]
async fn memory_is_bounded() {
    let rules = (*rules(Kind::Cognito, &["web"])).clone();
    let issuer = Issuer::new(rules, Rotating::new(first_keys(), None), None);
    let limits = Limits {
        remembered_bytes: 20_000,
        ..Limits::default()
    };
    let verifier = Verifier::new(vec![issuer], limits).unwrap();
    let none = Requirements::default();
    let tokens = (0..40).map(|jti| {
        let claims: Value = with(
            access(),
            json!({"jti": jti.to_string(), "more": "x".repeat(1000)}),
        );
        sign(&header(), &claims)
    });
    let tokens: Vec<String> = tokens.collect();
    let mut remembered = 0;
    for token in tokens.iter().chain(tokens.iter().rev()) {
        let known = ask(&verifier, token, &none).await.unwrap();
        remembered += usize::from(known.remembered);
        assert!(verifier.remembered.weight() <= 20_000);
    }
    // Of tokens of a kilobyte and more, there is no room for as many as there are kilobytes.
    assert!((1..20).contains(&remembered), "{remembered}");
}

#[tokio::test]
async fn revocations_are_asked_again_when_they_grow_or_cannot_say() {
    let feed = Arc::new(Counting::default());
    let verifier = verifier(Rotating::new(first_keys(), None), Some(feed.clone()));
    let token = sign(&header(), &access());
    let none = Requirements::default();
    let asked = || feed.asked.load(Ordering::Relaxed);
    ask(&verifier, &token, &none).await.unwrap();
    ask(&verifier, &token, &none).await.unwrap();
    assert_eq!(asked(), 1, "nothing was revoked in between");
    feed.stale.store(true, Ordering::Relaxed);
    ask(&verifier, &token, &none).await.unwrap();
    assert_eq!(asked(), 2, "the feed could not say");
    feed.stale.store(false, Ordering::Relaxed);
    feed.revoked.store(true, Ordering::Relaxed);
    feed.version.fetch_add(1, Ordering::Relaxed);
    for _ in 0..2 {
        let end = ask(&verifier, &token, &none).await;
        assert_eq!(end.unwrap_err(), Refusal::Revoked);
    }
    assert_eq!(asked(), 4, "what is not live is asked each time");
}

#[tokio::test]
async fn no_digest_is_shown() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let token = sign(&header(), &access());
    let any = Requirements::default();
    let mut passed = ask(&verifier, &token, &any).await.unwrap();
    let shown = format!("{:?}", Digest::of(&token));
    assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    let shown = format!("{passed:?}");
    passed.digest = Some([0xa5; 16]);
    assert_eq!(format!("{passed:?}"), shown);
}

#[tokio::test]
async fn headers_of_tokens_that_verified_are_remembered() {
    let verifier = verifier(Rotating::new(first_keys(), None), None);
    let any = Requirements::default();
    let forged = sign(&json!({"kid": "k1", "alg": "ES256"}), &access());
    let token = sign(&header(), &access());
    let other = sign(&header(), &with(access(), json!({"sub": "u2"})));
    let text = |token: &str| token.split('.').next().unwrap().to_owned();
    ask(&verifier, &forged, &any).await.unwrap_err();
    assert!(verifier.headers.get(&text(&forged)).is_none());
    ask(&verifier, &token, &any).await.unwrap();
    assert!(verifier.headers.get(&text(&token)).is_some());
    assert_eq!(ask(&verifier, &other, &any).await.unwrap().sub(), "u2");
    let (message, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    let mixed = ask(&verifier, &format!("{message}.{signature}"), &any).await;
    assert_eq!(mixed.unwrap_err(), Refusal::SignatureInvalid);
}
