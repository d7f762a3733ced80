//! Where lines are written: whole, in batches, with every lost one counted.

use std::{
    io::{self, Stdout, Write},
    time::{Duration, Instant},
};

use super::losses::Losses;

/// Writes lines; what cannot be written is lost rather than kept, since it would fill the memory.
pub(super) struct Sink {
    out: Box<dyn Write + Send>,
    /// Whether the last line that was written has no end.
    torn: bool,
    losses: Losses,
    told: Option<Instant>,
}

impl Sink {
    /// Writes to `out`, whose last line has no end if it is torn.
    pub(super) fn new(out: Box<dyn Write + Send>, torn: bool, losses: Losses) -> Self {
        Self {
            out,
            torn,
            losses,
            told: None,
        }
    }

    /// Goes on into another file, whose last line has no end if it is torn: it may be the same one.
    pub(super) fn replace(&mut self, out: Box<dyn Write + Send>, torn: bool) {
        self.out = out;
        self.torn = torn;
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, text: &[u8], now: Instant) {
        if text.is_empty() {
            return;
        }
        let (written, result) = self.put(text);
        let (done, left) = text.split_at(written.min(text.len()));
        if let Some(last) = done.last() {
            self.torn = *last != b'\n';
        }
        self.losses.add(lines(left));
        match result {
            Ok(()) => self.recovered(),
            Err(error) => self.failed(&error, now),
        }
    }

    /// How much of it was written.
    fn put(&mut self, text: &[u8]) -> (usize, io::Result<()>) {
        if self.torn {
            if let Err(error) = self.out.write_all(b"\n") {
                return (0, Err(error));
            }
            self.torn = false;
        }
        match put(&mut self.out, text) {
            (written, Ok(())) => (written, self.out.flush()),
            failed => failed,
        }
    }

    fn recovered(&self) {
        let (log, lost) = (self.losses.log(), self.losses.count());
        if self.losses.set_failing(false) {
            tracing::info!(log, lost, "Records are written again");
        }
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        let (log, lost) = (self.losses.log(), self.losses.count());
        self.losses.set_failing(true);
        if self.tells(now) {
            tracing::error!(log, %error, lost, "Records cannot be written");
        }
    }

    /// Whether to tell of a failure now: each request has one, and the log is no better off than the records.
    fn tells(&mut self, now: Instant) -> bool {
        let due = self
            .told
            .is_none_or(|told| now.duration_since(told) >= BETWEEN_ERRORS);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// Standard output, which may have the lines of several writers, and during an upgrade those of two processes: each line
/// stays whole.
pub(super) struct Shared(pub(super) Stdout);

impl Write for Shared {
    /// Writes the first lines, as many as go at once.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match put(&mut self.0.lock(), together(text)) {
            (0, Err(error)) => Err(error),
            (written, _) => Ok(written),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The whole lines at the beginning that nobody's come between where they go into a pipe; a line that is longer, alone.
fn together(text: &[u8]) -> &[u8] {
    let is_end = |octet: &u8| *octet == b'\n';
    let first = text.get(..AT_ONCE).unwrap_or(text);
    let end = match first.iter().rposition(is_end) {
        Some(last) => last + 1,
        None => text
            .iter()
            .position(is_end)
            .map_or(text.len(), |end| end + 1),
    };
    text.get(..end).unwrap_or(text)
}

/// How much of it was written, and why not all.
fn put(out: &mut impl Write, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(left) = text.get(written..).filter(|left| !left.is_empty()) {
        match out.write(left) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// What a pipe takes whole (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;
const BETWEEN_ERRORS: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes so many octets, then fails until there is room again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn make_room(&self, room: usize) {
            self.0.lock().unwrap().1 = room;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let count = bytes.len().min(disk.1);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.0.extend_from_slice(&bytes[..count]);
            disk.1 -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(disk: &Disk) -> Sink {
        Sink::new(Box::new(disk.clone()), false, Losses::for_tests())
    }

    #[test]
    fn what_a_full_disk_loses_is_counted_and_lines_stay_whole() {
        let (disk, now) = (Disk::default(), Instant::now());
        let mut sink = sink(&disk);
        disk.make_room(6);
        sink.write(b"one\ntwo\nsix\n", now);
        assert_eq!(sink.losses.count(), 2);
        assert!(sink.losses.degraded().is_some());
        sink.write(b"ten\n", now);
        assert_eq!(sink.losses.count(), 3);
        disk.make_room(100);
        sink.write(b"end\n", now);
        assert_eq!(disk.text(), "one\ntw\nend\n");
        assert_eq!(sink.losses.count(), 3);
        assert!(sink.losses.degraded().is_none());
    }

    #[test]
    fn lines_go_into_a_pipe_whole() {
        let line = |length: usize| [vec![b'a'; length - 1], vec![b'\n']].concat();
        for (lines, expected) in [
            (vec![10, 20], 30),
            (vec![4000, 96], 4096),
            (vec![4000, 97], 4000),
            (vec![4096, 1], 4096),
            (vec![4097, 1], 4097),
            (vec![10_000, 10], 10_000),
        ] {
            let text: Vec<u8> = lines.iter().flat_map(|length| line(*length)).collect();
            assert_eq!(together(&text).len(), expected, "{lines:?}");
        }
        assert_eq!(together(b"no end"), b"no end");
        assert_eq!(together(b""), b"");
    }

    #[test]
    fn failures_are_told_once_in_a_while() {
        let now = Instant::now();
        let mut sink = sink(&Disk::default());
        assert!(sink.tells(now));
        assert!(!sink.tells(now + BETWEEN_ERRORS / 2));
        assert!(sink.tells(now + BETWEEN_ERRORS));
    }
}
