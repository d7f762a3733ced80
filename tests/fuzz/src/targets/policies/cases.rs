//! The callers and the requests that are decided.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use decision::{Caller, Certificate, Claims, Request, Single, query_parameter};
use serde_json::{Map, Value, json};

/// A caller.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) id: &'static str,
    pub(super) groups: &'static [&'static str],
    pub(super) email: Option<&'static str>,
    pub(super) level: Option<i64>,
    /// Of those who come with an access token.
    pub(super) scopes: Option<&'static [&'static str]>,
}

/// One with an access token, one with an ID token, and one who has as little as can be.
pub(super) const CALLERS: &[Who] = &[
    Who {
        id: "pool|u1",
        groups: &["readers", "a"],
        email: None,
        level: None,
        scopes: Some(&["a", "b"]),
    },
    Who {
        id: "pool|a",
        groups: &["a"],
        email: Some("a@example.com"),
        level: Some(i64::MAX),
        scopes: None,
    },
    Who {
        id: "pool|u2",
        groups: &[],
        email: None,
        level: Some(0),
        scopes: None,
    },
];

/// A caller with the claims of its token.
#[derive(Debug)]
pub(super) struct Claimed<'w>(&'w Who, Map<String, Value>);

impl Who {
    pub(super) fn claims(&self) -> Claimed<'_> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), json!(self.id));
        let given = [
            ("email", self.email.map(|email| json!(email))),
            ("level", self.level.map(|level| json!(level))),
            ("scope", self.scopes.map(|scopes| json!(scopes.join(" ")))),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, claim)| Some((name.to_owned(), claim?)));
        claims.extend(given);
        Claimed(self, claims)
    }
}

impl Caller for Claimed<'_> {
    fn id(&self) -> &str {
        self.0.id
    }

    fn group_prefix(&self) -> Option<&str> {
        Some("pool")
    }

    fn groups(&self) -> Vec<&str> {
        self.0.groups.to_vec()
    }

    fn id_claims(&self) -> Option<impl Claims> {
        self.0.scopes.is_none().then_some(&self.1)
    }

    fn access_claims(&self) -> Option<impl Claims> {
        self.0.scopes.is_some().then_some(&self.1)
    }

    fn digest(&self) -> Option<[u8; 16]> {
        let mut digest = [0; 16];
        for (place, octet) in digest.iter_mut().zip(self.0.id.bytes().rev()) {
            *place = octet;
        }
        Some(digest)
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) pet: Option<&'static str>,
    pub(super) limit: Option<&'static str>,
    pub(super) tenant: Option<&'static str>,
    pub(super) client: IpAddr,
    pub(super) certificate: Option<Certificate>,
    query: String,
}

/// Requests of a route with these parameters.
pub(super) fn requests(parameters: &[&str]) -> [Asked; 3] {
    let asked = |pet: &'static str, limit: Option<&'static str>, tenant, client: [u8; 4]| {
        let certificate = limit.map(|_| shown());
        let pet = (!parameters.is_empty()).then_some(pet);
        Asked {
            path: pet.map_or_else(|| "/pets".to_owned(), |pet| format!("/pets/{pet}")),
            pet,
            limit,
            tenant,
            client: client.into(),
            certificate,
            query: limit.map_or_else(String::new, |limit| format!("limit={limit}&x")),
        }
    };
    [
        asked("1", None, None, [192, 0, 2, 7]),
        asked("a", Some("5"), Some("a"), [10, 0, 0, 1]),
        asked("a", None, Some("b"), [192, 0, 2, 7]),
    ]
}

fn shown() -> Certificate {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Certificate {
        subject: "CN=a".to_owned(),
        dns: names(&["a.example.com", "a"]),
        uris: names(&["spiffe://example.com/a"]),
        fingerprint: "00ff".to_owned(),
        serial: "01".to_owned(),
        ..Certificate::default()
    }
}

impl Request for Asked {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &'static str {
        "api.example.com"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        self.pet.filter(|_| name == "petId")
    }

    fn query_parameter(&self, name: &str) -> Single<'_> {
        query_parameter(&self.query, name)
    }

    fn header(&self, name: &str) -> Single<'_> {
        let tenant = self.tenant.filter(|_| name == "x-tenant");
        tenant.map_or(Single::Absent, |tenant| Single::One(Cow::Borrowed(tenant)))
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

/// [`NOW`].
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(490_908)
}

/// As Cedar reads it.
pub(super) const NOW: &str = "2026-01-01T12:00:00Z";
