//! What ours is compared with: the bare library call, its inputs prepared.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, Schema,
};
use serde_json::{Map, Value, json};
use token::Verified;

use crate::{
    Pool,
    gate::{CONDITIONAL, petstore},
};

/// The signature of one token, and the key.
pub struct BareVerifier {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl BareVerifier {
    /// Of a token and the pool's published keys.
    pub async fn new(pool: &Pool, token: &str) -> Result<Self> {
        let (message, signature) = token
            .rsplit_once('.')
            .context("the token has no signature")?;
        let header = message
            .split('.')
            .next()
            .context("the token has no header")?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
        let keys: Value =
            serde_json::from_str(&engine::signing_key::jwks(&pool.engine, Pool::ID).await?)?;
        let keys = keys
            .get("keys")
            .and_then(Value::as_array)
            .context("the key set has no keys")?;
        let key = keys
            .iter()
            .find(|key| key.get("kid") == header.get("kid"))
            .context("the key is not published")?;
        let part = |name: &str| -> Result<Vec<u8>> {
            let part = key
                .get(name)
                .and_then(Value::as_str)
                .context("the key lacks a part")?;
            Ok(URL_SAFE_NO_PAD.decode(part)?)
        };
        let key = RsaPublicKeyComponents {
            n: part("n")?,
            e: part("e")?,
        };
        Ok(Self {
            key: key
                .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                .map_err(|_| anyhow!("the key is none"))?,
            message: message.as_bytes().to_vec(),
            signature: URL_SAFE_NO_PAD.decode(signature)?,
        })
    }

    /// Whether it is good.
    pub fn verify(&self) -> bool {
        self.key.verify_sig(&self.message, &self.signature).is_ok()
    }
}

/// A key of its own, and a message of a token's size.
pub struct BareSigner {
    pair: RsaKeyPair,
    signature: Vec<u8>,
}

impl BareSigner {
    /// RSA of 2048 bits.
    pub fn new() -> Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        Ok(Self {
            signature: vec![0; pair.public_modulus_len()],
            pair,
        })
    }

    /// Signs; whether that went well.
    pub fn sign(&mut self) -> bool {
        let message = [b'x'; 800];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                &message,
                &mut self.signature,
            )
            .is_ok()
    }
}

/// All policies of the pet store, and one more, and one request with all that the schema declares of it, as Cedar wants them.
pub struct BareDecision {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    request: Request,
}

impl BareDecision {
    /// The caller of a verified token gets a pet.
    pub fn new(verified: &Verified) -> Result<Self> {
        let (schema, _) = Schema::from_cedarschema_str(&fs::read_to_string(
            petstore().join("petstore.cedarschema"),
        )?)?;
        let principal: EntityUid = format!(
            r#"PetStore::User::"{}""#,
            verified.principal().unwrap_or_default()
        )
        .parse()?;
        let action = r#"PetStore::Action::"get /pets/{petId}""#.parse()?;
        let context = Context::from_json_value(context(verified), Some((&schema, &action)))?;
        let group: EntityTypeName = "PetStore::UserGroup".parse()?;
        let groups = verified.groups().map(|name| {
            let id = EntityId::new(format!("{}|{name}", Pool::ID));
            EntityUid::from_type_name_and_id(group.clone(), id)
        });
        let user = Entity::new_no_attrs(principal.clone(), groups.collect());
        let resource = r#"PetStore::Application::"PetStore""#.parse()?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: policies(&petstore())?,
            entities: Entities::from_entities([user], Some(&schema))?,
            request: Request::new(principal, action, resource, context, Some(&schema))?,
        })
    }

    /// Whether it is allowed.
    pub fn decide(&self) -> bool {
        self.authorizer
            .is_authorized(&self.request, &self.policies, &self.entities)
            .decision()
            == Decision::Allow
    }
}

/// Seconds of processor time that OpenSSL needs for an RSA signature of 2048 bits, as one second of `openssl speed` has it.
pub fn openssl_sign_seconds() -> Result<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "1", "-mr", "rsa2048"])
        .output()?;
    ensure!(output.status.success(), "`openssl speed` failed");
    seconds_told(&String::from_utf8(output.stdout)?)
}

/// The last line, for programs: `+F2`, a number, the bits, and signatures a second.
fn seconds_told(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("+F2:"));
    let rate = line
        .and_then(|line| line.split(':').nth(2))
        .context("no figure in what `openssl speed` says")?;
    let rate: f64 = rate
        .parse()
        .with_context(|| format!("`{rate}` is no rate"))?;
    ensure!(rate > 0.0, "OpenSSL made no signature");
    Ok(rate.recip())
}

fn context(verified: &Verified) -> Value {
    let claims = verified.raw().iter();
    let declared = ["sub", "username", "client_id", "auth_time"];
    let mut token: Map<String, Value> = claims
        .filter(|(name, _)| declared.contains(name))
        .map(|(name, claim)| (name.to_owned(), claim.to_value()))
        .collect();
    token.insert("scope".into(), verified.scopes().collect());
    json!({
        "token": token, "method": "GET", "path": "/pets/1", "clientIp": "127.0.0.1", "time": "2026-01-01T00:00:00Z",
        "pathParameters": {"petId": "1"}, "queryStringParameters": {},
    })
}

fn policies(dir: &Path) -> Result<PolicySet> {
    let mut text = CONDITIONAL.to_owned();
    for name in ["owners.cedar", "readers.cedar", "writers.cedar"] {
        text += &fs::read_to_string(dir.join(name))?;
    }
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_is_understood() {
        let said =
            "+DTP:2048:private:rsa:1\n+R1:1657:2048:0.47\n+F2:2:2048:4000.000000:45722.448980\n";
        assert!((seconds_told(said).unwrap() - 0.000_25).abs() < 1e-9);
        for said in ["", "+F2:2", "+F2:2:2048:0.0:1.0", "+F2:2:2048:many:1.0"] {
            assert!(seconds_told(said).is_err(), "{said}");
        }
    }
}
