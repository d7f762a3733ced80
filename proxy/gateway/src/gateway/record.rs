//! What is written of each request at its end: a decision record, and a line of the access log.

mod access;
mod decided;
mod losses;
mod queue;
mod recorder;
mod sink;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::proxy::Session;
use settings::{AccessFormat, Decisions, Scheme};

use super::{Ctx, judge};
use crate::status::Degraded;
use access::Line;
pub(crate) use decided::{Micros, Record, told};
pub(crate) use losses::Losses;
use recorder::{Recorder, Writer};

/// Takes what is written of requests; cloning shares the writers.
#[derive(Debug, Clone)]
pub(crate) struct Recorders {
    decisions: Recorder,
    access: Recorder,
    format: AccessFormat,
}

/// The writing threads; they end when all [`Recorders`] are gone.
#[derive(Debug)]
pub(crate) struct Writers([Writer; 2]);

/// What was lost of each log.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) decisions: Losses,
    pub(crate) access: Losses,
}

impl Recorders {
    /// Starts what the settings ask for.
    pub(crate) fn start(log: &settings::Log, lost: &Lost) -> anyhow::Result<(Self, Writers)> {
        let decisions = match &log.decisions {
            Decisions::To(output) => Some(output),
            Decisions::Nowhere => None,
        };
        let access = log.access.as_ref();
        let (decisions, one) = Recorder::start(decisions, lost.decisions.clone())
            .context("decision records cannot be written")?;
        let file = access.map(|access| &access.file);
        let (lines, two) = Recorder::start(file, lost.access.clone())
            .context("the access log cannot be written")?;
        let recorders = Self {
            decisions,
            access: lines,
            format: access.map(|access| access.format).unwrap_or_default(),
        };
        Ok((recorders, Writers([one, two])))
    }

    /// Queues what is to be written of a request that has ended; never waits for the disk.
    pub(super) fn record(&self, ctx: &Ctx, seen: &Seen<'_>) {
        self.decisions
            .record(|line| Record::of(ctx, seen).write(line).is_ok());
        self.access
            .record(|line| Line::of(ctx, seen).write(self.format, line).is_ok());
    }

    /// Asks for files to be opened anew, after they were moved away; never waits.
    pub(crate) fn reopen(&self) {
        self.decisions.reopen();
        self.access.reopen();
    }
}

impl Writers {
    /// Waits until everything queued is written, though not for ever.
    pub(crate) fn finish(self) {
        let by = Instant::now() + FINISH;
        for writer in self.0 {
            writer.finish(by);
        }
    }
}

impl Lost {
    /// The logs that are not well.
    pub(crate) fn degraded(&self) -> impl Iterator<Item = Degraded> {
        [&self.decisions, &self.access]
            .into_iter()
            .filter_map(Losses::degraded)
    }
}

/// A request and its answer, as they were seen on the caller's side.
pub(super) struct Seen<'s> {
    pub(super) method: &'s Method,
    pub(super) version: Version,
    pub(super) headers: &'s HeaderMap,
    pub(super) client: IpAddr,
    /// Of the answer, if one was begun.
    pub(super) answered: Option<StatusCode>,
    /// By which the connection is spoken to.
    pub(super) scheme: Scheme,
    /// Octets of the request's body, and of the answer's.
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl<'s> Seen<'s> {
    /// By the session that served it.
    pub(super) fn of(session: &'s Session, ctx: &Ctx) -> Self {
        let sent = session.req_header();
        let head = ctx.head();
        Self {
            method: &sent.method,
            version: sent.version,
            headers: &sent.headers,
            client: head.map_or_else(|| judge::peer(session), |head| head.client),
            answered: session.response_written().map(|written| written.status),
            scheme: scheme(session),
            received: octets(session.body_bytes_read()),
            sent: octets(session.body_bytes_sent()),
        }
    }

    /// The answer's status; 0 where none was begun.
    fn status(&self) -> u16 {
        self.answered.map_or(0, |status| status.as_u16())
    }
}

fn scheme(session: &Session) -> Scheme {
    let digest = session.digest();
    match digest.and_then(|digest| digest.ssl_digest.as_ref()) {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    }
}

fn octets(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

const FINISH: Duration = Duration::from_secs(2);
