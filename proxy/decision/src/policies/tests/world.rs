//! Requests and callers whose parts are what a test says.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Map, Value};

use crate::{Caller, Certificate, Claims, Request, Single};

/// A request whose parts are what a test says.
#[derive(Debug, Clone)]
pub(super) struct Req {
    pub(super) pet: String,
    pub(super) query: String,
    pub(super) tenant: Option<String>,
    pub(super) ip: IpAddr,
    pub(super) certificate: Option<Certificate>,
}

impl Default for Req {
    fn default() -> Self {
        Self {
            pet: "1".into(),
            query: String::new(),
            tenant: None,
            ip: [192, 0, 2, 1].into(),
            certificate: None,
        }
    }
}

impl Request for Req {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &'static str {
        "api.example.com"
    }

    fn path(&self) -> &'static str {
        "/pets/1"
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        (name == "petId").then_some(&self.pet)
    }

    fn query_parameter(&self, name: &str) -> Single<'_> {
        crate::query_parameter(&self.query, name)
    }

    fn header(&self, name: &str) -> Single<'_> {
        match &self.tenant {
            Some(tenant) if name == "x-tenant" => Single::One(Cow::Borrowed(tenant)),
            _ => Single::Absent,
        }
    }

    fn client_ip(&self) -> IpAddr {
        self.ip
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) id: String,
    pub(super) prefix: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) id_claims: Option<Map<String, Value>>,
    pub(super) access_claims: Option<Map<String, Value>>,
    pub(super) digest: Option<[u8; 16]>,
}

impl Who {
    pub(super) fn new(id: &str, groups: &[&str]) -> Self {
        Self::of(Some("pool"), id, groups)
    }

    /// A caller of the issuer with this prefix.
    pub(super) fn of(prefix: Option<&str>, id: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Self {
            id: prefix.map_or_else(|| id.to_owned(), |prefix| format!("{prefix}|{id}")),
            prefix: prefix.map(str::to_owned),
            groups,
            id_claims: None,
            access_claims: None,
            digest: None,
        }
    }

    pub(super) fn access(mut self, claims: &Value) -> Self {
        self.access_claims = claims.as_object().cloned();
        self
    }

    pub(super) fn id_token(mut self, claims: &Value) -> Self {
        self.id_claims = claims.as_object().cloned();
        self
    }
}

impl Caller for Who {
    fn id(&self) -> &str {
        &self.id
    }

    fn group_prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    fn groups(&self) -> Vec<&str> {
        self.groups.iter().map(String::as_str).collect()
    }

    fn id_claims(&self) -> Option<impl Claims> {
        self.id_claims.as_ref()
    }

    fn access_claims(&self) -> Option<impl Claims> {
        self.access_claims.as_ref()
    }

    fn digest(&self) -> Option<[u8; 16]> {
        self.digest
    }
}
