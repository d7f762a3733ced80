//! One transaction's work with its types erased, so that each driver's loop is compiled once and not per caller.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::tx::Tx;

/// A future that the work of a transaction returns; it may borrow the transaction.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work that a driver runs in a transaction (again, where the database asks for it) and then answers once.
pub(crate) trait Job: Send {
    /// Runs the work; `true` asks for a commit, `false` for a roll back.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, bool>;

    /// Tells the caller: the work's own result where the transaction ended as asked, or else why it did not.
    fn answer(self: Box<Self>, end: Result<()>);
}

/// The work as a job, and where its result will arrive.
pub(crate) fn job<T, E, F>(work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: for<'t> FnMut(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (
        Box::new(Typed {
            work,
            result: None,
            reply,
        }),
        answer,
    )
}

struct Typed<F, T, E> {
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Typed<F, T, E>
where
    T: Send,
    E: From<Error> + Send,
    F: for<'t> FnMut(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            self.result = None;
            let result = unless_panic(|| (self.work)(tx)).await;
            let result = result.unwrap_or_else(|| Err(Error::Panicked.into()));
            self.result.insert(result).is_ok()
        })
    }

    fn answer(self: Box<Self>, end: Result<()>) {
        let result = match (end, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Closed.into()),
            (Err(error), _) => Err(error.into()),
        };
        // A caller that went away does not hear the answer; the transaction ended all the same.
        drop(self.reply.send(result));
    }
}

/// Runs to the end, or gives `None` after a panic: one caller's bug must not end the task that serves them all.
///
/// What the work captured may be left half changed by a panic, but it is dropped with the job and never run again.
async fn unless_panic<'a, T>(start: impl FnOnce() -> BoxFuture<'a, T>) -> Option<T> {
    let mut future = catch_unwind(AssertUnwindSafe(start)).ok()?;
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}
