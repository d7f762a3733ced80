//! How long the store takes, told to whoever counts it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What was measured: the `kind` label of `portcullis_store_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A read as its caller waited for it.
    Read,
    /// A write as its caller waited for it: queue, statements and commit.
    Write,
    /// One commit, which several writes may share.
    Commit,
}

impl Kind {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Commit => "commit",
        }
    }
}

/// Called after each measured step; it must return at once.
pub type Observer = Arc<dyn Fn(Kind, Duration) + Send + Sync>;

/// A place for the observer that all parts of one store share.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<OnceLock<Observer>>);

impl Meter {
    pub(crate) fn set(&self, observer: Observer) -> bool {
        self.0.set(observer).is_ok()
    }

    pub(crate) async fn time<T>(&self, kind: Kind, step: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let end = step.await;
        if let Some(observer) = self.0.get() {
            observer(kind, start.elapsed());
        }
        end
    }
}
