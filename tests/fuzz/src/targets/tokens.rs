//! Tokens against a second specification: header, payload and perhaps a signature, a line each, or a whole token.
//!
//! What has no signature is signed with the key of the header's `alg`, so that mutations reach what is behind it.

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use token::{
    Audience, BoxFuture, Issuer, KeySet, Keys, Kind, Limits, Naming, Requirements, Rules, TokenUse,
    Verifier,
};

mod specification;

use specification::{Accepted, accepts};

pub(super) fn run(data: &[u8]) {
    let Some(token) = token(data) else {
        return;
    };
    for rules in &*RULES {
        let expected = accepts(&token, rules, NOW);
        let found = token::verify(&token, &PAIRS.set, rules, LEEWAY, now());
        match (&found, &expected) {
            (Ok(claims), Some(said)) => {
                let (sub, exp) = (claims.sub().to_owned(), claims.exp());
                assert_eq!(
                    Accepted {
                        sub,
                        exp,
                        use_: claims.token_use()
                    },
                    *said
                );
            }
            (Err(_), None) => {}
            _ => panic!("{found:?}, not {expected:?} of `{}`: {token}", rules.name),
        }
        again(&token, rules, expected.as_ref());
    }
}

/// On a route, remembered or not: access tokens of this issuer alone.
fn again(token: &str, rules: &Rules, said: Option<&Accepted>) {
    let allowed = VERIFIER.index(&rules.name).unwrap();
    let fits = said.is_some_and(|said| said.use_ != Some(TokenUse::Id));
    for _ in 0..2 {
        let asked = Requirements::default();
        let mut waiting =
            pin!(VERIFIER.verify(token, std::slice::from_ref(&allowed), &asked, now()));
        let Poll::Ready(found) = waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("verification waits");
        };
        assert_eq!(found.is_ok(), fits, "`{}`: {token}", rules.name);
        if let (Ok(found), Some(said)) = (found, said) {
            assert_eq!((found.sub(), found.exp()), (&*said.sub, said.exp));
        }
    }
}

fn token(data: &[u8]) -> Option<String> {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let header = lines.next()?;
    let Some(payload) = lines.next() else {
        return str::from_utf8(data).ok().map(str::to_owned);
    };
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = match lines.next().map(<[u8]>::trim_ascii) {
        Some(given) if !given.is_empty() => str::from_utf8(given).ok()?.to_owned(),
        _ => BASE64.encode(PAIRS.sign(header, message.as_bytes())),
    };
    Some(format!("{message}.{signature}"))
}

/// The keys of both issuers.
struct Pairs {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
    set: Arc<KeySet>,
}

impl Pairs {
    fn read() -> Self {
        let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let ec = include_bytes!("../keys/es256.p8");
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec).unwrap();
        let rsa = RsaKeyPair::from_pkcs8(include_bytes!("../keys/rs256.p8")).unwrap();
        let point = ec.public_key().as_ref();
        let public = rsa.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let set = serde_json::json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": BASE64.encode(ed.public_key())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
            {"kty": "RSA", "kid": "rsa", "alg": "RS256", "n": BASE64.encode(n.big_endian_without_leading_zero()),
                "e": BASE64.encode(e.big_endian_without_leading_zero())},
        ]});
        let (set, ignored) = KeySet::parse(1, set.to_string().as_bytes()).unwrap();
        assert!(ignored.is_empty(), "{ignored:?}");
        let set = Arc::new(set);
        Self { ed, ec, rsa, set }
    }

    fn sign(&self, header: &[u8], message: &[u8]) -> Vec<u8> {
        let says = |alg: &str| String::from_utf8_lossy(header).contains(alg);
        if says("ES256") {
            let signature = self.ec.sign(&SystemRandom::new(), message);
            return signature.unwrap().as_ref().to_vec();
        }
        if !says("RS256") {
            return self.ed.sign(message).as_ref().to_vec();
        }
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let made = self.rsa.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        );
        made.unwrap();
        signature
    }

    /// Whether the key of that name, or any, made a signature of that algorithm.
    fn hold(&self, kid: Option<&str>, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        let (name, how, public): (_, &'static dyn VerificationAlgorithm, _) = match alg {
            "EdDSA" | "Ed25519" => ("ed", &ED25519, self.ed.public_key().as_ref()),
            "ES256" => (
                "ec",
                &ECDSA_P256_SHA256_FIXED,
                self.ec.public_key().as_ref(),
            ),
            "RS256" => (
                "rsa",
                &RSA_PKCS1_2048_8192_SHA256,
                self.rsa.public_key().as_ref(),
            ),
            _ => return false,
        };
        let named = kid.is_none_or(|kid| kid == name);
        named
            && UnparsedPublicKey::new(how, public)
                .verify(message, signature)
                .is_ok()
    }
}

struct Known;

impl Keys for Known {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&PAIRS.set)
    }

    fn fetch_unknown<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        Box::pin(std::future::ready(self.current()))
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn rules(name: &str, iss: &str, kind: Kind, audience: &str) -> Rules {
    Rules {
        name: name.into(),
        iss: iss.to_owned(),
        kind,
        audience: Audience::AnyOf(vec![audience.to_owned()]),
        naming: match kind {
            Kind::Cognito => Naming::cognito("us-east-1_Test00001"),
            Kind::Oidc => Naming::oidc(),
        },
    }
}

static PAIRS: LazyLock<Pairs> = LazyLock::new(Pairs::read);

static RULES: LazyLock<[Arc<Rules>; 2]> = LazyLock::new(|| {
    let pool = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Test00001";
    let pool = rules("pool", pool, Kind::Cognito, "web");
    let oidc = rules("oidc", "https://id.example.com", Kind::Oidc, "pets");
    [pool, oidc].map(Arc::new)
});

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let issuer = |rules: &Arc<Rules>| Issuer::new(Rules::clone(rules), Arc::new(Known), None);
    Verifier::new(RULES.iter().map(issuer).collect(), Limits::default()).unwrap()
});

const NOW: u64 = 1_800_000_000;

const LEEWAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Else both specifications could refuse all there is.
    #[test]
    fn the_controls_are_accepted() {
        for data in [
            &include_bytes!("../../corpus/tokens/control-EdDSA")[..],
            include_bytes!("../../corpus/tokens/control-ES256"),
            include_bytes!("../../corpus/tokens/control-RS256"),
            include_bytes!("../../corpus/tokens/access"),
            include_bytes!("../../corpus/tokens/id"),
            include_bytes!("../../corpus/tokens/oidc"),
            include_bytes!("../../corpus/tokens/rs256"),
        ] {
            let token = token(data).unwrap();
            let accepting = RULES
                .iter()
                .filter(|rules| accepts(&token, rules, NOW).is_some());
            assert_eq!(accepting.count(), 1, "{token}");
        }
    }
}
