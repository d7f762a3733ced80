//! The trace of a request: joined from its caller, carried on to its upstream, and told to a collector when the request is over.

pub(crate) mod context;
mod spans;

use std::{
    cell::RefCell,
    net::IpAddr,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use pingora::{Error, ErrorType, http::RequestHeader};
use settings::TrustParent;
use uuid::Uuid;

use super::{Ctx, record::Seen};
use crate::{snapshot::Snapshot, traces::Traces};
use context::{Parent, RANDOM, SAMPLED, SpanId, TRACEPARENT, TRACESTATE, TraceId};

/// Where a request stands in a trace.
#[derive(Debug)]
pub(super) struct Trace {
    id: TraceId,
    /// The caller's span, where the request belongs to the caller's trace.
    parent: Option<SpanId>,
    /// What the caller sent, where the request begins a trace of its own.
    link: Option<Parent>,
    server: SpanId,
    client: SpanId,
    flags: u8,
    /// What goes on of `tracestate`.
    state: Option<HeaderValue>,
    /// What the upstream answered.
    answered: Option<StatusCode>,
    /// When the upstream's answer was whole.
    exchanged: Option<Instant>,
}

impl Trace {
    /// That of a request whose head has come; nothing where traces are off.
    pub(super) fn of(snapshot: &Snapshot, headers: &HeaderMap, peer: IpAddr) -> Option<Self> {
        let traces = snapshot.traces.as_deref()?;
        let trusted = || snapshot.rules.trusts(peer);
        Some(Self::join(traces, headers, trusted))
    }

    /// Joins the caller's trace, or begins one.
    fn join(traces: &Traces, headers: &HeaderMap, trusted: impl FnOnce() -> bool) -> Self {
        let sent = Parent::read(headers);
        let trust = traces.trust_parent();
        let believed = sent.is_some() && (trust == TrustParent::All || trusted());
        let joined = sent.filter(|_| believed || trust == TrustParent::TraceId);
        let sampled = match joined.filter(|_| believed) {
            Some(parent) => parent.is_sampled(),
            // By a lot of our own: a stranger who chose the trace's id would choose this too.
            None => traces.draws(lot()),
        };
        let (server, client) = spans();
        let random = joined.map_or(0, |parent| parent.flags & RANDOM);
        Self {
            id: joined.map_or_else(|| Uuid::new_v4().into_bytes(), |parent| parent.trace),
            parent: joined.map(|parent| parent.span),
            link: sent.filter(|_| joined.is_none()),
            server,
            client,
            flags: random | if sampled { SAMPLED } else { 0 },
            state: joined.and_then(|_| context::state(headers)),
            answered: None,
            exchanged: None,
        }
    }

    fn is_recorded(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Tells the upstream, whose spans then hang under the one of its exchange.
    fn carry_on(&self, head: &mut RequestHeader) -> pingora::Result<()> {
        let parent = Parent {
            trace: self.id,
            span: self.client,
            flags: self.flags,
        };
        let Some(value) = parent.value() else {
            return Error::e_explain(ErrorType::InternalError, "a trace cannot be written");
        };
        head.insert_header(TRACEPARENT, value)?;
        match &self.state {
            Some(state) => head.insert_header(TRACESTATE, state.clone())?,
            // It speaks of a trace that ends here.
            None if head.headers.contains_key(TRACESTATE) => {
                head.remove_header(TRACESTATE);
            }
            None => {}
        }
        Ok(())
    }
}

impl Ctx {
    /// Writes the request's trace into what goes upstream; where traces are off, the caller's own is there.
    pub(super) fn carry_trace(&self, head: &mut RequestHeader) -> pingora::Result<()> {
        match &self.trace {
            Some(trace) => trace.carry_on(head),
            None => Ok(()),
        }
    }

    /// The upstream has begun to answer.
    pub(super) fn trace_answer(&mut self, status: StatusCode) {
        if let Some(trace) = &mut self.trace {
            trace.answered = Some(status);
        }
    }

    /// The upstream's answer is whole.
    pub(super) fn trace_end(&mut self) {
        if let Some(trace) = self.trace.as_mut().filter(|trace| trace.is_recorded()) {
            trace.exchanged.get_or_insert_with(Instant::now);
        }
    }

    /// Has a request that is over told to the collector, if it is recorded.
    pub(super) fn export(&self, seen: &Seen<'_>, took: Duration) {
        let recorded = self.trace.as_ref().filter(|trace| trace.is_recorded());
        if let Some((trace, traces)) = recorded.zip(self.snapshot.traces.as_deref()) {
            SPANS.with_borrow_mut(|out| {
                out.clear();
                let spans = self.facts(trace, seen, took).write(out);
                traces.give(out, spans);
            });
        }
    }
}

thread_local! {
    static SPANS: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(2048));
}

/// Ids of two spans: of a UUID of version 4 no half is all zero.
fn spans() -> (SpanId, SpanId) {
    let (server, client) = Uuid::new_v4().as_u64_pair();
    (server.to_be_bytes(), client.to_be_bytes())
}

fn lot() -> u64 {
    // Its highest 48 bits are random, which is fine enough a share.
    Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests;
