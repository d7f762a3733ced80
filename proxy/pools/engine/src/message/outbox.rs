//! The development outbox: messages as JSON lines in a file, instead of on their way.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use super::{Message, not_delivered, undeliverable};
use crate::{Error, Result};

/// Where messages go.
///
/// One task owns the file and appends whole lines, each once; it ends when the outbox is dropped.
#[derive(Debug)]
pub struct Outbox {
    letters: Option<mpsc::Sender<Letter>>,
}

/// A line to be written, and who waits for it.
struct Letter {
    line: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

impl Outbox {
    /// An outbox on that file, which must be writable; without a file nothing is deliverable.
    ///
    /// Must be called within a tokio runtime.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self { letters: None });
        };
        append(path, &[]).map_err(|source| Error::Io {
            what: "opening the outbox",
            source,
        })?;
        let (letters, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(own(path.to_owned(), inbox));
        Ok(Self {
            letters: Some(letters),
        })
    }

    /// Whether messages can leave at all.
    pub(crate) fn is_configured(&self) -> bool {
        self.letters.is_some()
    }

    /// Delivers a message; returns when it stands in the file.
    pub(crate) async fn deliver(&self, message: &Message) -> Result<()> {
        let letters = self.letters.as_ref().ok_or_else(undeliverable)?;
        let mut line =
            serde_json::to_vec(message).map_err(|source| not_delivered(&source.into()))?;
        line.push(b'\n');
        let (written, answer) = oneshot::channel();
        letters
            .send(Letter { line, written })
            .await
            .map_err(|_| not_delivered(&closed()))?;
        answer
            .await
            .unwrap_or_else(|_| Err(closed()))
            .map_err(|source| not_delivered(&source))
    }
}

async fn own(path: PathBuf, mut inbox: mpsc::Receiver<Letter>) {
    let mut letters = Vec::new();
    while inbox.recv_many(&mut letters, QUEUE).await > 0 {
        let (lines, waiting): (Vec<_>, Vec<_>) = letters
            .drain(..)
            .map(|letter| (letter.line, letter.written))
            .unzip();
        let path = path.clone();
        let end = tokio::task::spawn_blocking(move || append(&path, &lines.concat())).await;
        let end = end.unwrap_or_else(|source| Err(io::Error::other(source)));
        for written in waiting {
            // Whoever left does not need the answer.
            let _ = written.send(end.as_ref().map_or_else(
                |e| Err(io::Error::new(e.kind(), e.to_string())),
                |()| Ok(()),
            ));
        }
    }
}

/// Opens the file anew each time, so that it may be moved away or removed at any moment.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    file.write_all(lines)?;
    file.flush()
}

/// The file holds codes and passwords: it is made for its owner alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the outbox is closed")
}

const QUEUE: usize = 256;

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::{Medium, Purpose};
    use super::*;
    use crate::Refusal;

    fn message(code: usize) -> Message {
        Message {
            time: OffsetDateTime::UNIX_EPOCH,
            user_pool: "us-east-1_a".into(),
            username: "ada\r\n".into(),
            sub: "s".into(),
            purpose: Purpose::ForgotPassword,
            medium: Medium::Sms,
            destination: "+1".into(),
            code: code.to_string(),
            subject: String::new(),
            body: "a\nb".into(),
        }
    }

    #[tokio::test]
    async fn each_message_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        let outbox = std::sync::Arc::new(Outbox::open(Some(&path)).unwrap());
        let tasks: Vec<_> = (0..300)
            .map(|code| {
                let outbox = std::sync::Arc::clone(&outbox);
                tokio::spawn(async move { outbox.deliver(&message(code)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut codes: Vec<usize> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["code"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        codes.sort_unstable();
        assert_eq!(codes, (0..300).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_file_may_be_taken_away_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        let outbox = Outbox::open(Some(&path)).unwrap();
        outbox.deliver(&message(1)).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        outbox.deliver(&message(2)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        assert!(Outbox::open(Some(&dir.path().join("none/outbox.jsonl"))).is_err());
        let outbox = Outbox::open(Some(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let refused = outbox.deliver(&message(1)).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(Refusal::CodeDeliveryFailure));
        let none = Outbox::open(None).unwrap();
        let refused = none.deliver(&message(1)).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(Refusal::CodeDeliveryFailure));
    }
}
