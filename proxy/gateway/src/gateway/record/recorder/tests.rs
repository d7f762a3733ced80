use std::{fs, path::PathBuf, time::Duration};

use super::*;

/// A log in a folder of its own.
struct Log {
    dir: tempfile::TempDir,
    losses: Losses,
    recorder: Option<Recorder>,
    writer: Option<Writer>,
}

impl Log {
    fn start(before: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, before).unwrap();
        let losses = Losses::for_tests();
        let (recorder, writer) =
            Recorder::start(Some(&Output::File(path)), losses.clone()).unwrap();
        Self {
            dir,
            losses,
            recorder: Some(recorder),
            writer: Some(writer),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn reopen(&self) {
        self.recorder.as_ref().unwrap().reopen();
    }

    fn write(&self, text: &str) {
        write(self.recorder.as_ref().unwrap(), text);
    }

    fn finish(&mut self) {
        self.recorder = None;
        finish(self.writer.take().unwrap());
    }
}

fn write(recorder: &Recorder, text: &str) {
    recorder.record(|line| {
        line.extend_from_slice(text.as_bytes());
        line.push(b'\n');
        true
    });
}

fn finish(writer: Writer) {
    writer.finish(Instant::now() + Duration::from_secs(10));
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Polls until it holds; panics when it does not within ten seconds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_moved_file_is_made_anew() {
    let mut log = Log::start("");
    log.write("one");
    until("the first line", || !lines(&log.path()).is_empty());
    let moved = log.dir.path().join("moved");
    fs::rename(log.path(), &moved).unwrap();
    log.reopen();
    log.write("two");
    log.finish();
    assert_eq!(lines(&moved), ["one"]);
    assert_eq!(lines(&log.path()), ["two"]);
}

#[test]
fn a_file_that_cannot_be_made_anew_is_told_until_it_can() {
    let mut log = Log::start("");
    let moved = log.dir.path().join("moved");
    fs::rename(log.path(), &moved).unwrap();
    fs::create_dir(log.path()).unwrap();
    log.reopen();
    until("that it is told", || log.losses.degraded().is_some());
    log.write("one");
    until("a line in the old file", || !lines(&moved).is_empty());
    assert!(log.losses.degraded().is_some());
    fs::remove_dir(log.path()).unwrap();
    log.reopen();
    log.write("two");
    log.finish();
    assert!(log.losses.degraded().is_none());
    assert_eq!(lines(&moved), ["one"]);
    assert_eq!(lines(&log.path()), ["two"]);
    assert_eq!(log.losses.count(), 0);
}

/// A full disk leaves half a line, in the file that is then opened again, or before the process starts again.
#[test]
fn half_a_line_stays_alone() {
    const HALF: &str = "{\"half";
    let mut log = Log::start(HALF);
    log.write("one");
    until("a whole line", || lines(&log.path()).len() == 2);
    logs::append(&log.path())
        .unwrap()
        .write_all(HALF.as_bytes())
        .unwrap();
    log.reopen();
    log.write("two");
    log.finish();
    assert_eq!(lines(&log.path()), [HALF, "one", HALF, "two"]);
}

#[test]
fn what_does_not_fit_is_counted() {
    let (queue, taker) = queue::queue();
    let recorder = Recorder {
        queue: Some(queue),
        losses: Losses::for_tests(),
    };
    let long = "/".repeat(queue::ROOM / 2);
    write(&recorder, &long);
    assert_eq!(recorder.losses.count(), 0);
    write(&recorder, &long);
    assert_eq!(recorder.losses.count(), 1);
    recorder.record(|_| false);
    assert_eq!(recorder.losses.count(), 2, "no line could be made");
    // Nobody takes from the queue: this must not wait for room in it.
    recorder.reopen();
    assert!(taker.take().unwrap().reopen);
    drop(taker);
    write(&recorder, "lost too");
    assert_eq!(recorder.losses.count(), 3);
}

#[test]
fn nobody_need_want_lines() {
    let losses = Losses::for_tests();
    let (recorder, writer) = Recorder::start(None, losses.clone()).unwrap();
    recorder.record(|_| panic!("nobody wants it"));
    recorder.reopen();
    finish(writer);
    assert_eq!(losses.count(), 0);
}

#[test]
fn what_cannot_be_written_is_counted() {
    let losses = Losses::for_tests();
    let full = Output::File("/dev/full".into());
    let (recorder, writer) = Recorder::start(Some(&full), losses.clone()).unwrap();
    for text in ["one", "two", "three"] {
        write(&recorder, text);
    }
    drop(recorder);
    finish(writer);
    assert_eq!(losses.count(), 3);
    assert!(losses.degraded().is_some());
}
