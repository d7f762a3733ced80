//! The claims that verification looks at, and where those stand that are asked for later.

use std::num::NonZeroU32;

use crate::{Claim, Naming, Object};

/// The claims that verification looks at, found in one walk: to find one by its name is a walk each time.
/// Nothing is known of their types yet.
#[derive(Default)]
pub(crate) struct Read<'c> {
    pub(crate) exp: Option<Claim<'c>>,
    pub(crate) nbf: Option<Claim<'c>>,
    pub(crate) iat: Option<Claim<'c>>,
    pub(crate) aud: Option<Claim<'c>>,
    pub(crate) token_use: Option<Claim<'c>>,
    pub(crate) client_id: Option<Claim<'c>>,
    pub(crate) events: Option<Claim<'c>>,
    sub: Option<Claim<'c>>,
    azp: Option<Claim<'c>>,
    jti: Option<Claim<'c>>,
    origin_jti: Option<Claim<'c>>,
    scope: Option<Claim<'c>>,
    scp: Option<Claim<'c>>,
    /// The claim that names the caller in policies.
    principal: Option<Claim<'c>>,
    groups: Option<Claim<'c>>,
}

/// Where the claims stand that every request asks for, looked for once for the same reason.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(super) sub: Span,
    pub(super) client_id: Option<Span>,
    pub(super) azp: Option<Span>,
    pub(super) jti: Option<Span>,
    pub(super) origin_jti: Option<Span>,
    /// The claim that names the caller in policies.
    pub(super) principal: Option<Span>,
}

/// A part of a text. It ends behind its first octet, since a name stands before each claim.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: NonZeroU32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self {
            start: start.try_into().ok()?,
            end: u32::try_from(end).ok()?.try_into().ok()?,
        })
    }

    pub(super) fn of(self, text: &str) -> Option<&str> {
        let start = usize::try_from(self.start).ok()?;
        text.get(start..usize::try_from(self.end.get()).ok()?)
    }
}

impl<'c> Read<'c> {
    pub(crate) fn of(raw: Object<'c>, naming: &Naming) -> Self {
        let mut read = Self::default();
        for (name, value) in raw.iter() {
            let claim = match name {
                "exp" => &mut read.exp,
                "nbf" => &mut read.nbf,
                "iat" => &mut read.iat,
                "aud" => &mut read.aud,
                "token_use" => &mut read.token_use,
                "sub" => &mut read.sub,
                "client_id" => &mut read.client_id,
                "events" => &mut read.events,
                "azp" => &mut read.azp,
                "jti" => &mut read.jti,
                "origin_jti" => &mut read.origin_jti,
                "scope" => &mut read.scope,
                "scp" => &mut read.scp,
                _ => &mut None,
            };
            *claim = Some(value);
            if *name == *naming.claim {
                read.principal = Some(value);
            }
            if *name == *naming.group_claim {
                read.groups = Some(value);
            }
        }
        read
    }

    /// Where in `raw` those stand that are kept; nothing if one of them has another type than it must have.
    pub(crate) fn named(&self, raw: Object<'_>) -> Option<Named> {
        let lists = [self.scope, self.scp, self.groups];
        if !lists.into_iter().flatten().all(is_texts) {
            return None;
        }
        let text = |claim| text(claim, raw);
        // RFC 7519 section 4.1.2 makes `sub` optional; RFC 9068 section 2.2, OpenID Connect and Cognito do not, and a
        // caller without a name cannot be recorded.
        let sub = self.sub.filter(|sub| *sub != Claim::Text(""));
        let principal = self.principal.filter(|id| *id != Claim::Text(""));
        Some(Named {
            sub: text(sub)??,
            client_id: text(self.client_id)?,
            azp: text(self.azp)?,
            jti: text(self.jti)?,
            origin_jti: text(self.origin_jti)?,
            principal: text(principal).flatten(),
        })
    }
}

/// Where the text stands, if there is one; nothing if it is there and no text.
#[expect(clippy::option_option, reason = "absent is not the same as wrong")]
fn text(claim: Option<Claim<'_>>, raw: Object<'_>) -> Option<Option<Span>> {
    let Some(claim) = claim else {
        return Some(None);
    };
    let text = claim.as_str()?;
    let start = raw.offset(text)?;
    Span::new(start, start + text.len()).map(Some)
}

/// Whether it is a string or an array of strings.
fn is_texts(claim: Claim<'_>) -> bool {
    match claim {
        Claim::Text(_) => true,
        Claim::List(items) => items.iter().all(|item| item.as_str().is_some()),
        _ => false,
    }
}
