//! What a token must be, written once more over a reader of JSON that keeps names given twice.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use token::{Kind, Rules, TokenUse};

use super::PAIRS;
use crate::json::{self, Json};

/// What is known of an accepted token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) sub: String,
    pub(super) exp: u64,
    pub(super) use_: Option<TokenUse>,
}

type Members = [(String, Json)];

pub(super) fn accepts(token: &str, rules: &Rules, now: u64) -> Option<Accepted> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return None;
    };
    if token.len() > 16 * 1024 {
        return None;
    }
    let (header, claims) = (object(header)?, object(payload)?);
    let (header, claims) = (header.unambiguous()?, claims.unambiguous()?);
    let message = &token.as_bytes()[..token.len() - signature.len() - 1];
    let signature = BASE64.decode(signature).ok()?;
    let alg = get(header, "alg")?.text()?;
    let kid = optional(header, "kid")?;
    let is_signed = is_plain(header)? && PAIRS.hold(kid, alg, message, &signature);
    let is_ours = get(claims, "iss")?.text()? == rules.iss;
    if !is_signed || !is_ours || !is_typed(claims, rules)? {
        return None;
    }
    let exp = lives(claims, now)?;
    let use_ = for_us(claims, rules.kind)?;
    let sub = get(claims, "sub")?.text()?;
    let sub = Some(sub.to_owned()).filter(|sub| !sub.is_empty())?;
    Some(Accepted { sub, exp, use_ })
}

fn object(part: &str) -> Option<Json> {
    json::read(str::from_utf8(&BASE64.decode(part).ok()?).ok()?)
}

fn get<'m>(members: &'m Members, name: &str) -> Option<&'m Json> {
    let found = members.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value)
}

/// Nothing where it is there and no text.
#[expect(clippy::option_option, reason = "absent is not the same as wrong")]
fn optional<'m>(members: &'m Members, name: &str) -> Option<Option<&'m str>> {
    match get(members, name) {
        None => Some(None),
        Some(value) => value.text().map(Some),
    }
}

/// RFC 8725 sections 3.5, 3.10 and 3.11: no key, no extension and no type of the sender's choice.
fn is_plain(header: &Members) -> Option<bool> {
    let refused = ["crit", "jwk", "jku", "x5u", "x5c", "cty", "zip"];
    let is_bare = !refused.iter().any(|name| get(header, name).is_some());
    let typ = optional(header, "typ")?.map(str::to_ascii_lowercase);
    let types = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];
    Some(is_bare && typ.is_none_or(|typ| types.contains(&&*typ)))
}

fn is_typed(claims: &Members, rules: &Rules) -> Option<bool> {
    for name in ["client_id", "azp", "jti", "origin_jti"] {
        optional(claims, name)?;
    }
    let is_list = |name: &str| match get(claims, name) {
        None | Some(Json::Text(_)) => true,
        Some(Json::List(items)) => items.iter().all(|item| item.text().is_some()),
        Some(_) => false,
    };
    let lists = ["scope", "scp", &*rules.naming.group_claim];
    Some(lists.into_iter().all(is_list))
}

/// Its `exp`, in whole seconds, if it is good now give or take five seconds.
fn lives(claims: &Members, now: u64) -> Option<u64> {
    let seconds = |name: &str| match get(claims, name) {
        None => Some(None),
        Some(value) => {
            let number = value.number()?;
            let in_range = (0.0..=253_402_300_799.0).contains(&number);
            in_range.then(|| Some(number.floor()))
        }
    };
    let (exp, nbf, iat) = (seconds("exp")??, seconds("nbf")?, seconds("iat")?);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let now = now as f64;
    let begun = [nbf, iat]
        .into_iter()
        .flatten()
        .all(|start| start <= now + 5.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked above"
    )]
    (begun && exp + 5.0 > now).then_some(exp as u64)
}

#[expect(
    clippy::option_option,
    reason = "tokens of others have no use, and refused ones no answer"
)]
fn for_us(claims: &Members, kind: Kind) -> Option<Option<TokenUse>> {
    let aud = get(claims, "aud");
    match kind {
        Kind::Cognito => {
            let (use_, client) = match get(claims, "token_use")?.text()? {
                "access" => (TokenUse::Access, get(claims, "client_id")),
                "id" => (TokenUse::Id, aud),
                _ => return None,
            };
            (client?.text()? == "web").then_some(Some(use_))
        }
        Kind::Oidc => {
            let fits = match aud? {
                Json::Text(one) => one == "pets",
                Json::List(many) => {
                    let texts: Option<Vec<&str>> = many.iter().map(Json::text).collect();
                    texts?.contains(&"pets")
                }
                _ => false,
            };
            (fits && get(claims, "events").is_none()).then_some(None)
        }
    }
}
