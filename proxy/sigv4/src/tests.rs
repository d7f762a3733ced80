use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use secrecy::SecretString;
use serde::Deserialize;

use super::*;

/// Requests that botocore signed; `tests/vectors.py` makes them.
#[derive(Deserialize)]
struct Vectors {
    secret: String,
    now: u64,
    #[serde(rename = "vectors")]
    signed: Vec<Vector>,
}

#[derive(Deserialize, Clone)]
struct Vector {
    name: String,
    method: String,
    url: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    service: String,
}

impl Vector {
    fn headers(&self) -> HeaderMap {
        let one = |(name, value): (&String, &String)| {
            (
                HeaderName::try_from(name).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            )
        };
        self.headers.iter().map(one).collect()
    }

    fn check(&self, headers: &HeaderMap, now: SystemTime) -> Result<(), Refusal> {
        let target = self.url.splitn(4, '/').nth(3).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, method) = (
            format!("/{path}"),
            Method::try_from(self.method.as_str()).unwrap(),
        );
        let payload = Payload::Bytes(self.body.as_bytes());
        let request = Request {
            method: &method,
            path: &path,
            query,
            headers,
            payload,
        };
        verify(
            &Authorization::parse(headers)?,
            &request,
            &secret(),
            &self.service,
            now,
        )
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../tests/vectors.json")).unwrap()
}

fn secret() -> SecretString {
    SecretString::from(vectors().secret)
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(vectors().now)
}

/// The first vector: an awsJson call.
fn call() -> Vector {
    vectors().signed.into_iter().next().unwrap()
}

fn changed(name: &'static str, change: impl Fn(&str) -> String) -> Result<(), Refusal> {
    let vector = call();
    let mut headers = vector.headers();
    let value = change(headers.get(name).unwrap().to_str().unwrap());
    headers.insert(name, HeaderValue::try_from(value).unwrap());
    vector.check(&headers, now())
}

fn message(result: Result<(), Refusal>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn what_botocore_signs_is_verified() {
    for vector in vectors().signed {
        assert_eq!(
            vector.check(&vector.headers(), now()),
            Ok(()),
            "{}",
            vector.name
        );
    }
}

#[test]
fn every_part_of_the_request_is_covered() {
    for vector in vectors().signed {
        let headers = vector.headers();
        let mut other = vector.clone();
        other.body.push('x');
        assert_eq!(
            other.check(&headers, now()),
            Err(Refusal::Mismatch),
            "{} body",
            vector.name
        );
        let mut other = vector.clone();
        other.method = "PUT".into();
        assert_eq!(
            other.check(&headers, now()),
            Err(Refusal::Mismatch),
            "{} method",
            vector.name
        );
        let mut other = vector.clone();
        other.url.push_str(if vector.url.contains('?') {
            "&a=b"
        } else {
            "d?a=b"
        });
        assert_eq!(
            other.check(&headers, now()),
            Err(Refusal::Mismatch),
            "{} target",
            vector.name
        );
    }
    let mismatch = Err(Refusal::Mismatch);
    assert_eq!(changed("host", |_| "other.example.com".into()), mismatch);
    assert_eq!(
        changed("x-amz-target", |target| target.replace("List", "Delete")),
        mismatch
    );
    assert_eq!(changed("content-type", |_| "text/plain".into()), mismatch);
}

#[test]
fn another_secret_or_key_does_not_fit() {
    let vector = call();
    let headers = vector.headers();
    let authorization = Authorization::parse(&headers).unwrap();
    assert_eq!(authorization.access_key_id(), "AKIDEXAMPLE");
    assert_eq!(authorization.scope().region, "eu-west-1");
    let payload = Payload::Bytes(vector.body.as_bytes());
    let request = Request {
        method: &Method::POST,
        path: "/",
        query: "",
        headers: &headers,
        payload,
    };
    let other = SecretString::from("other");
    assert_eq!(
        verify(&authorization, &request, &other, "cognito-idp", now()),
        Err(Refusal::Mismatch)
    );
    let region = changed("authorization", |text| {
        text.replace("eu-west-1", "eu-west-2")
    });
    assert_eq!(region, Err(Refusal::Mismatch));
    let flipped = changed("authorization", |text| {
        text.replace("Signature=3", "Signature=4")
    });
    assert_eq!(flipped, Err(Refusal::Mismatch));
    let short = changed("authorization", |text| {
        text.get(..text.len() - 1).unwrap().to_owned()
    });
    assert_eq!(short, Err(Refusal::Mismatch));
}

#[test]
fn the_clock_may_be_off_by_five_minutes() {
    let (vector, five) = (call(), Duration::from_mins(5));
    let headers = vector.headers();
    assert_eq!(vector.check(&headers, now() + five), Ok(()));
    assert_eq!(vector.check(&headers, now() - five), Ok(()));
    let second = Duration::from_secs(1);
    assert_eq!(
        message(vector.check(&headers, now() + five + second)),
        "Signature expired: 20261121T021550Z is now earlier than 20261121T021551Z (20261121T022051Z - 5 min.)"
    );
    assert_eq!(
        message(vector.check(&headers, now() - five - second)),
        "Signature not yet current: 20261121T021550Z is still later than 20261121T021549Z (20261121T021049Z + 5 min.)"
    );
}

#[test]
fn the_scope_must_fit() {
    assert_eq!(
        message(changed("authorization", |text| text
            .replace("/cognito-idp/", "/sts/"))),
        "Credential should be scoped to correct service: 'cognito-idp'."
    );
    assert!(
        message(changed("authorization", |text| text
            .replace("/20261121/", "/20261120/")))
        .starts_with("Date in Credential scope does not match YYYYMMDD")
    );
    assert_eq!(
        message(changed("authorization", |text| text.replace("aws4_request", "aws5"))),
        "Credential should be scoped with a valid terminator: 'aws4_request'."
    );
    assert!(
        message(changed("authorization", |text| text.replace("/eu-west-1", "")))
            .starts_with("Credential must have exactly 5 slash-delimited elements")
    );
}

#[test]
fn headers_that_decide_must_be_signed() {
    for name in ["host;", ";x-amz-target"] {
        let left_out = changed("authorization", |text| text.replace(name, ""));
        assert!(
            message(left_out).contains("must be a 'SignedHeader'"),
            "{name}"
        );
    }
    let vector = call();
    let mut headers = vector.headers();
    headers.insert("x-amz-security-token", HeaderValue::from_static("added"));
    assert!(message(vector.check(&headers, now())).contains("x-amz-security-token"));
    headers.remove("x-amz-security-token");
    headers.insert("x-amz-cf-id", HeaderValue::from_static("added by a proxy"));
    assert_eq!(vector.check(&headers, now()), Ok(()));
}

#[test]
fn incomplete_signatures_name_what_is_missing() {
    let vector = call();
    let mut headers = vector.headers();
    headers.remove("authorization");
    assert_eq!(vector.check(&headers, now()), Err(Refusal::Missing));
    let bearer = message(changed("authorization", |_| "Bearer abc".into()));
    for part in ["'Credential'", "'Signature'", "'SignedHeaders'"] {
        assert!(
            bearer.contains(&format!("Authorization header requires {part} parameter.")),
            "{bearer}"
        );
    }
    assert!(!bearer.contains("abc"), "{bearer}");
    let unsigned = message(changed("authorization", |text| {
        text.replace("Signature=", "Sig=")
    }));
    assert!(
        unsigned.starts_with("Authorization header requires 'Signature' parameter. (Hashed"),
        "{unsigned}"
    );
    let mut headers = vector.headers();
    headers.remove("x-amz-date");
    assert!(message(vector.check(&headers, now())).contains("'X-Amz-Date'"));
    let mut twice = vector.headers();
    twice.append(
        "authorization",
        HeaderValue::from_static("AWS4-HMAC-SHA256 x"),
    );
    assert!(matches!(
        vector.check(&twice, now()),
        Err(Refusal::Incomplete(_))
    ));
}

#[test]
fn values_that_are_no_text_are_told_apart() {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: secret(),
        session_token: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a"));
    let mut holds = |value: &[u8], signed: Option<&HeaderMap>| {
        headers.insert("x-amz-target", HeaderValue::from_bytes(value).unwrap());
        let request = |headers| Request {
            method: &Method::POST,
            path: "/",
            query: "",
            headers,
            payload: Payload::Bytes(b""),
        };
        let made = sign(&request(&headers), &credentials, "r", "s", now()).unwrap();
        let mut sent = headers.clone();
        sent.extend(signed.unwrap_or(&made).clone());
        let authorization = Authorization::parse(&sent).unwrap();
        let verified = verify(&authorization, &request(&sent), &secret(), "s", now());
        (made, verified)
    };
    let (made, own) = holds(b"a\xff", None);
    assert_eq!(own, Ok(()));
    for other in [&b"a\xfe"[..], "a\u{fffd}".as_bytes(), b"a\xff\xff"] {
        let (_, borrowed) = holds(other, Some(&made));
        assert_eq!(borrowed, Err(Refusal::Mismatch), "{other:?}");
    }
}

#[test]
fn what_we_sign_is_what_botocore_signs() {
    for vector in vectors().signed {
        let signed = vector.headers();
        let mut headers = signed.clone();
        for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
            headers.remove(name);
        }
        let target = vector.url.splitn(4, '/').nth(3).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = Method::try_from(vector.method.as_str()).unwrap();
        let payload = Payload::Bytes(vector.body.as_bytes());
        let request = Request {
            method: &method,
            path: &format!("/{path}"),
            query,
            headers: &headers,
            payload,
        };
        let token = signed
            .get("x-amz-security-token")
            .map(|token| token.to_str().unwrap().to_owned().into());
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret: secret(),
            session_token: token,
        };
        let added = sign(&request, &credentials, "eu-west-1", &vector.service, now()).unwrap();
        assert_eq!(
            added.get("authorization"),
            signed.get("authorization"),
            "{}",
            vector.name
        );
        assert!(!format!("{credentials:?}").contains("wJalr"));
    }
}

#[test]
fn a_request_without_a_host_is_not_signed() {
    let headers = HeaderMap::new();
    let request = Request {
        method: &Method::POST,
        path: "/",
        query: "",
        headers: &headers,
        payload: Payload::Unsigned,
    };
    let credentials = Credentials {
        access_key_id: "A".into(),
        secret: secret(),
        session_token: None,
    };
    let refused = sign(&request, &credentials, "eu-west-1", "sts", now());
    assert_eq!(refused.unwrap_err(), UnsignableRequest::NoHost);
}

proptest! {
    #[test]
    fn no_header_makes_the_parser_panic(value in "\\PC{0,200}") {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert("authorization", value);
        }
        let _ = Authorization::parse(&headers);
    }

    #[test]
    fn nothing_made_up_is_verified(
        parameters in "(Credential|SignedHeaders|Signature|[a-z]{1,4})=[a-zA-Z0-9/;=]{0,80}(, ?[A-Za-z]{1,14}=[a-z0-9/;=]{0,80}){0,4}",
        date in "[0-9TZ]{0,17}",
        path in "\\PC{0,40}",
        query in "\\PC{0,40}",
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a"));
        headers.insert("x-amz-date", HeaderValue::try_from(date).unwrap());
        headers.insert("authorization", HeaderValue::try_from(format!("AWS4-HMAC-SHA256 {parameters}")).unwrap());
        let request = Request { method: &Method::GET, path: &path, query: &query, headers: &headers, payload: Payload::Bytes(b"") };
        let refused = Authorization::parse(&headers).and_then(|found| verify(&found, &request, &secret(), "sts", now()));
        prop_assert!(refused.is_err());
    }

    #[test]
    fn what_is_signed_is_verified(path in "(/[a-zA-Z0-9%._~-]{0,9}){1,4}", query in "([a-z]{1,3}=[a-zA-Z0-9%._~+-]{0,9}&?){0,4}", body in ".{0,40}") {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a"));
        let request = Request { method: &Method::POST, path: &path, query: &query, headers: &headers, payload: Payload::Bytes(body.as_bytes()) };
        let credentials = Credentials { access_key_id: "A".into(), secret: secret(), session_token: None };
        let added = sign(&request, &credentials, "eu-west-1", "sts", now()).unwrap();
        let mut signed = headers.clone();
        signed.extend(added);
        let request = Request { headers: &signed, ..request };
        let authorization = Authorization::parse(&signed).unwrap();
        prop_assert_eq!(verify(&authorization, &request, &secret(), "sts", now()), Ok(()));
    }
}
