//! What a decision asks of a request and of its caller.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Map, Value};

use crate::Certificate;

/// The canonical request that a decision reads and its permit then owns.
///
/// Only what the policies mention is asked for.
pub trait Request {
    /// The method, as `GET`.
    fn method(&self) -> &str;

    /// The host, lower case and without port.
    fn host(&self) -> &str;

    /// The path, canonical and still percent-encoded; policies see it like that.
    fn path(&self) -> &str;

    /// The path parameter of this name: the path's own text, canonical and still percent-encoded. Policies and resource ids
    /// have it decoded.
    fn path_parameter(&self, name: &str) -> Option<&str>;

    /// The query parameter of this name, decoded; [`query_parameter`] finds it in a query string.
    fn query_parameter(&self, name: &str) -> Single<'_>;

    /// The header of this name, which is in lower case.
    fn header(&self, name: &str) -> Single<'_>;

    /// Who sent it.
    fn client_ip(&self) -> IpAddr;

    /// The certificate that its connection was opened with, if one was shown and is still good.
    fn certificate(&self) -> Option<&Certificate>;
}

/// A part of a request that policies read as one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Single<'a> {
    /// It is not there.
    Absent,
    /// It is there once.
    One(Cow<'a, str>),
    /// It is there several times, or is no text: the upstream could read another value than the policies did, so a decision
    /// that needs it is a denial.
    Ambiguous,
}

impl<'a> Single<'a> {
    /// Of all the values a name has.
    pub fn of(mut values: impl Iterator<Item = Cow<'a, str>>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Ambiguous,
        }
    }
}

/// The one who asks, as a verified token names them.
pub trait Caller {
    /// Id of the principal, prefix included: `us-east-1_PetStore1|4f1c…`.
    fn id(&self) -> &str;

    /// What stands before the bar in the ids of groups; without it, the id is the group's name alone.
    fn group_prefix(&self) -> Option<&str>;

    /// Names of the caller's groups.
    fn groups(&self) -> Vec<&str>;

    /// Claims of the ID token, which become the principal's attributes.
    fn id_claims(&self) -> Option<impl Claims>;

    /// Claims of the access token, which become `context.token`.
    fn access_claims(&self) -> Option<impl Claims>;

    /// A digest of the tokens, its first bytes spread evenly over all values. What two callers of one digest answer to the other
    /// questions must be equal; so what was made of them is remembered under it. `None` turns that off.
    fn digest(&self) -> Option<[u8; 16]>;
}

/// What a token says.
pub trait Claims {
    /// The claim of this name.
    fn get(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// The names of all claims.
    fn names(&self) -> impl Iterator<Item = &str>;
}

impl Claims for Map<String, Value> {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.keys().map(String::as_str)
    }
}

impl<C: Claims> Claims for &C {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        C::get(self, name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        C::names(self)
    }
}

/// A path parameter as policies see it: percent-decoded once, so that one octet cannot be spelled in two ways.
///
/// An encoded `/`, `\` or `;`, and an escape of an escape, stay as they are: only routes that allow them get them, and
/// decoded they would read as a path that the request does not have. Ambiguous is what is no UTF-8 or has a `%` that encodes
/// nothing.
pub(crate) fn path_parameter<'r>(request: &'r impl Request, name: &str) -> Single<'r> {
    let Some(raw) = request.path_parameter(name) else {
        return Single::Absent;
    };
    percent_decode(raw).map_or(Single::Ambiguous, Single::One)
}

/// Finds a parameter in the query of a URL, written as forms write it (`+` is a space).
///
/// Ambiguous is also what another parser could read otherwise: any query with a `;`, which some take for `&`, and a query with
/// a name that some make this one: by ignoring case, by writing `_` for other signs, by trimming it or by cutting it at a `[`
/// or a NUL.
pub fn query_parameter<'q>(query: &'q str, name: &str) -> Single<'q> {
    if query.contains(';') {
        return Single::Ambiguous;
    }
    let mut found = Single::Absent;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if form_decode(key).is_none_or(|key| key != name) {
            if resembles(key, name) {
                return Single::Ambiguous;
            }
            continue;
        }
        found = match (found, form_decode(value)) {
            (Single::Absent, Some(value)) => Single::One(value),
            _ => return Single::Ambiguous,
        };
    }
    found
}

/// Whether a parser that folds names, trims them, cuts them or drops what is no text could take an encoded key for this
/// name. Allocates only where the key is encoded.
fn resembles(key: &str, name: &str) -> bool {
    let spaced = spaced(key);
    let key = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let ends = |rest: &str| {
        let uncut = rest.split_once('\0').map_or(rest, |(before, _)| before);
        let next = uncut.trim_start_matches(blank).chars().next();
        matches!(next, None | Some('['))
    };
    let trimmed = key.trim_start_matches(blank);
    let alike = |key| strip_alike(key, name).is_some_and(ends);
    alike(trimmed) || trimmed.len() < key.len() && alike(&key)
}

/// The key without the name that it begins with, where the name may be written in another case (ASP.NET's query keys ignore
/// it) or with other signs between letters and digits (PHP makes `_` of `.`, space and `[`).
fn strip_alike<'k>(key: &'k str, name: &str) -> Option<&'k str> {
    let mut rest = key.chars();
    for wanted in name.chars() {
        if folded(rest.next()?) != folded(wanted) {
            return None;
        }
    }
    Some(rest.as_str())
}

/// Through upper to lower case: some compare the one, some the other, and some characters differ in one of them only.
fn folded(c: char) -> char {
    let folded = if c.is_ascii() {
        c.to_ascii_lowercase()
    } else {
        let upper = c.to_uppercase().next().unwrap_or(c);
        upper.to_lowercase().next().unwrap_or(upper)
    };
    if folded.is_alphanumeric() {
        folded
    } else {
        '_'
    }
}

/// `None` where it is no text, or has a `%` that encodes nothing. What would read as another structure once decoded stays
/// as it is, so that two paths are never one value.
fn percent_decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let octet = hexadecimal(digits)?;
        rest = after;
        let is_kept = match octet {
            b'/' | b'\\' | b';' => true,
            b'%' => rest.get(..2).and_then(hexadecimal).is_some(),
            _ => false,
        };
        if is_kept {
            out.push(b'%');
            out.extend(digits.to_ascii_uppercase());
        } else {
            out.push(octet);
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(digits).ok().filter(|_| plain)?;
    u8::from_str_radix(text, 16).ok()
}

/// `None` when the bytes are not UTF-8.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = spaced(text);
    let decoded = percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

/// The text with its `+` as spaces.
fn spaced(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Single, percent_decode, query_parameter};

    #[test]
    fn query_parameters_are_decoded_and_single() {
        let one = |text: &str| Single::One(text.to_owned().into());
        assert_eq!(query_parameter("a=1&b=x%20y+z&c", "b"), one("x y z"));
        assert_eq!(query_parameter("a=1&b=2&c", "c"), one(""));
        assert_eq!(query_parameter("%61=1", "a"), one("1"));
        assert_eq!(query_parameter("a=1&b=2", "c"), Single::Absent);
        assert_eq!(query_parameter("", "c"), Single::Absent);
        assert_eq!(query_parameter("a=1&%61=1", "a"), Single::Ambiguous);
        assert_eq!(query_parameter("a=%ff", "a"), Single::Ambiguous);
    }
    #[test]
    fn what_parsers_disagree_on_is_ambiguous() {
        for query in [
            "limit=5;limit=6",
            "a=1;x",
            "limit=5&+limit=6",
            "limit%20=6",
            "%09limit=6",
            "limit[]=6",
            "limit%5Bx%5d=6",
            "limit+[0]=6",
            "limit[%ff=6",
            "limit%00x=6",
            "limit+%00x=6",
            "limit%00%ff=6",
            "limit%ff=6",
        ] {
            assert_eq!(
                query_parameter(query, "limit"),
                Single::Ambiguous,
                "{query}"
            );
        }
        for (query, name) in [
            ("Limit=6", "limit"),
            ("limit=1&LIMIT=9", "limit"),
            ("%4cimit=6", "limit"),
            ("petid=6", "petId"),
            ("%4c%49mit%5B%5D=6", "limit"),
            ("l\u{131}m\u{130}t=6", "limit"),
            ("cl%C3%89=6", "cl\u{e9}"),
            ("user.id=6", "user_id"),
            ("user+id=6", "user_id"),
            ("user%20id=6", "user_id"),
            ("user%5bid=6", "user_id"),
            ("User.Id[]=6", "user_id"),
            ("user-id=6", "user_id"),
            ("user_id=6", "user.id"),
            ("+user.id=6", "user_id"),
            ("%20id=6", "_id"),
        ] {
            let found = query_parameter(query, name);
            assert_eq!(found, Single::Ambiguous, "{query} for {name}");
        }
        for query in [
            "limits=6",
            "x%3By=1",
            "x[limit]=6",
            "limit.x=1",
            "x=limit[",
            "limit%C3%A9=1",
            "",
        ] {
            assert_eq!(query_parameter(query, "limit"), Single::Absent, "{query}");
        }
        for (query, name) in [
            ("userid=1", "user_id"),
            ("user__id=1", "user_id"),
            ("user[id]=1", "user_id"),
            ("ser_id=1", "user_id"),
            ("stra%C3%9Fe=1", "stra\u{e9}e"),
        ] {
            let found = query_parameter(query, name);
            assert_eq!(found, Single::Absent, "{query} for {name}");
        }
        let one = Single::One("1".into());
        assert_eq!(query_parameter("ids[]=1", "ids[]"), one);
        assert_eq!(query_parameter("x=2&Pet.Id=1&y", "Pet.Id"), one);
        assert_eq!(query_parameter("f[a]=1&f[b]=2", "f[a]"), one);
    }

    #[test]
    fn path_parameters_are_decoded_once() {
        let decoded = |raw| percent_decode(raw).map(std::borrow::Cow::into_owned);
        assert_eq!(decoded("root%40corp").as_deref(), Some("root@corp"));
        assert_eq!(decoded("100%25+/%C3%A9").as_deref(), Some("100%+/\u{e9}"));
        for kept in ["a%2Fb", "a%5Cb", "a;b%3Bc", "%252F", "%2540"] {
            assert_eq!(decoded(kept).as_deref(), Some(kept));
        }
        for raw in ["%ff", "%C3/%A9", "%", "%4", "%zz", "%+1"] {
            assert_eq!(decoded(raw), None, "{raw}");
        }
    }
}
