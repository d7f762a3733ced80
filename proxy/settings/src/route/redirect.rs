//! Where the callers of a route are sent, checked.

use std::{fmt, num::NonZeroU16};

use http::StatusCode;
use route::Template;

use super::{Names, target};
use crate::{
    Place, Scheme,
    check::Check,
    written::{self, ToHttps},
};

/// Where callers are sent: as they asked for it, but for what is said here. The query goes along.
///
/// INVARIANT: `path` has no empty segment but at its end, so that what it makes of a path begins with one `/`, and needs no
/// parameter that paths of the route lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 307 or 308.
    pub status: StatusCode,
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host in lower case, without a port.
    pub host: Option<String>,
    /// The port; where `scheme` or `host` is another than was asked for, none is the scheme's own.
    pub port: Option<NonZeroU16>,
    /// The path, with parameters of the one asked for.
    pub path: Option<Template>,
}

impl From<ToHttps> for Redirect {
    fn from(to: ToHttps) -> Self {
        Self {
            status: to.status.into(),
            scheme: Some(Scheme::Https),
            host: None,
            port: to.port,
            path: None,
        }
    }
}

/// As a URL, in which `{scheme}`, `{host}` and `{path}` stay as they were asked for.
impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names_server() {
            let scheme = self.scheme.map_or("{scheme}", Scheme::as_str);
            write!(f, "{scheme}://{}", self.host.as_deref().unwrap_or("{host}"))?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path.as_ref().map_or("{path}", Template::as_str))
    }
}

impl Redirect {
    /// Whether it says anything of where the path is, and not of the path alone.
    pub fn names_server(&self) -> bool {
        self.scheme.is_some() || self.host.is_some() || self.port.is_some()
    }
}

pub(super) fn check(
    raw: &written::Redirect,
    matched: Option<&str>,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Redirect {
    let place = place.key("redirect");
    let says = |key| check.is_written(&place.key(key));
    let keeps_url = !says("host") && !says("path") && !says("port");
    if keeps_url && !says("scheme") {
        check.report(
            &place,
            "leads nowhere else; say at least one of `scheme`, `host`, `port` and `path`",
        );
    } else if keeps_url && raw.scheme == Some(Scheme::Https) && names.serves_https {
        check.report(
            &place,
            "takes what comes over TLS too, and would lead it back to itself; write `redirect: https` at the listener \
             without TLS instead, or say a `host` or `path` here",
        );
    }
    let host = raw.host.as_deref().map(route::host).transpose();
    let host = host.unwrap_or_else(|message| {
        check.report(&place.key("host"), message);
        None
    });
    let path = raw.path.as_deref();
    let path = path.and_then(|path| target::check(path, matched, &place.key("path"), check));
    Redirect {
        status: raw.status.into(),
        scheme: raw.scheme,
        host,
        port: raw.port,
        path,
    }
}
