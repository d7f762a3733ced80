//! Whose request it is: nobody's, or the one a bearer token names.

mod places;

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use decision::Claims;
use http::{HeaderValue, header};
use serde_json::Value;
use settings::TokenPlace;
use token::{Claim, IssuerIndex, Object, Requirements, TokenUse, Verified, Verifier};

use super::{head::Head, refuse::Refusal};
use crate::snapshot::Authenticate;

/// A caller whose token verified.
#[derive(Clone)]
pub(crate) struct Caller {
    verified: Verified,
    /// Where it was taken out of the head.
    taken: Option<Arc<Taken>>,
}

/// A token that is in its head no more.
struct Taken {
    token: String,
    place: TokenPlace,
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
    let found = match places.as_slice() {
        [TokenPlace::Header] => Ok(None),
        places => places::take(head, places).map(|(token, place)| {
            let place = place.clone();
            Some(Arc::new(Taken { token, place }))
        }),
    };
    let caller = match found {
        Ok(taken) => caller(tokens, (issuers, requirements), head, taken, now).await,
        Err(why) => Err(why),
    };
    caller.map(Some).map_err(|why| refused(why, requirements))
}

/// Finds out again who called, by the token of then, under the settings and keys of now.
pub(super) async fn again(
    authenticate: &Authenticate,
    tokens: &Verifier,
    before: Option<&Caller>,
    head: &Head,
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
    let taken = before.and_then(|caller| caller.taken.clone());
    let place = taken
        .as_ref()
        .map_or(&TokenPlace::Header, |taken| &taken.place);
    if before.is_none() || !places.contains(place) {
        return Err(refused(token::Refusal::Missing, requirements));
    }
    let caller = caller(tokens, (issuers, requirements), head, taken, now).await;
    caller.map(Some).map_err(|why| refused(why, requirements))
}

/// Whose token it is: the one that was taken out of the head, or the head's.
async fn caller(
    tokens: &Verifier,
    (issuers, requirements): (&[IssuerIndex], &Requirements),
    head: &Head,
    taken: Option<Arc<Taken>>,
    now: SystemTime,
) -> Result<Caller, token::Refusal> {
    let text = match &taken {
        Some(taken) => &taken.token,
        None => in_header(head)?,
    };
    let verified = tokens.verify(text, issuers, requirements, now).await?;
    Ok(Caller { verified, taken })
}

fn refused(why: token::Refusal, requirements: &Requirements) -> Refusal {
    Refusal::Token {
        why,
        scopes: requirements.scopes.clone(),
    }
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
    /// Its token.
    pub(super) fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whether a browser sends the token with requests that pages of other sites have it make.
    pub(super) fn is_ambient(&self) -> bool {
        let place = self.taken.as_ref().map(|taken| &taken.place);
        matches!(place, Some(TokenPlace::Cookie(_)))
    }

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
