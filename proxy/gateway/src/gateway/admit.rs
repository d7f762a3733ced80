//! Admission: one canonical reading of a request's head, or a refusal where two readings are possible.
//!
//! A gate that reads a request otherwise than the service behind it authorises one thing and lets another through. So
//! whatever has two readings is refused here, once, and everything after works on the result.

mod allowance;
mod forwarded;
mod framing;
mod headers;
mod host;
mod readings;
mod target;
mod upgrade;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Version, header};
use ipnet::IpNet;
use settings::{Scheme, TrustedHeader};

use super::{
    head::Head,
    refuse::{Malformed, Refusal},
};

pub(crate) use allowance::Allowances;
use forwarded::Told;
pub(crate) use headers::{has_blank_end, identity_key};
pub(crate) use readings::readings;
pub(crate) use upgrade::names_websocket;

/// What admission must know besides the request.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) bounds: Bounds,
    /// Peers whose word on who is behind them is believed, and their `X-Request-Id`.
    pub(crate) trusted_peers: Vec<IpNet>,
    /// Where they write it.
    pub(crate) trusted_header: TrustedHeader,
    /// Headers that routes set from verified tokens, each as [`identity_key`] spells it.
    pub(crate) identity_headers: BTreeSet<String>,
    /// Headers that policies read, by [`identity_key`]: under another name a policy would not see what the upstream may.
    /// Where routes name two spellings of one key, neither is safe, and requests with either are refused.
    pub(crate) policy_headers: BTreeMap<String, Vec<HeaderName>>,
}

/// The limits of a head: Pingora's own are 256 fields and 1 MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) fields: usize,
    /// In octets, with the target.
    pub(crate) head: usize,
    /// In octets.
    pub(crate) target: usize,
}

impl From<&settings::Limits> for Bounds {
    fn from(limits: &settings::Limits) -> Self {
        let octets = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            fields: limits.header_fields.into(),
            head: octets(limits.header_bytes),
            target: octets(limits.target_bytes),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::from(&settings::Limits::default())
    }
}

/// A request's head as it came.
pub(crate) struct Raw<'r> {
    pub(crate) method: &'r Method,
    pub(crate) version: Version,
    pub(crate) target: &'r [u8],
    /// `:authority` of HTTP/2.
    pub(crate) authority: Option<&'r str>,
    pub(crate) headers: &'r HeaderMap,
    /// The whole head as it came, of HTTP/1 alone.
    pub(crate) head: Option<Bytes>,
    pub(crate) peer: IpAddr,
    pub(crate) tls: bool,
}

/// Makes the canonical head, or says what has two readings or is beyond a limit. What routes may allow stands in the
/// head's `needs`, and goes no further unless the route that is found allows it.
pub(crate) fn admit(raw: &Raw<'_>, rules: &Rules) -> Result<Head, Refusal> {
    check_size(raw, rules.bounds)?;
    check_method(raw.method)?;
    if let Some(head) = &raw.head {
        framing::check_lines(head)?;
    }
    framing::check_body(raw.headers, raw.head.as_deref())?;
    framing::check_expectation(raw.headers)?;
    framing::check_connection(raw.headers)?;
    let trusted = rules.trusts(raw.peer);
    let told = if trusted {
        Told::read(raw.headers, rules.trusted_header)
    } else {
        Told::default()
    };
    let ours = if raw.tls { Scheme::Https } else { Scheme::Http };
    let scheme = told.scheme.unwrap_or(ours);
    let sent = authority(raw)?;
    let target = target::read(raw.target, sent)?;
    let authority = host::read(sent, scheme)?;
    let (path, mut needs) = target::canonical_path(target.path)?;
    let query = target.query.map(target::check_query).transpose()?;
    let origin = headers::Origin {
        peer: raw.peer,
        trusted,
        told: &told.addresses,
        scheme,
        authority: &authority,
    };
    let (headers, client) = headers::canonical(raw.headers, rules, &origin, &mut needs)?;
    Ok(Head {
        method: raw.method.clone(),
        version: raw.version,
        scheme,
        authority,
        path,
        query: query.map(str::to_owned),
        headers,
        client,
        shown: None,
        parameters: Vec::new(),
        needs,
        websocket: upgrade::asks_websocket(raw),
    })
}

impl Rules {
    /// Policies read this header.
    pub(crate) fn read(&mut self, name: HeaderName) {
        let key = identity_key(name.as_str()).into_owned();
        let names = self.policy_headers.entry(key).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// Whether what this peer says of others is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_peers.iter().any(|net| net.contains(&peer))
    }
}

fn check_size(raw: &Raw<'_>, bounds: Bounds) -> Result<(), Refusal> {
    if raw.target.len() > bounds.target {
        return Err(Refusal::TargetTooLong);
    }
    let octets: usize = raw
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
        .sum();
    // What `:authority` says on HTTP/2 is a field further on.
    let host = raw
        .authority
        .filter(|_| !raw.headers.contains_key(header::HOST));
    let host_octets = host.map_or(0, |host| "host".len() + host.len() + FIELD_OVERHEAD);
    let fields = raw.headers.len() + usize::from(host.is_some());
    if fields > bounds.fields || octets + host_octets + raw.target.len() > bounds.head {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but some frameworks capitalise them: what a policy would know as `delete`
/// they would do as `DELETE`.
fn check_method(method: &Method) -> Result<(), Refusal> {
    let name = method.as_str();
    let is_small = name.bytes().any(|byte| byte.is_ascii_lowercase());
    if is_small || settings::REFUSED_METHODS.contains(&name) {
        return Err(Refusal::MethodRefused);
    }
    Ok(())
}

/// The authority as sent: exactly one, and where `:authority` and `Host` both stand, the same (RFC 9113 section 8.3.1).
fn authority<'r>(raw: &Raw<'r>) -> Result<&'r str, Refusal> {
    let mut hosts = raw.headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        Some(value) => Some(value.to_str().map_err(|_| Malformed::HostInvalid)?),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(Malformed::HostRepeated.into());
    }
    match (raw.authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Malformed::HostRepeated.into())
        }
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Err(Malformed::HostMissing.into()),
    }
}

/// `: ` and the line's end.
const FIELD_OVERHEAD: usize = 4;

#[cfg(test)]
mod tests;
