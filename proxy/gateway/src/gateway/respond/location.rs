//! Where a caller is sent: what the settings say, and for the rest what was asked for.

use std::num::NonZeroU16;

use http::HeaderValue;
use settings::{Redirect, Scheme};

use crate::gateway::{
    head::{Authority, Head},
    refuse::Refusal,
};

/// The value of `Location` (RFC 9110 section 10.2.2); a refusal where it would be what was asked for.
///
/// INVARIANT: its host is the settings' or the one that was asked. Where it begins with a path, that has one `/` in front,
/// or it would begin with a host.
pub(in crate::gateway) fn location(to: &Redirect, head: &Head) -> Result<HeaderValue, Refusal> {
    let target = match &to.path {
        Some(path) => head.target_with(path).ok_or(Refusal::Internal)?,
        None => head.target(),
    };
    let scheme = to.scheme.unwrap_or(head.scheme);
    let authority = authority(to, scheme, head);
    if scheme == head.scheme && authority == head.authority && target == head.target() {
        return Err(Refusal::RedirectLoop);
    }
    let location = if to.names_server() {
        format!("{}://{}{target}", scheme.as_str(), authority.as_str())
    } else {
        // What stands in front may know a scheme or port that the gate does not.
        target
    };
    HeaderValue::try_from(location).map_err(|_| Refusal::Internal)
}

fn authority(to: &Redirect, scheme: Scheme, head: &Head) -> Authority {
    if to.host.is_none() && to.port.is_none() && scheme == head.scheme {
        return head.authority.clone();
    }
    let host = to.host.as_deref().unwrap_or(head.authority.host());
    let port = to.port.map(NonZeroU16::get);
    let port = port.filter(|port| *port != scheme.default_port());
    Authority::new(host.to_owned(), port)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, StatusCode, Version};
    use route::Template;

    use super::*;
    use crate::gateway::admit::Allowances;

    fn head(url: &str) -> Head {
        let uri: http::Uri = url.parse().unwrap();
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let rest = uri.path().strip_prefix("/old/").unwrap_or_default();
        Head {
            method: Method::GET,
            version: Version::HTTP_11,
            scheme,
            authority: Authority::new(uri.host().unwrap().to_owned(), uri.port_u16()),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: HeaderMap::new(),
            client: [192, 0, 2, 7].into(),
            shown: None,
            parameters: vec![("rest".into(), rest.to_owned())],
            needs: Allowances::default(),
            websocket: false,
        }
    }

    fn to(scheme: Option<Scheme>, host: Option<&str>, port: u16, path: Option<&str>) -> Redirect {
        Redirect {
            status: StatusCode::PERMANENT_REDIRECT,
            scheme,
            host: host.map(str::to_owned),
            port: NonZeroU16::new(port),
            path: path.map(|path| Template::parse(path).unwrap()),
        }
    }

    #[test]
    fn what_is_not_said_stays_as_it_was_asked_for() {
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        let new = Some("new.example");
        let path = Some("/n/{rest*}");
        for (to, url, expected) in [
            (to(https, None, 0, None), "http://a.test", "https://a.test/"),
            (
                to(https, None, 0, None),
                "http://a.test:8080/x%20y?q=%2F&r",
                "https://a.test/x%20y?q=%2F&r",
            ),
            (
                to(https, None, 8443, None),
                "http://[::1]:8080/",
                "https://[::1]:8443/",
            ),
            (
                to(https, None, 443, None),
                "http://a.test/?",
                "https://a.test/?",
            ),
            (
                to(http, None, 0, None),
                "https://a.test:8443/x",
                "http://a.test/x",
            ),
            (
                to(https, None, 0, path),
                "https://a.test:8443/old/x",
                "https://a.test:8443/n/x",
            ),
            (
                to(None, new, 0, None),
                "https://a.test:8443/x?q",
                "https://new.example/x?q",
            ),
            (
                to(None, new, 80, None),
                "https://a.test/x",
                "https://new.example:80/x",
            ),
            (
                to(None, new, 80, path),
                "http://a.test/old/",
                "http://new.example/n/",
            ),
            (
                to(None, None, 9000, None),
                "http://a.test/x",
                "http://a.test:9000/x",
            ),
            (
                to(None, None, 0, path),
                "http://a.test:8080/old/x/y?q=1",
                "/n/x/y?q=1",
            ),
            (
                to(None, None, 0, Some("/{rest*}")),
                "http://a.test/old/",
                "/",
            ),
        ] {
            let found = location(&to, &head(url)).unwrap();
            assert_eq!(found.to_str().unwrap(), expected, "{to} of {url}");
        }
    }

    #[test]
    fn nobody_is_sent_where_he_comes_from() {
        let https = Some(Scheme::Https);
        for (to, url) in [
            (to(https, None, 0, None), "https://a.test/x?q"),
            (to(https, None, 8443, None), "https://a.test:8443/x"),
            (to(https, Some("a.test"), 443, None), "https://a.test/x"),
            (to(None, Some("a.test"), 0, None), "http://a.test/x"),
            (
                to(None, None, 0, Some("/old/{rest*}")),
                "http://a.test/old/x?q",
            ),
        ] {
            let found = location(&to, &head(url));
            assert_eq!(found, Err(Refusal::RedirectLoop), "{to} of {url}");
        }
    }

    #[test]
    fn a_path_without_its_parameters_leads_nowhere() {
        let found = location(
            &to(None, None, 0, Some("/{none}")),
            &head("http://a.test/x"),
        );
        assert_eq!(found, Err(Refusal::Internal));
    }
}
