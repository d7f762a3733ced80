//! From requests to a file: lines are queued, and written by a thread of their own.
//!
//! A slow disk must not slow requests, so the queue is bounded and what does not fit is counted and dropped.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::Instant,
};

use settings::Output;

use super::{
    losses::Losses,
    queue::{self, Giver, Taker},
    sink::{Shared, Sink},
};
use crate::logs;

/// Takes the lines of one log; cloning shares the writer.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    /// Absent where nobody wants them.
    queue: Option<Giver>,
    losses: Losses,
}

/// The writing thread; it ends when every [`Recorder`] is gone.
#[derive(Debug)]
pub(super) struct Writer {
    log: &'static str,
    done: Option<Receiver<()>>,
}

impl Recorder {
    /// Starts a writer.
    pub(super) fn start(to: Option<&Output>, losses: Losses) -> io::Result<(Self, Writer)> {
        let (sink, file) = match to {
            None => return Ok(Self::nowhere(losses)),
            Some(Output::Stdout) => {
                let out = Box::new(Shared(io::stdout()));
                (Sink::new(out, false, losses.clone()), None)
            }
            Some(Output::File(path)) => {
                let (file, torn) = open(path)?;
                (Sink::new(file, torn, losses.clone()), Some(path.clone()))
            }
        };
        let (giver, taker) = queue::queue();
        let (tell, done) = sync_channel(1);
        let written = losses.clone();
        std::thread::Builder::new()
            .name(losses.log().into())
            .spawn(move || {
                write_all(&taker, sink, file.as_deref(), &written);
                // Nobody may be waiting any more.
                let _ = tell.send(());
            })?;
        let writer = Writer {
            log: losses.log(),
            done: Some(done),
        };
        let recorder = Self {
            queue: Some(giver),
            losses,
        };
        Ok((recorder, writer))
    }

    fn nowhere(losses: Losses) -> (Self, Writer) {
        let writer = Writer {
            log: losses.log(),
            done: None,
        };
        let recorder = Self {
            queue: None,
            losses,
        };
        (recorder, writer)
    }

    /// Queues the line that `write` puts into what it is given, with its end, if it can; never waits for the disk.
    pub(super) fn record(&self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let Some(queue) = &self.queue else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            line.clear();
            if !write(line) || !queue.give(line) {
                self.losses.add(1);
            }
        });
    }

    /// Asks for the file to be opened anew, after it was moved away; never waits.
    pub(super) fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen();
        }
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
}

impl Writer {
    /// Waits until everything queued is written, though not for longer: standard output may be a pipe that nobody reads.
    pub(super) fn finish(self, by: Instant) {
        let left = by.saturating_duration_since(Instant::now());
        let done = self.done.as_ref();
        if done.is_some_and(|done| done.recv_timeout(left).is_err()) {
            tracing::warn!(log = self.log, "Records are left unwritten");
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

fn write_all(taker: &Taker, mut sink: Sink, file: Option<&Path>, losses: &Losses) {
    while let Some(taken) = taker.take() {
        if taken.reopen {
            reopen(&mut sink, file, losses);
        }
        sink.write(&taken.lines, Instant::now());
        taker.give_back(taken.lines);
    }
}

/// Goes on in a new file, or in the same one where nobody moved it. Where that fails, lines go on into the old file.
fn reopen(sink: &mut Sink, file: Option<&Path>, losses: &Losses) {
    let Some(path) = file else {
        return;
    };
    let opened = open(path);
    losses.set_astray(opened.is_err());
    match opened {
        Ok((fresh, torn)) => sink.replace(fresh, torn),
        Err(error) => {
            tracing::error!(log = losses.log(), %error, "The file of records cannot be reopened");
        }
    }
}

#[cfg(test)]
mod tests;
