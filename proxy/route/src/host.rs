//! Host patterns.

use std::net::Ipv6Addr;

/// Which hosts a route takes; names are lower case, without port and without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// This name or address.
    Exact(String),
    /// Any one label in front of this suffix, which starts with its dot.
    Wildcard(String),
    /// Every host.
    Any,
}

impl Host {
    /// Reads a pattern as it stands in the settings.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else {
            return Ok(Self::Any);
        };
        let host = text.to_ascii_lowercase();
        if let Some(address) = host.strip_prefix('[') {
            return ipv6(address)
                .map(Self::Exact)
                .ok_or_else(|| format!("`{text}` is not an IPv6 address in brackets"));
        }
        if host.contains(':') {
            return Err(format!(
                "`{text}` has a port: routes are chosen by host name alone"
            ));
        }
        match host.strip_prefix("*.") {
            Some(suffix) => check(suffix, text).map(|()| Self::Wildcard(format!(".{suffix}"))),
            None => check(&host, text).map(|()| Self::Exact(host)),
        }
    }
}

/// One host's name or address as admitted requests have it, without a port: in lower case, an IPv6 address in brackets.
pub fn host(text: &str) -> Result<String, String> {
    match Host::parse(Some(text))? {
        Host::Exact(name) => Ok(name),
        Host::Wildcard(_) | Host::Any => Err(format!("`{text}` is not one host")),
    }
}

/// The address as RFC 5952 writes it, in brackets.
fn ipv6(rest: &str) -> Option<String> {
    let address: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
    Some(format!("[{address}]"))
}

/// RFC 1123 section 2.1, and the underscore that service names in private networks have.
fn check(name: &str, text: &str) -> Result<(), String> {
    if name.contains('*') {
        return Err(format!(
            "`{text}` has a `*` that is not its whole first label"
        ));
    }
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label_fits) {
        return Err(format!("`{text}` is not a host name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Host, host};

    #[test]
    fn patterns_are_read() {
        assert_eq!(Host::parse(None), Ok(Host::Any));
        assert_eq!(
            Host::parse(Some("API.example.com")),
            Ok(Host::Exact("api.example.com".into()))
        );
        assert_eq!(
            Host::parse(Some("*.example.com")),
            Ok(Host::Wildcard(".example.com".into()))
        );
        assert_eq!(
            Host::parse(Some("127.0.0.1")),
            Ok(Host::Exact("127.0.0.1".into()))
        );
        assert_eq!(
            Host::parse(Some("[0:0::1]")),
            Ok(Host::Exact("[::1]".into()))
        );
    }

    #[test]
    fn one_host_is_no_pattern() {
        assert_eq!(host("WWW.example.com"), Ok("www.example.com".into()));
        assert_eq!(host("[0:0::1]"), Ok("[::1]".into()));
        assert!(host("*.example.com").is_err() && host("a:80").is_err() && host("").is_err());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "", "*", "*.", "a.*.b", "*a.b", "a..b", "a.b.", "a:80", "a b", "-a.b", "[::1", "[x]",
            "http://a", "é.b",
        ] {
            assert!(Host::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
