//! Decision records: one JSON line a request, written by a thread of its own.
//!
//! A slow disk must not slow requests, so the queue is bounded and what does not fit is counted and dropped.

mod queue;
mod sink;

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    net::IpAddr,
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant, SystemTime},
};

use decision::{Basis, Decided, Permit};
use pingora::proxy::Session;
use serde::Serialize;
use settings::Decisions;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Ctx, identify::Caller, refuse::Refusal};
use crate::logs;
use queue::{Giver, Taker};
pub(crate) use sink::Losses;
use sink::Sink;

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

impl Record<'_> {
    /// Puts its line in the place of what is there.
    pub(crate) fn write(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        line.clear();
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

/// Takes records; cloning shares the writer.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    /// Absent where nobody wants records.
    queue: Option<Giver>,
    losses: Losses,
}

/// The writing thread; it ends when every [`Recorder`] is gone.
#[derive(Debug)]
pub(crate) struct Writer {
    done: Option<Receiver<()>>,
}

impl Recorder {
    /// Starts a writer.
    pub(crate) fn start(to: &Decisions, losses: Losses) -> io::Result<(Self, Writer)> {
        let (sink, file) = match to {
            Decisions::Nowhere => return Ok(Self::nowhere(losses)),
            Decisions::Stdout => (
                Sink::new(Box::new(io::stdout()), false, losses.clone()),
                None,
            ),
            Decisions::File(path) => {
                let (file, torn) = open(path)?;
                (Sink::new(file, torn, losses.clone()), Some(path.clone()))
            }
        };
        let (giver, taker) = queue::queue();
        let (tell, done) = sync_channel(1);
        std::thread::Builder::new()
            .name("records".into())
            .spawn(move || {
                write_all(&taker, sink, file.as_deref());
                // Nobody may be waiting any more.
                let _ = tell.send(());
            })?;
        let recorder = Self {
            queue: Some(giver),
            losses,
        };
        Ok((recorder, Writer { done: Some(done) }))
    }

    fn nowhere(losses: Losses) -> (Self, Writer) {
        let recorder = Self {
            queue: None,
            losses,
        };
        (recorder, Writer { done: None })
    }

    /// Whether anybody wants records.
    pub(super) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues one record; never waits for the disk.
    pub(crate) fn record(&self, record: &Record<'_>) {
        let Some(queue) = &self.queue else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            if record.write(line).is_err() || !queue.give(line) {
                self.losses.add(1);
            }
        });
    }

    /// Asks for the file to be opened anew, after it was moved away; never waits.
    pub(crate) fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen();
        }
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
}

impl Writer {
    /// Waits until everything queued is written, though not for ever: standard output may be a pipe that nobody reads.
    pub(crate) fn finish(self) {
        let done = self.done.as_ref();
        if done.is_some_and(|done| done.recv_timeout(FINISH).is_err()) {
            tracing::warn!("Decision records are left unwritten");
        }
    }
}

/// A file, and whether its last line has no end.
fn open(path: &Path) -> io::Result<(Box<dyn Write + Send>, bool)> {
    let file = logs::append(path)?;
    let found = file.metadata()?;
    // What cannot be read may have any end.
    let torn = found.is_file() && found.len() > 0 && last(path).ok() != Some(b'\n');
    Ok((Box::new(file), torn))
}

/// A file's last octet.
fn last(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    let [last] = last;
    Ok(last)
}

fn write_all(taker: &Taker, mut sink: Sink, file: Option<&Path>) {
    while let Some(taken) = taker.take() {
        if taken.reopen {
            reopen(&mut sink, file);
        }
        sink.write(&taken.lines, Instant::now());
        taker.give_back(taken.lines);
    }
}

/// Goes on in a new file, or in the same one where nobody moved it. Where that fails, lines go on into the old file.
fn reopen(sink: &mut Sink, file: Option<&Path>) {
    let Some(path) = file else {
        return;
    };
    match open(path) {
        Ok((fresh, torn)) => sink.replace(fresh, torn),
        Err(error) => tracing::error!(%error, "The file of decision records cannot be reopened"),
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
            time: told(self.time),
            request_id: self.request_id.as_str(),
            route: self.plan.as_ref().map(|plan| &*plan.name),
            generation: self.snapshot.generation,
            outcome: self.outcome.as_str(),
            code: self.refusal.as_ref().map(|refusal| refusal.line().code),
            limit: self.refusal.as_ref().and_then(Refusal::limit),
            principal: decided
                .map(Decided::principal)
                .or(self.caller.as_ref().and_then(Caller::principal)),
            action: decided.map(Decided::action),
            resource: decided.map(Decided::resource),
            policies: decided.map_or_else(Vec::new, |d| d.outcome().policies().collect()),
            upstream: self.endpoint.as_ref().map(|endpoint| endpoint.label()),
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

const FINISH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn losses() -> Losses {
        Losses::new(prometheus::IntCounter::new("dropped", "dropped").unwrap())
    }

    fn record(id: &str) -> Record<'_> {
        Record {
            time: "2026-01-01T00:00:00Z".into(),
            request_id: id,
            route: Some("pets"),
            generation: 7,
            outcome: "deny",
            code: Some("policy_denied"),
            limit: None,
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
        let (recorder, writer) = Recorder::start(&Decisions::File(path.clone()), losses()).unwrap();
        recorder.record(&record("one"));
        until("the first record", || !ids(&path).is_empty());
        let moved = dir.path().join("moved.jsonl");
        std::fs::rename(&path, &moved).unwrap();
        recorder.reopen();
        recorder.record(&record("two"));
        drop(recorder);
        writer.finish();
        assert_eq!(ids(&moved), ["one"]);
        assert_eq!(ids(&path), ["two"]);
    }

    /// Polls until it holds; panics when it does not within ten seconds.
    fn until(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < end, "never: {what}");
            std::thread::yield_now();
        }
    }

    fn ids(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["request_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A full disk leaves half a line, in the file that is then opened again, or before the process starts again.
    #[test]
    fn half_a_line_stays_alone() {
        const HALF: &str = "{\"half";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        std::fs::write(&path, HALF).unwrap();
        let lines = || -> Vec<String> {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let (recorder, writer) = Recorder::start(&Decisions::File(path.clone()), losses()).unwrap();
        recorder.record(&record("one"));
        until("a whole line", || {
            lines().iter().any(|line| line.ends_with('}'))
        });
        logs::append(&path)
            .unwrap()
            .write_all(HALF.as_bytes())
            .unwrap();
        recorder.reopen();
        recorder.record(&record("two"));
        drop(recorder);
        writer.finish();
        let lines = lines();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!((&*lines[0], &*lines[2]), (HALF, HALF));
        assert!(lines[1].contains("\"one\"") && lines[3].contains("\"two\""));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (queue, taker) = queue::queue();
        let recorder = Recorder {
            queue: Some(queue),
            losses: losses(),
        };
        let path = "/".repeat(queue::ROOM / 2);
        let long = Record {
            path: Some(&path),
            ..record("long")
        };
        recorder.record(&long);
        assert_eq!(recorder.losses.count(), 0);
        recorder.record(&long);
        assert_eq!(recorder.losses.count(), 1);
        // Nobody takes from the queue: this must not wait for room in it.
        recorder.reopen();
        assert!(taker.take().unwrap().reopen);
        drop(taker);
        recorder.record(&record("lost too"));
        assert_eq!(recorder.losses.count(), 2);
    }

    #[test]
    fn nobody_need_want_records() {
        let (recorder, writer) = Recorder::start(&Decisions::Nowhere, losses()).unwrap();
        assert!(!recorder.is_on());
        recorder.record(&record("unwanted"));
        recorder.reopen();
        writer.finish();
        assert_eq!(recorder.losses.count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let losses = losses();
        let (recorder, writer) =
            Recorder::start(&Decisions::File("/dev/full".into()), losses.clone()).unwrap();
        for id in ["one", "two", "three"] {
            recorder.record(&record(id));
        }
        drop(recorder);
        writer.finish();
        assert_eq!(losses.count(), 3);
        assert!(losses.is_failing());
    }
}
