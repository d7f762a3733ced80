//! Many callers of one issuer, each with a token of its own.

use std::{
    fs,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use decision::Guard;
use serde_json::{Value, json};
use token::{
    Audience, BoxFuture, Issuer, IssuerIndex, KeySet, Keys, Kind, Limits, Naming, Requirements,
    Rules, Verifier,
};

use crate::{Head, Pool, Who, at_once, gate::guard};

/// An issuer with a key of its own, and the gate's parts that remember its callers.
pub struct Crowd {
    pair: Ed25519KeyPair,
    verifier: Verifier,
    issuer: IssuerIndex,
    guard: Guard,
}

impl Crowd {
    /// With the limits that the gate has where the settings say nothing.
    pub fn new() -> Result<Self> {
        let pair = Ed25519KeyPair::generate()?;
        let rules = Rules {
            name: "pets".into(),
            iss: ISS.into(),
            kind: Kind::Cognito,
            audience: Audience::AnyOf(vec![CLIENT.into()]),
            naming: Naming::cognito(Pool::ID),
        };
        let keys = Arc::new(Fixed(Arc::new(key_set(&pair)?)));
        let verifier = Verifier::new(vec![Issuer::new(rules, keys, None)], Limits::default())?;
        Ok(Self {
            issuer: verifier.index("pets").context("the issuer is not there")?,
            pair,
            verifier,
            guard: guard()?,
        })
    }

    /// The token of a caller, the same each time: what a Cognito pool issues, but for the signature, which is of a kind that is
    /// made soon.
    pub fn token(&self, caller: u32) -> String {
        let header = json!({"kid": KID, "alg": "EdDSA"});
        let message = format!("{}.{}", text(&header), text(&claims(caller)));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Lets a token through to a pet, as the gate does; gives whether the token was remembered.
    pub fn admit(&self, token: &str) -> Result<bool> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let allowed = [self.issuer];
        let requirements = Requirements::default();
        let verified = at_once(self.verifier.verify(token, &allowed, &requirements, now))
            .context("verification waits")?
            .map_err(|refusal| anyhow!("the token is refused: {}", refusal.code()))?;
        let remembered = verified.remembered;
        let who = Who {
            verified,
            remember: true,
        };
        let permit = self.guard.decide(Head, &who, now);
        ensure!(permit.is_ok(), "the caller is not permitted");
        Ok(remembered)
    }
}

/// Resident memory of this process, in bytes (proc(5), `status`).
pub fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.context("no resident memory")?.parse()?;
    Ok(kilobytes * 1024)
}

/// Keys that never change.
struct Fixed(Arc<KeySet>);

impl Keys for Fixed {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0)
    }

    fn fetch_unknown<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        Box::pin(async { self.current() })
    }
}

fn key_set(pair: &Ed25519KeyPair) -> Result<KeySet> {
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": KID, "alg": "EdDSA", "x": public});
    let (set, ignored) = KeySet::parse(1, json!({"keys": [key]}).to_string().as_bytes())?;
    ensure!(ignored.is_empty(), "the key is ignored");
    Ok(set)
}

fn text(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// An access token's claims; no two callers have an id in common.
fn claims(caller: u32) -> Value {
    let id = |kind: &str| format!("{kind}1c3f5e-4b0a-4000-8000-{caller:012}");
    json!({
        "sub": id("7f"), "cognito:groups": ["readers"], "iss": ISS, "client_id": CLIENT,
        "origin_jti": id("8e"), "event_id": id("9d"), "token_use": "access",
        "scope": "aws.cognito.signin.user.admin openid profile pets/read", "auth_time": NOW,
        "exp": NOW + 3600, "iat": NOW, "jti": id("ac"), "username": id("7f"),
    })
}

const ISS: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_PetStore1";
const CLIENT: &str = "4r5s6t7u8v9w0x1y2z3a4b5c6d";
const KID: &str = "vR1fXbZ5Jm8yYw0c4hQ2kT7dLs9uEa3oGi6pNq1rSxU=";
/// When the requests come, in seconds since 1970.
const NOW: u64 = 1_800_000_000;
