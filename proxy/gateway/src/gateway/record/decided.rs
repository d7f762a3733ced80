//! Decision records: what a request came to, and why.

use std::{net::IpAddr, time::SystemTime};

use decision::{Basis, Decided, Permit};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Seen;
use crate::gateway::{Ctx, head::Head, identify::Caller, refuse::Refusal};

/// What a request came to.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'r> {
    /// When its head was there, RFC 3339 in UTC.
    pub(crate) time: String,
    pub(crate) request_id: &'r str,
    pub(crate) route: Option<&'r str>,
    /// The settings and policies that judged it.
    pub(crate) generation: u64,
    pub(crate) outcome: &'static str,
    /// Why it went no further.
    pub(crate) code: Option<&'r str>,
    /// The rate limit that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<&'r str>,
    pub(crate) principal: Option<&'r str>,
    /// The fingerprint of what the caller showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<&'r str>,
    pub(crate) action: Option<&'r str>,
    pub(crate) resource: Option<&'r str>,
    /// Ids of the policies that decided.
    pub(crate) policies: Vec<&'r str>,
    /// The server that answered.
    pub(crate) upstream: Option<&'r str>,
    pub(crate) status: u16,
    pub(crate) micros: Micros,
    pub(crate) method: &'r str,
    pub(crate) host: Option<&'r str>,
    /// Without the query, which may hold secrets.
    pub(crate) path: Option<&'r str>,
    pub(crate) client: IpAddr,
    pub(crate) bytes: u64,
}

impl Record<'_> {
    /// Writes its line behind what is there.
    pub(crate) fn write(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(&mut *line, self)?;
        line.push(b'\n');
        Ok(())
    }
}

/// As records tell times: RFC 3339 in UTC.
pub(crate) fn told(time: SystemTime) -> String {
    OffsetDateTime::from(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// Time spent, in microseconds.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Micros {
    pub(crate) admit: u64,
    pub(crate) identify: u64,
    pub(crate) decide: u64,
    pub(crate) total: u64,
}

impl<'r> Record<'r> {
    /// Of a request that has ended.
    pub(super) fn of(ctx: &'r Ctx, seen: &Seen<'r>) -> Self {
        let head = ctx.head();
        let decided = match ctx.permit.as_ref().map(Permit::basis) {
            Some(Basis::Policies(decided)) => Some(&**decided),
            _ => ctx.denied.as_deref(),
        };
        Self {
            time: told(ctx.time),
            request_id: ctx.request_id.as_str(),
            route: ctx.plan.as_ref().map(|plan| &*plan.name),
            generation: ctx.snapshot.generation,
            outcome: ctx.outcome.as_str(),
            code: ctx.refusal.as_ref().map(|refusal| refusal.line().code),
            limit: ctx.refusal.as_ref().and_then(Refusal::limit),
            principal: decided
                .map(Decided::principal)
                .or(ctx.caller.as_ref().and_then(Caller::principal)),
            certificate: head
                .and_then(Head::certificate)
                .map(|it| it.fingerprint.as_str()),
            action: decided.map(Decided::action),
            resource: decided.map(Decided::resource),
            policies: decided.map_or_else(Vec::new, |d| d.outcome().policies().collect()),
            upstream: ctx.endpoint.as_ref().map(|endpoint| endpoint.label()),
            status: seen.status(),
            micros: ctx.micros,
            method: seen.method.as_str(),
            host: head.map(|head| head.authority.host()),
            path: head.map(|head| head.path.as_str()),
            client: seen.client,
            bytes: seen.sent,
        }
    }
}
