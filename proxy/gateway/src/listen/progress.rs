//! Writes to HTTP/2 streams, which may take long as long as they get on: a caller opens a stream's window as he reads.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, sleep};

/// Passes a wake-up on, and notes it.
struct Noting {
    waker: Waker,
    woken: Arc<AtomicBool>,
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.waker.wake_by_ref();
    }
}

/// What a write comes to, or an error once it has not got on for so long. A write to a stream is woken when there is room
/// for more of it; that others of its task are woken says nothing.
pub(super) async fn writing<T>(
    patience: Option<Duration>,
    write: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(patience) = patience else {
        return write.await;
    };
    let mut write = pin!(write);
    let mut deadline = pin!(sleep(patience));
    let woken = Arc::new(AtomicBool::new(false));
    poll_fn(|context| {
        if woken.swap(false, Ordering::Relaxed) {
            deadline.as_mut().reset(Instant::now() + patience);
        }
        let noting = Waker::from(Arc::new(Noting {
            waker: context.waker().clone(),
            woken: woken.clone(),
        }));
        if let Poll::Ready(written) = write.as_mut().poll(&mut Context::from_waker(&noting)) {
            return Poll::Ready(written);
        }
        deadline.as_mut().poll(context).map(|()| {
            let error = Error::explain(ErrorType::WriteTimedout, "the caller reads nothing");
            Err(error.into_down())
        })
    })
    .await
}
