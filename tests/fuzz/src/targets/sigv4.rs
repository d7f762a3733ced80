//! Signatures: a request, and perhaps another behind a line `%%%`; both as request line, headers, an empty line, body.
//!
//! The first is signed. What it got then holds for the second only where both ask for the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use secrecy::SecretString;
use sigv4::{Authorization, Credentials, Payload, Request, sign, verify};

use crate::naive;

pub(super) fn run(data: &[u8]) {
    let (first, second) = match split_once(data, b"\n%%%\n") {
        Some((first, second)) => (first, Some(second)),
        None => (data, None),
    };
    let Some(first) = Call::read(first) else {
        return;
    };
    let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    assert!(!first.holds(&secret), "nobody signed it");
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: secret.clone(),
        session_token: None,
    };
    let Ok(added) = sign(
        &first.request(),
        &credentials,
        "us-east-1",
        "service",
        now(),
    ) else {
        assert!(!first.headers.contains_key("host"));
        return;
    };
    let signed = first.with(&added);
    assert!(signed.holds(&secret), "its own signature");
    assert!(!signed.holds(&SecretString::from("another")));
    if let Some(second) = second.and_then(Call::read) {
        let borrowed = second.with(&added);
        let same = borrowed.asks_for(&signed);
        // What was not there to be signed may be there now; the names that matter must be signed.
        let unsigned = |name: &&&str| {
            !signed.headers.contains_key(**name) && borrowed.headers.contains_key(**name)
        };
        let decides = MEANINGFUL.iter().find(unsigned);
        // A host that is not there is no empty one.
        let has_host = borrowed.headers.contains_key("host");
        let expected = same && decides.is_none() && has_host;
        assert_eq!(borrowed.holds(&secret), expected, "unsigned: {decides:?}");
    }
}

/// A call, taken apart.
struct Call {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Call {
    fn read(octets: &[u8]) -> Option<Self> {
        let (head, body) = split_once(octets, b"\n\n").unwrap_or((octets, b""));
        let mut lines = head.split(|octet| *octet == b'\n');
        let line = String::from_utf8_lossy(lines.next()?);
        let (method, target) = line.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = split_once(line, b":")?;
            let name = HeaderName::from_bytes(name).ok()?;
            headers.append(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(Self {
            method: method.parse().ok()?,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.to_vec(),
        })
    }

    fn with(&self, added: &HeaderMap) -> Self {
        let mut headers = self.headers.clone();
        for (name, value) in added {
            headers.insert(name, value.clone());
        }
        Self {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers,
            body: self.body.clone(),
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            payload: Payload::Bytes(&self.body),
        }
    }

    fn holds(&self, secret: &SecretString) -> bool {
        Authorization::parse(&self.headers).is_ok_and(|authorization| {
            verify(&authorization, &self.request(), secret, "service", now()).is_ok()
        })
    }

    /// Whether this is the same call in all that the other one has.
    fn asks_for(&self, signed: &Self) -> bool {
        let names = signed.headers.keys().filter(|name| **name != AUTHORIZATION);
        self.method == signed.method
            && self.body == signed.body
            && segments(&self.path) == segments(&signed.path)
            && pairs(&self.query) == pairs(&signed.query)
            && names
                .into_iter()
                .all(|name| self.value(name) == signed.value(name))
    }

    /// All values of a header, in their order; blanks count as one, and a comma may stand for the next line.
    fn value(&self, name: &HeaderName) -> Vec<u8> {
        let values = self.headers.get_all(name).iter().map(|value| {
            let words = value.as_bytes().split(|octet| b" \t".contains(octet));
            let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
            words.join(&b' ')
        });
        values.collect::<Vec<_>>().join(&b',')
    }
}

fn split_once<'o>(octets: &'o [u8], by: &[u8]) -> Option<(&'o [u8], &'o [u8])> {
    let at = octets.windows(by.len()).position(|window| window == by)?;
    Some((&octets[..at], &octets[at + by.len()..]))
}

/// RFC 3986 section 5.2.4, and whether a slash ends it.
fn segments(path: &str) -> (Vec<&str>, bool) {
    let mut kept = Vec::new();
    for segment in path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."))
    {
        if segment == ".." {
            kept.pop();
        } else {
            kept.push(segment);
        }
    }
    let ends = kept.is_empty() || path.ends_with('/');
    (kept, ends)
}

/// Parameters as a multiset.
fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let given = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = given
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| {
            (
                naive::decoded(name.as_bytes()),
                naive::decoded(value.as_bytes()),
            )
        })
        .collect();
    pairs.sort();
    pairs
}

/// 2015-08-30, as in AWS's examples.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_mins(24_015_636)
}

/// What decides about a call's meaning.
const MEANINGFUL: [&str; 4] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
];
