//! JWK (RFC 7517, 7518 section 6, 8037) to keys that can verify, and nothing else.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk,
    KeyOperations, OctetKeyPairParameters, PublicKeyUse, RSAKeyParameters,
};
use serde_json::Value;

use super::Key;
use crate::{Algorithm, packed};

/// Why a key of a set is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Not a JWK.
    #[error("is not a JWK")]
    Malformed,
    /// `kty: oct`: a shared secret has no place in a public key set.
    #[error("is symmetric")]
    Symmetric,
    /// `use` is not `sig`.
    #[error("is not meant for signatures")]
    Use,
    /// `key_ops` lacks `verify`.
    #[error("is not meant to verify")]
    Operations,
    /// `alg`, `kty` and `crv` are unknown or do not fit each other.
    #[error("has an algorithm that is not supported or does not fit its type")]
    Algorithm,
    /// An RSA modulus under 2048 or over 8192 bits, or an exponent that is even or 1.
    #[error("is weak or has a size that is not supported")]
    Weak,
    /// Its numbers are no public key.
    #[error("is not a valid public key")]
    Invalid,
}

/// A document that is not a JWK set at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JWK set: a JSON object with an array `keys` is expected")]
pub struct MalformedKeySet;

pub(super) fn parse_set(document: &[u8]) -> Result<(Vec<Key>, Vec<Ignored>), MalformedKeySet> {
    let set = packed::tree(document).ok_or(MalformedKeySet)?;
    let Some(Value::Array(jwks)) = set.get("keys") else {
        return Err(MalformedKeySet);
    };
    Ok(parse_all(jwks))
}

/// Those that can verify, and why the others cannot.
pub(super) fn parse_all(jwks: &[Value]) -> (Vec<Key>, Vec<Ignored>) {
    let (mut keys, mut ignored) = (Vec::new(), Vec::new());
    for jwk in jwks {
        match parse(jwk) {
            Ok(key) => keys.push(key),
            Err(reason) => ignored.push(reason),
        }
    }
    (keys, ignored)
}

pub(super) fn parse(jwk: &Value) -> Result<Key, Ignored> {
    let declared = declared(jwk)?;
    let jwk: Jwk = serde::Deserialize::deserialize(jwk).map_err(|_| Ignored::Malformed)?;
    if let AlgorithmParameters::OctetKey(_) = jwk.algorithm {
        return Err(Ignored::Symmetric);
    }
    check_purpose(&jwk.common)?;
    let declared = declared.map(|name| Algorithm::named(&name).ok_or(Ignored::Algorithm));
    let declared = declared.transpose()?;
    let verifiers = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => parse_rsa(rsa, declared)?,
        AlgorithmParameters::EllipticCurve(curve) => vec![parse_curve(curve, declared)?],
        AlgorithmParameters::OctetKeyPair(pair) => vec![parse_pair(pair, declared)?],
        _ => return Err(Ignored::Algorithm),
    };
    Ok(Key {
        kid: jwk.common.key_id,
        verifiers,
    })
}

/// The key's `alg`, where it has one.
fn declared(jwk: &Value) -> Result<Option<String>, Ignored> {
    match jwk.get("alg") {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(Ignored::Malformed),
    }
}

fn check_purpose(common: &CommonParameters) -> Result<(), Ignored> {
    if common
        .public_key_use
        .as_ref()
        .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
    {
        return Err(Ignored::Use);
    }
    if common
        .key_operations
        .as_ref()
        .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
    {
        return Err(Ignored::Operations);
    }
    Ok(())
}

/// An RSA key is for the algorithm its `alg` names. One without may have signed with any of RSA's (RFC 7517 section 4.4,
/// RFC 7518 section 3.1): which, the token says, but never one that is not asymmetric.
fn parse_rsa(
    rsa: &RSAKeyParameters,
    declared: Option<Algorithm>,
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, Ignored> {
    let (n, e) = (number(&rsa.n)?, number(&rsa.e)?);
    if !(2048..=8192).contains(&bits(&n)) || is_even(&n) || is_even(&e) || e == [1] || e.len() > 4 {
        return Err(Ignored::Weak);
    }
    let components = RsaPublicKeyComponents { n, e };
    let verifier = |algorithm: Algorithm| {
        let public = components
            .to_parsed_public_key(rsa_parameters(algorithm)?)
            .map_err(|_| Ignored::Invalid)?;
        Ok((algorithm, public))
    };
    match declared {
        Some(algorithm) => Ok(vec![verifier(algorithm)?]),
        None => Algorithm::RSA.into_iter().map(verifier).collect(),
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Result<&'static RsaParameters, Ignored> {
    Ok(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => {
            return Err(Ignored::Algorithm);
        }
    })
}

fn parse_curve(
    key: &EllipticCurveKeyParameters,
    declared: Option<Algorithm>,
) -> Result<(Algorithm, ParsedPublicKey), Ignored> {
    let (algorithm, verification, size): (_, &'static dyn VerificationAlgorithm, _) =
        match key.curve {
            EllipticCurve::P256 => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
            EllipticCurve::P384 => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
            EllipticCurve::P521 => (Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
            _ => return Err(Ignored::Algorithm),
        };
    // RFC 7518 section 6.2.1.2: a coordinate has the field's full length.
    let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
    if x.len() != size || y.len() != size {
        return Err(Ignored::Invalid);
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok((
        agree(declared, algorithm)?,
        ParsedPublicKey::new(verification, point).map_err(|_| Ignored::Invalid)?,
    ))
}

fn parse_pair(
    key: &OctetKeyPairParameters,
    declared: Option<Algorithm>,
) -> Result<(Algorithm, ParsedPublicKey), Ignored> {
    if key.curve != EllipticCurve::Ed25519 {
        return Err(Ignored::Algorithm);
    }
    let public = ParsedPublicKey::new(&ED25519, bytes(&key.x)?).map_err(|_| Ignored::Invalid)?;
    Ok((agree(declared, Algorithm::EdDsa)?, public))
}

/// The curve fixes the algorithm; an `alg` that says otherwise makes the key unusable.
fn agree(declared: Option<Algorithm>, by_curve: Algorithm) -> Result<Algorithm, Ignored> {
    if declared.is_some_and(|declared| declared != by_curve) {
        Err(Ignored::Algorithm)
    } else {
        Ok(by_curve)
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Ignored> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Ignored::Invalid)
}

/// A big-endian number without leading zeros, which some providers send against RFC 7518 section 2.
fn number(text: &str) -> Result<Vec<u8>, Ignored> {
    let padded = bytes(text)?;
    let first = padded
        .iter()
        .position(|byte| *byte != 0)
        .ok_or(Ignored::Invalid)?;
    Ok(padded.into_iter().skip(first).collect())
}

fn bits(number: &[u8]) -> usize {
    let leading = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte % 2 == 0)
}

#[cfg(test)]
mod tests;
