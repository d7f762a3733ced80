//! Decision records: one JSON line a request, written by a thread of its own.
//!
//! A slow disk must not slow requests, so the queue is bounded and what does not fit is counted and dropped.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    net::IpAddr,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    time::Duration,
};

use decision::{Basis, Decided, Permit};
use pingora::proxy::Session;
use prometheus::IntCounter;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Ctx, identify::Caller};

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
    pub(crate) principal: Option<&'r str>,
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
    pub(crate) bytes: usize,
}

/// Time spent, in microseconds.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Micros {
    pub(crate) admit: u64,
    pub(crate) identify: u64,
    pub(crate) decide: u64,
    pub(crate) total: u64,
}

/// Takes records; cloning shares the writer.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    queue: SyncSender<Message>,
    dropped: IntCounter,
}

/// The writing thread; it ends when every [`Recorder`] is gone.
#[derive(Debug)]
pub(crate) struct Writer {
    done: Receiver<()>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Reopen,
}

impl Recorder {
    /// Starts a writer to a file, or to standard output.
    pub(crate) fn start(file: Option<PathBuf>, dropped: IntCounter) -> io::Result<(Self, Writer)> {
        let sink = open(file.as_ref())?;
        let (queue, messages) = sync_channel(QUEUE);
        let (tell, done) = sync_channel(1);
        std::thread::Builder::new()
            .name("records".into())
            .spawn(move || {
                write_all(&messages, sink, file.as_ref());
                // Nobody may be waiting any more.
                let _ = tell.send(());
            })?;
        Ok((Self { queue, dropped }, Writer { done }))
    }

    /// Queues one record; never waits.
    pub(crate) fn record(&self, record: &Record<'_>) {
        let mut line = Vec::with_capacity(512);
        if serde_json::to_writer(&mut line, record).is_err() {
            self.dropped.inc();
            return;
        }
        line.push(b'\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Line(line))
        {
            self.dropped.inc();
        }
    }

    /// Opens the file anew, after it was moved away.
    pub(crate) fn reopen(&self) {
        if self.queue.send(Message::Reopen).is_err() {
            tracing::error!("The writer of decision records is gone");
        }
    }
}

impl Writer {
    /// Waits until everything queued is written, though not for ever: standard output may be a pipe that nobody reads.
    pub(crate) fn finish(self) {
        if self.done.recv_timeout(FINISH).is_err() {
            tracing::warn!("Decision records are left unwritten");
        }
    }
}

fn open(file: Option<&PathBuf>) -> io::Result<Box<dyn Write + Send>> {
    Ok(match file {
        Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        None => Box::new(io::stdout()),
    })
}

fn write_all(messages: &Receiver<Message>, sink: Box<dyn Write + Send>, file: Option<&PathBuf>) {
    let mut sink = BufWriter::new(sink);
    while let Some(message) = next(messages, &mut sink) {
        let done = match message {
            Message::Line(line) => sink.write_all(&line),
            Message::Reopen => sink
                .flush()
                .and_then(|()| open(file))
                .map(|fresh| sink = BufWriter::new(fresh)),
        };
        report(done);
    }
    report(sink.flush());
}

/// The next message; flushes before it waits for one.
fn next(messages: &Receiver<Message>, sink: &mut impl Write) -> Option<Message> {
    match messages.try_recv() {
        Ok(message) => Some(message),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => {
            report(sink.flush());
            messages.recv().ok()
        }
    }
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "Decision records cannot be written");
    }
}

impl Ctx {
    /// What this request came to.
    pub(super) fn record<'r>(&'r self, session: &'r Session) -> Record<'r> {
        let head = self.head();
        let decided = match self.permit.as_ref().map(Permit::basis) {
            Some(Basis::Policies(decided)) => Some(&**decided),
            _ => self.denied.as_deref(),
        };
        let status = session.response_written().map(|written| written.status);
        Record {
            time: OffsetDateTime::from(self.time)
                .format(&Rfc3339)
                .unwrap_or_default(),
            request_id: &self.request_id,
            route: self.plan.as_ref().map(|plan| &*plan.name),
            generation: self.snapshot.generation,
            outcome: self.outcome.as_str(),
            code: self.refusal.as_ref().map(|refusal| refusal.line().code),
            principal: decided
                .map(Decided::principal)
                .or(self.caller.as_ref().and_then(Caller::principal)),
            action: decided.map(Decided::action),
            resource: decided.map(Decided::resource),
            policies: decided.map_or_else(Vec::new, |d| d.outcome().policies().collect()),
            upstream: self.server.as_ref().map(|server| server.label()),
            status: status.map_or(0, |status| status.as_u16()),
            micros: self.micros,
            method: session.req_header().method.as_str(),
            host: head.map(|head| head.authority.host()),
            path: head.map(|head| head.path.as_str()),
            client: head.map_or_else(|| super::judge::peer(session), |head| head.client),
            bytes: session.body_bytes_sent(),
        }
    }
}

const QUEUE: usize = 16 * 1024;
const FINISH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped() -> IntCounter {
        IntCounter::new("dropped", "dropped").unwrap()
    }

    fn record(id: &str) -> Record<'_> {
        Record {
            time: "2026-01-01T00:00:00Z".into(),
            request_id: id,
            route: Some("pets"),
            generation: 7,
            outcome: "deny",
            code: Some("policy_denied"),
            principal: None,
            action: None,
            resource: None,
            policies: Vec::new(),
            upstream: None,
            status: 403,
            micros: Micros::default(),
            method: "GET",
            host: Some("a.example"),
            path: Some("/pets"),
            client: IpAddr::from([127, 0, 0, 1]),
            bytes: 0,
        }
    }

    #[test]
    fn every_record_is_a_line_and_a_moved_file_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        let (recorder, writer) = Recorder::start(Some(path.clone()), dropped()).unwrap();
        recorder.record(&record("one"));
        while ids(&path).is_empty() {
            std::thread::yield_now();
        }
        let moved = dir.path().join("moved.jsonl");
        std::fs::rename(&path, &moved).unwrap();
        recorder.reopen();
        recorder.record(&record("two"));
        drop(recorder);
        writer.finish();
        assert_eq!(ids(&moved), ["one"]);
        assert_eq!(ids(&path), ["two"]);
    }

    fn ids(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["request_id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (queue, messages) = sync_channel(1);
        let recorder = Recorder {
            queue,
            dropped: dropped(),
        };
        recorder.record(&record("kept"));
        recorder.record(&record("lost"));
        assert_eq!(recorder.dropped.get(), 1);
        drop(messages);
        recorder.record(&record("lost too"));
        assert_eq!(recorder.dropped.get(), 2);
    }
}
