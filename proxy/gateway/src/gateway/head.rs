//! The canonical head of a request: the one reading that routing, policies and the upstream all get.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use decision::Certificate;
use http::{HeaderMap, Method, Version};
use route::Template;
use settings::Scheme;

use super::admit::Allowances;
use crate::listen::Shown;

/// A request's head after admission.
///
/// INVARIANT: only `admit` makes one, so the path has one spelling, the authority is valid, and no header is in it that an
/// upstream could take for one of ours.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// In which it was asked.
    pub(crate) version: Version,
    /// By which the caller reached us, or the trusted peer in front.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) client: IpAddr,
    /// What the caller's connection showed, where it has TLS; it was checked with the head.
    pub(crate) shown: Option<Arc<Shown>>,
    /// The path's parameters under its route's template; none before routing.
    pub(crate) parameters: Vec<(Arc<str>, String)>,
    /// What its route must allow.
    pub(crate) needs: Allowances,
    /// It asks to go on as WebSocket; once it is permitted, its route lets it.
    pub(crate) websocket: bool,
}

impl Head {
    /// Path and query as they go upstream.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The same with a path of this template in the place of the request's; `None` where the request lacks a parameter.
    pub(crate) fn target_with(&self, path: &Template) -> Option<String> {
        let mut target = path.fill(|name| self.parameter(name))?;
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        Some(target)
    }

    /// A parameter of the path under its route's template, percent-encoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut known = self.parameters.iter();
        known.find_map(|(known, value)| (**known == *name).then_some(value.as_str()))
    }

    /// The certificate that the caller showed.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.shown.as_ref()?.names()
    }
}

/// A host in lower case, with a port where it is not the scheme's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    text: String,
    host_len: usize,
}

impl Authority {
    pub(crate) fn new(host: String, port: Option<u16>) -> Self {
        let host_len = host.len();
        let mut text = host;
        if let Some(port) = port {
            // Writing to a string does not fail.
            write!(text, ":{port}").unwrap_or_default();
        }
        Self { text, host_len }
    }

    /// Host and port.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone: what routes match.
    pub(crate) fn host(&self) -> &str {
        self.text.get(..self.host_len).unwrap_or(&self.text)
    }

    /// The port, where it is not the scheme's default.
    pub(crate) fn port(&self) -> Option<u16> {
        let port = self.text.get(self.host_len..)?.strip_prefix(':')?;
        port.parse().ok()
    }
}
