//! Tokens in cookies and queries, for routes that take them from there.

use decision::Single;
use http::{HeaderValue, header};
use settings::TokenPlace;
use token::Refusal;

use super::in_header;
use crate::gateway::head::Head;

/// The one token in any of these places, and in which.
///
/// In a cookie or the query it is taken out, valid or not: upstreams write cookies and URLs into logs, and the gate has
/// told them what they need. Two tokens have two readings, and so have a token elsewhere and an `Authorization` header of
/// whatever scheme, by which the upstream might know somebody else.
pub(super) fn take<'p>(
    head: &mut Head,
    places: &'p [TokenPlace],
) -> Result<(String, &'p TokenPlace), Refusal> {
    let mut found = None;
    let mut is_elsewhere = false;
    for place in places {
        let token = match place {
            TokenPlace::Header => match in_header(head) {
                Ok(token) => Some(token.to_owned()),
                Err(Refusal::Missing) => None,
                Err(refusal) => return Err(refusal),
            },
            TokenPlace::Cookie(name) => take_cookie(head, name)?,
            TokenPlace::Query(name) => take_parameter(head, name)?,
        };
        if let Some(token) = token {
            is_elsewhere |= *place != TokenPlace::Header;
            if found.replace((token, place)).is_some() {
                return Err(Refusal::Ambiguous);
            }
        }
    }
    if is_elsewhere && head.headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::Ambiguous);
    }
    let (token, place) = found.ok_or(Refusal::Missing)?;
    token::b64token(&token)?;
    Ok((token, place))
}

/// Takes the cookie of that name out (RFC 6265 section 5.4); an empty one, as signing out leaves, is no token.
///
/// Two of one name are of different paths or domains, where another site of the domain may have set one of them.
fn take_cookie(head: &mut Head, name: &str) -> Result<Option<String>, Refusal> {
    let Some(cookies) = head.headers.get(header::COOKIE) else {
        return Ok(None);
    };
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for pair in cookies.as_bytes().split(|byte| *byte == b';') {
        let pair = pair.trim_ascii();
        match pair.strip_prefix(name.as_bytes()) {
            Some([b'=', value @ ..]) => found.push(String::from_utf8_lossy(value).into_owned()),
            _ => others.push(pair),
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let rest = HeaderValue::from_bytes(&others.join(b"; ".as_slice()));
    match rest {
        Ok(rest) if !rest.is_empty() => head.headers.insert(header::COOKIE, rest),
        _ => head.headers.remove(header::COOKIE),
    };
    one(found)
}

/// Takes the query parameter of that name out.
fn take_parameter(head: &mut Head, name: &str) -> Result<Option<String>, Refusal> {
    let Some(query) = &head.query else {
        return Ok(None);
    };
    let token = match decision::query_parameter(query, name) {
        Single::Absent => return Ok(None),
        Single::Ambiguous => return Err(Refusal::Ambiguous),
        Single::One(token) => token.into_owned(),
    };
    let is_other = |pair: &&str| decision::query_parameter(pair, name) == Single::Absent;
    let rest: Vec<&str> = query.split('&').filter(is_other).collect();
    let rest = rest.join("&");
    head.query = (!rest.is_empty()).then_some(rest);
    one(vec![token])
}

fn one(found: Vec<String>) -> Result<Option<String>, Refusal> {
    match <[String; 1]>::try_from(found) {
        Ok([token]) => Ok((!token.is_empty()).then_some(token)),
        Err(_) => Err(Refusal::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderName, Method};

    use super::*;
    use crate::gateway::{admit::Allowances, head::Authority};

    fn head(target: &str, headers: &[(&str, &str)]) -> Head {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| {
                (path, Some(query.to_owned()))
            });
        let field = |(name, value): &(&str, &str)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        Head {
            method: Method::GET,
            version: http::Version::HTTP_11,
            scheme: settings::Scheme::Http,
            authority: Authority::new("a.test".into(), None),
            path: path.into(),
            query,
            headers: headers.iter().map(field).collect(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            shown: None,
            parameters: Vec::new(),
            needs: Allowances::default(),
            websocket: false,
        }
    }

    fn anywhere() -> [TokenPlace; 3] {
        [
            TokenPlace::Header,
            TokenPlace::Cookie("sid".into()),
            TokenPlace::Query("token".into()),
        ]
    }

    /// The token, and what goes on of the cookies and the target.
    fn taken(
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(String, Option<String>, String), Refusal> {
        let mut head = head(target, headers);
        let places = anywhere();
        let (token, _) = take(&mut head, &places)?;
        let cookies = head.headers.get(header::COOKIE);
        let cookies = cookies.map(|value| value.to_str().unwrap().to_owned());
        Ok((token, cookies, head.target()))
    }

    #[test]
    fn a_token_is_found_in_any_place_and_taken_out() {
        let cookie = |value| [("cookie", value)];
        for (target, headers, expected) in [
            (
                "/p?a=1",
                [("authorization", "bearer h")],
                ("h", None, "/p?a=1"),
            ),
            ("/p", cookie("sid=c"), ("c", None, "/p")),
            (
                "/p",
                cookie("a=1; sid=c; b=2"),
                ("c", Some("a=1; b=2"), "/p"),
            ),
            (
                "/p",
                cookie("xsid=1;sid=c ;sidx=2"),
                ("c", Some("xsid=1; sidx=2"), "/p"),
            ),
            ("/p?token=q", cookie("a=1"), ("q", Some("a=1"), "/p")),
            (
                "/p?a=%20&token=q&b",
                cookie("sid="),
                ("q", None, "/p?a=%20&b"),
            ),
            (
                "/p?tok%65n=q%2Dr&&b",
                cookie("a=1"),
                ("q-r", Some("a=1"), "/p?&b"),
            ),
        ] {
            let (token, cookies, target) = taken(target, &headers).unwrap();
            assert_eq!(
                (token.as_str(), cookies.as_deref(), target.as_str()),
                expected
            );
        }
    }

    #[test]
    fn two_tokens_have_two_readings() {
        for (target, headers) in [
            ("/p?token=q", [("cookie", "sid=c")].as_slice()),
            ("/p?token=q", &[("authorization", "Bearer h")]),
            ("/p", &[("authorization", "Bearer h"), ("cookie", "sid=h")]),
            (
                "/p",
                &[("authorization", "Basic aDpo"), ("cookie", "sid=c")],
            ),
            ("/p", &[("cookie", "sid=c; sid=c")]),
            ("/p", &[("cookie", "sid=c; sid=")]),
            ("/p?token=q&token=q", &[]),
            ("/p?token=q&Token=r", &[]),
            ("/p?token=q;b=1", &[]),
        ] {
            assert_eq!(
                taken(target, headers).unwrap_err(),
                Refusal::Ambiguous,
                "{target} {headers:?}"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_told() {
        for (target, headers, expected) in [
            ("/p?a=1", [("cookie", "a=1")].as_slice(), Refusal::Missing),
            ("/p?token=", &[("cookie", "sid=")], Refusal::Missing),
            ("/p", &[("authorization", "Basic aDpo")], Refusal::Missing),
            ("/p?token=a%20b", &[], Refusal::Malformed),
            ("/p", &[("cookie", "sid=\"c\"")], Refusal::Malformed),
            (
                "/p",
                &[("authorization", "Bearer"), ("cookie", "sid=c")],
                Refusal::Malformed,
            ),
        ] {
            assert_eq!(
                taken(target, headers).unwrap_err(),
                expected,
                "{target} {headers:?}"
            );
        }
    }

    #[test]
    fn only_the_places_of_the_route_count() {
        let cookie = [TokenPlace::Cookie("sid".into())];
        let mut both = head(
            "/p?token=q",
            &[("authorization", "Bearer h"), ("cookie", "sid=c")],
        );
        assert_eq!(take(&mut both, &cookie), Err(Refusal::Ambiguous));
        let mut header = head("/p?token=q", &[("authorization", "Bearer h")]);
        assert_eq!(take(&mut header, &cookie), Err(Refusal::Missing));
        assert_eq!(header.target(), "/p?token=q");
    }
}
