//! Where a pool's revocations are told, checked.

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use token::{Kind, OnStale};
use url::Url;

use crate::{Place, check::Check, secret, written};

/// Where a pool's revocations are told, and who asks.
#[derive(Clone)]
pub struct Revocations {
    /// `…/{poolId}/revocations`
    pub url: Url,
    /// How old they may be.
    pub max_stale: Duration,
    /// What becomes of tokens when they are older.
    pub on_stale: OnStale,
    /// The region of the pool's id, which signatures name.
    pub region: String,
    /// The operator who asks, as in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// Their secret.
    pub secret: SecretString,
}

impl Revocations {
    fn parts(&self) -> (&Url, Duration, OnStale, &str, &str, &str) {
        let secret = self.secret.expose_secret();
        let (region, id) = (&self.region, &self.access_key_id);
        (&self.url, self.max_stale, self.on_stale, region, id, secret)
    }
}

/// So that a reload notices what has changed, the secret included. Nobody measures how long it takes.
impl PartialEq for Revocations {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Revocations {}

/// Shows no secret.
impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("url", &self.url.as_str())
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

pub(super) fn check(
    issuer: &written::Issuer,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Revocations> {
    let raw = issuer.revocations.as_ref()?;
    let place = place.key("revocations");
    if issuer.kind == Some(Kind::Oidc) {
        check.report(&place, "is for pools, kind `cognito`; take it out");
    }
    let secret = secret::read(
        &raw.operator.secret,
        &place.key("operator").key("secret"),
        check,
    );
    if raw.operator.access_key_id.is_empty() {
        check.report(&place.key("operator").key("access_key_id"), "is empty");
    }
    let max_stale = max_stale(raw, &place.key("max_stale"), check);
    let place = place.key("url");
    let url = super::check_url(&raw.url, &place, check)?;
    let Some(region) = region(&url) else {
        check.report(
            &place,
            "must end in `/{poolId}/revocations`, and there it must end",
        );
        return None;
    };
    Some(Revocations {
        region,
        url,
        max_stale,
        on_stale: raw.on_stale,
        access_key_id: raw.operator.access_key_id.clone(),
        secret,
    })
}

/// The region of the pool that the URL is about.
fn region(url: &Url) -> Option<String> {
    let is_bare = url.query().is_none() && url.fragment().is_none();
    let (base, _) = url
        .path()
        .rsplit_once("/revocations")
        .filter(|(_, rest)| rest.is_empty())?;
    let pool = base
        .rsplit('/')
        .next()
        .filter(|id| is_bare && engine::pool::is_id(id))?;
    pool.split_once('_').map(|(region, _)| region.to_owned())
}

fn max_stale(raw: &written::Revocations, place: &Place, check: &mut Check<'_>) -> Duration {
    let Some(text) = &raw.max_stale else {
        return DEFAULT;
    };
    let given = duration(text).filter(|given| (SHORTEST..=LONGEST).contains(given));
    if given.is_none() {
        let says = "must be a time from `5s` to `24h`, in `s`, `m` or `h`";
        check.report(place, says);
    }
    given.unwrap_or(DEFAULT)
}

/// `90s`, `5m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = [('s', 1), ('m', 60), ('h', 3600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u32>().ok().filter(|_| is_plain)?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

const DEFAULT: Duration = Duration::from_secs(30);
/// Who answers may itself know nothing newer.
const SHORTEST: Duration = Duration::from_secs(5);
/// No token lives longer.
const LONGEST: Duration = Duration::from_hours(24);
