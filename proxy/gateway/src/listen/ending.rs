//! The end of a stream that comes from neither side of it: whoever serves it is woken, and the next read or blocked write of
//! the caller's connection fails once with [`Over`].

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use pingora::{ErrorType, proxy::Session};
use tokio::sync::Notify;

use super::line::Line;

/// Has the caller's reads and writes for the request at hand end with this, whatever its version of HTTP.
pub(crate) fn end_with(session: &mut Session, ending: Ending) {
    if session.as_http1().is_none() {
        let extensions = session.req_header_mut().extensions_mut();
        ending.state().abandon = extensions.get().cloned();
        extensions.insert(ending);
    } else if let Some(line) = Line::of(session.digest()) {
        line.end_with(ending);
    }
}

/// How Pingora hears of it.
pub(super) fn over<T>() -> pingora::Result<T> {
    let over = io::Error::other(Over);
    let over = pingora::Error::because(ErrorType::ReadError, "a stream", over);
    Err(over.into_down())
}

/// How a stream is told to end; its copies tell the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Read by every read and write: the rest is looked at only once it is set.
    asked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    step: Step,
    /// The caller is in the middle of something that must be whole before it can be told of the end.
    busy: bool,
    waker: Option<Waker>,
    /// How often it was forced to end.
    forced: u32,
    abandon: Option<Abandon>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Open,
    /// It is to end as soon as it is not busy.
    Asked,
    /// It is to end at once.
    Forced,
    /// Whoever serves it knows, and ends it by more reads and writes.
    Told,
}

/// Drops whatever serves a stream, where that asks neither to read nor to write: it waits for an upstream that takes nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Abandon(Arc<Notify>);

impl Abandon {
    /// Waits until what serves it is to be dropped.
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Why a read or write failed: the stream has been ended from outside.
#[derive(Debug)]
pub(crate) struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream has been ended")
    }
}

impl Error for Over {}

impl Ending {
    /// Ends the stream once it is not busy.
    pub(crate) fn ask(&self) {
        self.set(Step::Asked);
    }

    /// Ends it although it is busy, if it was asked to end and has not; who forces it again and again has it abandoned.
    pub(crate) fn force(&self) {
        let mut state = self.state();
        let (step, forced) = (state.step, state.forced.saturating_add(1));
        state.forced = forced;
        let abandon = state.abandon.clone();
        drop(state);
        match (step, abandon) {
            (Step::Asked, _) => self.set(Step::Forced),
            (Step::Forced, Some(abandon)) if forced >= PATIENCE => abandon.0.notify_one(),
            _ => {}
        }
    }

    /// Has it abandoned by this, if it cannot be ended otherwise.
    pub(super) fn or_else(&self, abandon: &Abandon) {
        self.state().abandon = Some(abandon.clone());
    }

    /// Whether it has been asked to end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Acquire)
    }

    /// Says whether the caller is in the middle of something.
    pub(crate) fn set_busy(&self, busy: bool) {
        let mut state = self.state();
        state.busy = busy;
        let waker = state.waker.take_if(|_| !busy);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Fails once the stream is to end, for whoever has something to write to it.
    pub(crate) fn check(&self) -> pingora::Result<()> {
        if !self.is_asked() {
            return Ok(());
        }
        self.state().step = Step::Told;
        over()
    }

    /// Ready once when the stream is to end; the task that asked last is woken then.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match (state.step, state.busy) {
            (Step::Asked, false) | (Step::Forced, _) => {
                state.step = Step::Told;
                Poll::Ready(())
            }
            (Step::Told, _) => Poll::Pending,
            (Step::Open | Step::Asked, _) => {
                let waker = context.waker();
                if !state.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
                    state.waker = Some(waker.clone());
                }
                Poll::Pending
            }
        }
    }

    /// Waits until the stream is to end.
    pub(super) async fn over(&self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn set(&self, step: Step) {
        let mut state = self.state();
        if state.step == Step::Told {
            return;
        }
        state.step = step;
        self.0.asked.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a stream is forced before it is abandoned.
const PATIENCE: u32 = 3;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn is_over(ending: &Ending) -> bool {
        ending.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn whoever_waits_is_told_once() {
        let ending = Ending::default();
        assert!(!is_over(&ending) && !ending.is_asked());
        let waiting = tokio::spawn({
            let ending = ending.clone();
            async move { poll_fn(|context| ending.poll(context)).await }
        });
        tokio::task::yield_now().await;
        ending.ask();
        waiting.await.unwrap();
        assert!(ending.is_asked());
        ending.ask();
        ending.force();
        assert!(!is_over(&ending), "it was told");
    }

    #[test]
    fn what_is_busy_ends_later_or_by_force() {
        let ending = Ending::default();
        ending.force();
        assert!(!is_over(&ending), "nobody asked");
        ending.set_busy(true);
        ending.ask();
        assert!(!is_over(&ending));
        ending.set_busy(false);
        assert!(is_over(&ending));

        let ending = Ending::default();
        ending.set_busy(true);
        ending.ask();
        ending.force();
        assert!(is_over(&ending));
    }
}
