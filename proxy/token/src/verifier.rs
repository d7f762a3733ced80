//! The verifier: every issuer of the settings, and the tokens it has already verified.

use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Audience, Claims, Issuer, KeySet, MAX_TOKEN_BYTES, Refusal, Requirements, Revocations,
    Standing,
    jws::Jws,
    verify::{self, Signed},
};

mod digest;
mod headers;
mod remembered;

use digest::Digest;
use headers::Headers;
use remembered::{Known, Remembered};

/// Verifies tokens of all issuers, and remembers those it has verified as long as there is room: none passes that has expired,
/// or was signed with keys of another generation.
pub struct Verifier {
    issuers: Vec<Issuer>,
    headers: Headers,
    remembered: Remembered,
    limits: Limits,
}

/// Which issuer of a [`Verifier`]; only that verifier's [`Verifier::index`] makes one for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IssuerIndex(usize);

/// What bounds a verifier.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Larger tokens are refused unread.
    pub token_bytes: usize,
    /// Memory for remembered tokens, in bytes; about a kilobyte each.
    pub remembered_bytes: u64,
    /// How far clocks may differ, in whole seconds.
    pub leeway: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_bytes: MAX_TOKEN_BYTES,
            remembered_bytes: 128 * 1024 * 1024,
            leeway: Duration::from_secs(5),
        }
    }
}

/// What a verified token stands on besides its own time: as long as this is the same, the token is as good as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounds {
    keys: u64,
    revocations: u64,
}

/// Two issuers have the same `iss`, so a token would belong to both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuers `{first}` and `{second}` have the same `iss` `{iss}`")]
pub struct SameIssuer {
    /// The name of one.
    pub first: String,
    /// The name of the other.
    pub second: String,
    /// What they share.
    pub iss: String,
}

/// A token that may pass. `Debug` shows nothing of the digest.
#[derive(Clone)]
pub struct Verified {
    known: Arc<Known>,
    /// Stands for the token as it was sent, within this process: another has other digests. Nothing where the machine has no
    /// randomness to make one with.
    ///
    /// INVARIANT: it goes into no log, metric, file or answer; that it is secret is what keeps tokens apart.
    pub digest: Option<[u8; 16]>,
    /// Whether it had been verified before and was only looked up.
    pub remembered: bool,
}

impl Deref for Verified {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.known.claims
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("claims", &self.known.claims)
            .field("remembered", &self.remembered)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of these issuers' tokens.
    pub fn new(issuers: Vec<Issuer>, limits: Limits) -> Result<Self, SameIssuer> {
        let mut by_iss = HashMap::new();
        for issuer in &issuers {
            let rules = issuer.rules();
            if let Some(first) = by_iss.insert(rules.iss.as_str(), &rules.name) {
                return Err(SameIssuer {
                    first: first.to_string(),
                    second: rules.name.to_string(),
                    iss: rules.iss.clone(),
                });
            }
        }
        Digest::prepare();
        Ok(Self {
            issuers,
            headers: Headers::default(),
            remembered: Remembered::new(limits.remembered_bytes),
            limits,
        })
    }

    /// The issuer of that name in the settings.
    pub fn index(&self, name: &str) -> Option<IssuerIndex> {
        self.issuers
            .iter()
            .position(|issuer| &*issuer.rules().name == name)
            .map(IssuerIndex)
    }

    /// The issuers, in the order given.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Verifies a token for a route: one of the `allowed` issuers, live, and as `requirements` say.
    ///
    /// Waits for nothing, unless the token names a key that the issuer's set lacks.
    pub async fn verify(
        &self,
        token: &str,
        allowed: &[IssuerIndex],
        requirements: &Requirements,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        if token.len() > self.limits.token_bytes {
            return Err(Refusal::TooLarge);
        }
        let digest = Digest::of(token);
        let recalled = digest.and_then(|digest| self.recall(&digest, now));
        let remembered = recalled.is_some();
        let known = match recalled {
            Some(known) => known,
            None => self.verify_afresh(token, allowed, digest, now).await?,
        };
        let issuer = self.accepted(known.issuer, allowed)?;
        admit(issuer, &known, requirements)?;
        Ok(Verified {
            known,
            digest: digest.map(Digest::bytes),
            remembered,
        })
    }

    /// What a token that this verifier has verified stands on now; `None` where only verifying it again can tell.
    pub fn grounds(&self, verified: &Verified) -> Option<Grounds> {
        let issuer = self.issuers.get(verified.known.issuer.0)?;
        let revocations = issuer.revocations();
        Some(Grounds {
            keys: issuer.keys().generation(),
            revocations: revocations.map_or(Some(0), Revocations::version)?,
        })
    }

    /// The second, since the epoch, from which a token is over for this verifier.
    pub fn over_at(&self, verified: &Verified) -> u64 {
        let leeway = self.limits.leeway.as_secs();
        verified.known.claims.exp().saturating_add(leeway)
    }

    /// The issuer of this `iss` among those whose tokens the route takes.
    fn named(&self, iss: &str, allowed: &[IssuerIndex]) -> Result<(IssuerIndex, &Issuer), Refusal> {
        let mut allowed = allowed
            .iter()
            .filter_map(|index| Some((*index, self.issuers.get(index.0)?)));
        allowed
            .find(|(_, issuer)| issuer.rules().iss == iss)
            .ok_or(Refusal::IssuerUnknown)
    }

    /// The issuer, if the route takes its tokens.
    fn accepted(&self, index: IssuerIndex, allowed: &[IssuerIndex]) -> Result<&Issuer, Refusal> {
        self.issuers
            .get(index.0)
            .filter(|_| allowed.contains(&index))
            .ok_or(Refusal::IssuerUnknown)
    }

    /// Looks a token up, and forgets it if it is over or the keys have changed.
    fn recall(&self, digest: &Digest, now: SystemTime) -> Option<Arc<Known>> {
        let known = self.remembered.get(digest)?;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let is_over = verify::is_over(known.claims.exp(), self.limits.leeway.as_secs(), now);
        let issuer = self.issuers.get(known.issuer.0)?;
        if is_over || issuer.keys().generation() != known.claims.generation() {
            self.remembered.forget(digest);
            return None;
        }
        Some(known)
    }

    async fn verify_afresh(
        &self,
        token: &str,
        allowed: &[IssuerIndex],
        digest: Option<Digest>,
        now: SystemTime,
    ) -> Result<Arc<Known>, Refusal> {
        let token = verify::parse(token, self.limits.token_bytes, |text| {
            self.headers.get(text)
        })?;
        let iss = verify::iss(&token).ok_or(Refusal::IssuerUnknown)?;
        let (index, issuer) = self.named(iss, allowed)?;
        let keys = signing_keys(issuer, &token).await?;
        self.headers.put(token.header_text, &token.header);
        let leeway = self.limits.leeway;
        let claims = verify::claims(&token, &keys, issuer.rules(), leeway, now)?;
        let known = Arc::new(Known::new(claims, index));
        if let Some(digest) = digest {
            self.remembered.put(digest, &known);
        }
        Ok(known)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

/// What holds on every request anew, remembered or not.
fn admit(issuer: &Issuer, known: &Known, requirements: &Requirements) -> Result<(), Refusal> {
    match (issuer.revocations(), &issuer.rules().audience) {
        (Some(revocations), _) => match known.standing(revocations) {
            Standing::Live => {}
            Standing::Revoked => return Err(Refusal::Revoked),
            Standing::Unknown => return Err(Refusal::RevocationsStale),
        },
        (None, Audience::AnyOf(_)) => {}
        (None, Audience::Embedded) => return Err(Refusal::AudienceInvalid),
    }
    requirements.check(&known.claims)
}

/// The set with the key that signed the token: the one at hand, else one fresh fetch.
async fn signing_keys(issuer: &Issuer, token: &Jws<'_>) -> Result<Arc<KeySet>, Refusal> {
    let keys = issuer.keys().current();
    let refusal = match verify::check_signature(token, &keys)? {
        Signed::Yes => return Ok(keys),
        Signed::Elsewhere(refusal) => refusal,
    };
    let kid = token.header.kid.as_deref();
    let fresh = issuer.keys().fetch_unknown(kid).await;
    // The same keys would take as long once more to say the same: twice the work for everybody's forgeries.
    if Arc::ptr_eq(&keys, &fresh) {
        return Err(refusal);
    }
    match verify::check_signature(token, &fresh)? {
        Signed::Yes => Ok(fresh),
        Signed::Elsewhere(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests;
