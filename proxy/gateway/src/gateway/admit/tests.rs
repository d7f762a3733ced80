mod headers;
mod host;
mod peers;
mod target;

use http::HeaderValue;

use super::*;
use crate::gateway::refuse::Malformed as M;

struct Request {
    target: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    authority: Option<&'static str>,
    peer: [u8; 4],
    tls: bool,
}

impl Request {
    fn get(target: &'static str) -> Self {
        Self {
            target,
            headers: vec![("host", "api.example.com")],
            authority: None,
            peer: [192, 0, 2, 7],
            tls: false,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn host(mut self, host: &'static str) -> Self {
        self.headers.retain(|(name, _)| *name != "host");
        self.headers.push(("host", host));
        self
    }

    fn behind_proxy(mut self) -> Self {
        self.peer = [10, 0, 0, 1];
        self
    }

    fn admit(&self) -> Result<Head, Refusal> {
        self.admit_by(&rules())
    }

    fn admit_by(&self, rules: &Rules) -> Result<Head, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let raw = Raw {
            version: http::Version::HTTP_11,
            method: &Method::GET,
            target: self.target.as_bytes(),
            authority: self.authority,
            headers: &headers,
            head: None,
            peer: IpAddr::from(self.peer),
            tls: self.tls,
        };
        admit(&raw, rules)
    }

    fn refused(&self) -> Refusal {
        self.admit().err().expect("must be refused")
    }
}

fn rules() -> Rules {
    let mut rules = Rules {
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        identity_headers: ["x-user", "x-user-groups"].map(str::to_owned).into(),
        ..Rules::default()
    };
    for read in ["x-role", "x_plan", "x-tier", "x_tier"] {
        rules.read(HeaderName::from_static(read));
    }
    rules
}

fn header<'h>(head: &'h Head, name: &str) -> Option<&'h str> {
    head.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_plain_request_is_admitted_as_it_is() {
    let head = Request::get("/pets/1?q=a%20b")
        .with("accept", "*/*")
        .admit()
        .unwrap();
    assert_eq!(head.path, "/pets/1");
    assert_eq!(head.query.as_deref(), Some("q=a%20b"));
    assert_eq!(head.target(), "/pets/1?q=a%20b");
    assert_eq!(head.authority.as_str(), "api.example.com");
    assert_eq!(header(&head, "accept"), Some("*/*"));
    assert_eq!(head.client, IpAddr::from([192, 0, 2, 7]));
}

#[test]
fn heads_are_bounded() {
    let bounds = Bounds::default();
    let repeat = |octets: usize| -> &'static str { String::leak("a".repeat(octets)) };
    let long: &'static str = String::leak(format!("/{}", repeat(bounds.target - 1)));
    assert!(Request::get(long).admit().is_ok());
    let longer: &'static str = String::leak(format!("{long}a"));
    assert_eq!(Request::get(longer).refused(), Refusal::TargetTooLong);
    let host = "host: api.example.com\r\n".len();
    let room = bounds.head - "/".len() - host - "x-big: \r\n".len();
    let big = |octets| Request::get("/").with("x-big", repeat(octets));
    assert!(big(room).admit().is_ok());
    assert_eq!(big(room + 1).refused(), Refusal::HeadTooLarge);
    let many = |fields| {
        let mut many = Request::get("/");
        many.headers.extend((1..fields).map(|_| ("x-many", "1")));
        many
    };
    assert!(many(bounds.fields).admit().is_ok());
    assert_eq!(many(bounds.fields + 1).refused(), Refusal::HeadTooLarge);
}

#[test]
fn methods_that_nobody_should_take_are_refused() {
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a"))]);
    for name in ["TRACE", "TRACK", "CONNECT", "get", "DELETe", "trace"] {
        let raw = Raw {
            version: http::Version::HTTP_11,
            method: &Method::from_bytes(name.as_bytes()).unwrap(),
            target: b"/",
            authority: None,
            headers: &headers,
            head: None,
            peer: IpAddr::from([192, 0, 2, 7]),
            tls: false,
        };
        assert_eq!(admit(&raw, &rules()).err(), Some(Refusal::MethodRefused));
    }
}
