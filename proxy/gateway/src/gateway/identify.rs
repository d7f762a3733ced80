//! Whose request it is: nobody's, or the one a bearer token names.

mod places;

use std::{borrow::Cow, time::SystemTime};

use decision::Claims;
use http::{HeaderValue, header};
use serde_json::Value;
use settings::TokenPlace;
use token::{Claim, Object, TokenUse, Verified, Verifier};

use super::{head::Head, refuse::Refusal};
use crate::snapshot::Authenticate;

/// A caller whose token verified.
pub(crate) struct Caller {
    verified: Verified,
}

/// Finds out who calls; `None` where the route asks nobody.
///
/// INVARIANT: what this takes out of the head is gone before anything is decided, so that policies see what the upstream
/// gets.
pub(super) async fn identify(
    authenticate: &Authenticate,
    tokens: &Verifier,
    head: &mut Head,
    now: SystemTime,
) -> Result<Option<Caller>, Refusal> {
    let Authenticate::Bearer {
        issuers,
        requirements,
        places,
    } = authenticate
    else {
        return Ok(None);
    };
    let refused = |why| Refusal::Token {
        why,
        scopes: requirements.scopes.clone(),
    };
    let token = match places.as_slice() {
        [TokenPlace::Header] => Cow::Borrowed(in_header(head).map_err(refused)?),
        places => Cow::Owned(places::take(head, places).map_err(refused)?),
    };
    let result = tokens.verify(&token, issuers, requirements, now).await;
    let verified = result.map_err(refused)?;
    Ok(Some(Caller { verified }))
}

/// Takes the token out of a request that goes on without anybody asking whose it is, wherever the route takes tokens from.
pub(super) fn withdraw(authenticate: &Authenticate, head: &mut Head) -> Result<(), Refusal> {
    head.headers.remove(header::AUTHORIZATION);
    head.headers.remove(header::COOKIE);
    let Authenticate::Bearer {
        places,
        requirements,
        ..
    } = authenticate
    else {
        return Ok(());
    };
    match places::take(head, places) {
        Err(why @ token::Refusal::Ambiguous) => Err(Refusal::Token {
            why,
            scopes: requirements.scopes.clone(),
        }),
        _ => Ok(()),
    }
}

fn in_header(head: &Head) -> Result<&str, token::Refusal> {
    let values = head.headers.get_all(header::AUTHORIZATION);
    token::bearer(values.iter().map(HeaderValue::as_bytes))
}

impl Caller {
    /// What the token says.
    pub(super) fn claims(&self) -> Object<'_> {
        self.verified.raw()
    }

    /// Its id in policies and records.
    pub(super) fn principal(&self) -> Option<&str> {
        self.verified.principal()
    }

    /// Its issuer's name in the settings.
    pub(super) fn issuer(&self) -> &str {
        self.verified.issuer()
    }

    /// Whether the token was only looked up.
    pub(super) fn is_remembered(&self) -> bool {
        self.verified.remembered
    }
}

impl decision::Caller for Caller {
    // INVARIANT: `decide` asks policies only about callers that have a principal.
    fn id(&self) -> &str {
        self.principal().unwrap_or_default()
    }

    fn group_prefix(&self) -> Option<&str> {
        self.verified.prefix()
    }

    fn groups(&self) -> Vec<&str> {
        self.verified.groups().collect()
    }

    fn id_claims(&self) -> Option<impl Claims> {
        (self.verified.token_use() == Some(TokenUse::Id)).then(|| Said(self.claims()))
    }

    fn access_claims(&self) -> Option<impl Claims> {
        (self.verified.token_use() != Some(TokenUse::Id)).then(|| Said(self.claims()))
    }

    fn digest(&self) -> Option<[u8; 16]> {
        self.verified.digest
    }
}

/// What a token says, as decisions ask for it.
struct Said<'c>(Object<'c>);

impl Claims for Said<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.0.get(name).map(Claim::to_value).map(Cow::Owned)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name)
    }
}
