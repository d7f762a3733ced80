//! Deadlines for whole request heads: Pingora's own timeout is for each read, so a slow sender could hold a connection
//! for ever. One task for each connection sees to it, so that requests cost no timers.

use std::{sync::Arc, time::Duration};

use engine::Clock;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{
    Intake,
    line::{Head, Line},
};

/// A connection that is served, for whom it may end.
pub(super) struct Guarded {
    pub(super) line: Line,
    /// For how long a head may come, from its first octet to its last; the first one from when the connection was there.
    pub(super) patience: Duration,
    /// For how long it may bring nothing at all after a request of HTTP/1; HTTP/2 has a timeout of its own.
    pub(super) idle: Duration,
    /// By which its caller's certificate ends.
    pub(super) clock: Arc<dyn Clock>,
    /// Ends it once its requests are done.
    pub(super) retire: watch::Sender<bool>,
    /// Ends it at once.
    pub(super) served: AbortHandle,
}

/// Ends a connection with the process, or before, when a head is late; returns once the connection is over.
pub(super) async fn guard(connection: Guarded, mut intake: watch::Receiver<Intake>) {
    let Guarded {
        line,
        retire,
        served,
        ..
    } = &connection;
    tokio::select! {
        () = retire.closed() => return,
        () = line.abandoned() => return served.abort(),
        () = late(&connection) => return served.abort(),
        // An error is a sender that is gone, which closes too.
        _ = intake.wait_for(|intake| *intake != Intake::Open) => {}
    }
    retire.send_replace(true);
    // A request may be on its way: to a connection that was handed to nobody else, it comes here.
    tokio::select! {
        () = retire.closed() => return,
        () = line.abandoned() => return served.abort(),
        () = late(&connection) => return served.abort(),
        _ = intake.wait_for(|intake| *intake == Intake::Closed) => {}
    }
    if !line.has_requested() {
        return served.abort();
    }
    tokio::select! {
        () = retire.closed() => {}
        () = line.abandoned() => served.abort(),
        () = late(&connection) => served.abort(),
    }
}

/// Ends when the head at hand is late, or nothing of it came while the connection was idle. When that began is known to a
/// patience only: to know it better, each request would read the clock once more.
///
/// It looks up often enough to retire a connection before its caller's certificate is over: who has a new one by then comes back
/// with it, and is refused nothing.
async fn late(connection: &Guarded) {
    let (line, patience, idle) = (&connection.line, connection.patience, connection.idle);
    let mut quiet = None;
    loop {
        if line.is_over_by(|| connection.clock.now() + 2 * patience) {
            line.retire();
        }
        let now = Instant::now();
        match line.head(now, patience) {
            Head::Late => return,
            Head::LateAt(due) => sleep_until(due).await,
            Head::Quiet(number) => {
                let same = quiet.filter(|(seen, _)| *seen == number);
                let (_, since) = *quiet.insert(same.unwrap_or((number, now)));
                if now >= since + idle && line.ends_quiet(number) {
                    return;
                }
                sleep_until(now + patience.min(idle)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{
        task::JoinHandle,
        time::{sleep, timeout},
    };

    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::listen::{line::Body, tls::Shown};

    /// A clock that is told the time.
    struct Fixed(SystemTime);

    impl Clock for Fixed {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    /// What it shows.
    const NOON: SystemTime = UNIX_EPOCH;

    const PATIENCE: Duration = Duration::from_secs(3);
    const IDLE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// A connection that is there now, with the task that serves it, and the end of the process.
    fn guarded() -> (Line, JoinHandle<()>, watch::Sender<Intake>) {
        let (retire, mut retired) = watch::channel(false);
        let line = Line::for_tests();
        line.open(Instant::now());
        let served = tokio::spawn(async move {
            let _ = retired.wait_for(|retired| *retired).await;
            pending::<()>().await;
        });
        let (down, intake) = watch::channel(Intake::Open);
        let connection = Guarded {
            line: line.clone(),
            patience: PATIENCE,
            idle: IDLE,
            clock: Arc::new(Fixed(NOON)),
            retire,
            served: served.abort_handle(),
        };
        tokio::spawn(guard(connection, intake));
        (line, served, down)
    }

    /// Whether it ends within the patience and not long before.
    async fn ends(served: JoinHandle<()>) -> bool {
        let begun = Instant::now();
        let ended = timeout(PATIENCE + PATIENCE / 10, served).await;
        ended.is_ok_and(|ended| ended.unwrap_err().is_cancelled()) && begun.elapsed() >= PATIENCE
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_does_not_have_may_still_ask() {
        let (_line, served, down) = guarded();
        down.send_replace(Intake::Handed);
        sleep(PATIENCE / 2).await;
        assert!(!served.is_finished(), "its request may be on its way");
        down.send_replace(Intake::Closed);
        let ended = timeout(PATIENCE / 4, served).await.unwrap();
        assert!(ended.unwrap_err().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_head_ends() {
        let (line, served, _down) = guarded();
        line.await_request();
        assert!(ends(served).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_late_from_its_first_octet_on() {
        let (line, mut served, _down) = guarded();
        line.await_request();
        sleep(PATIENCE / 2).await;
        line.read(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        line.head_is_read();
        let answering = timeout(PATIENCE * 9, &mut served).await;
        answering.expect_err("the head is there");
        line.body(Body::None).unwrap();
        line.await_request();
        let quiet = timeout(PATIENCE * 9 + PATIENCE / 3, &mut served).await;
        quiet.expect_err("nothing of the second head is there");
        line.read(b"G").unwrap();
        sleep(PATIENCE / 2).await;
        line.read(b"E").unwrap();
        sleep(PATIENCE.mul_f32(0.4)).await;
        assert!(!served.is_finished());
        sleep(PATIENCE / 5).await;
        assert!(served.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_brings_nothing_more_ends() {
        let (line, mut served, _down) = guarded();
        for quiet in [Duration::ZERO, IDLE / 2, IDLE / 2, IDLE / 2] {
            line.await_request();
            timeout(quiet, &mut served).await.unwrap_err();
            line.read(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            line.head_is_read();
            line.body(Body::None).unwrap();
            let answering = timeout(IDLE * 9, &mut served).await;
            answering.expect_err("an answer may take as long as it does");
        }
        line.await_request();
        let begun = Instant::now();
        assert!(served.await.unwrap_err().is_cancelled());
        assert!((IDLE..IDLE + PATIENCE * 2).contains(&begun.elapsed()));
        line.read(b"G").expect_err("it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_have_no_heads_to_wait_for() {
        let (line, served, _down) = guarded();
        drop(line.begin_stream());
        line.read(b"any frame").unwrap();
        timeout(PATIENCE * 9, served).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_retires_before_its_callers_certificate_ends() {
        for (left, retires) in [(PATIENCE + 2 * SECOND, true), (2 * PATIENCE, false)] {
            let (line, mut served, _down) = guarded();
            line.set_shown(Shown::good_until(NOON + left));
            drop(line.begin_stream());
            let going_on = timeout(PATIENCE * 9, &mut served).await;
            going_on.expect_err("what is under way is finished");
            assert_eq!(line.is_retired(), retires, "{left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_requests_are_finished_and_none_is_awaited() {
        let (_line, served, down) = guarded();
        down.send_replace(Intake::Closed);
        let ended = timeout(Duration::from_secs(1), served).await.unwrap();
        assert!(ended.unwrap_err().is_cancelled(), "no request was there");

        let (line, mut served, down) = guarded();
        drop(line.begin_stream());
        drop(down);
        let finishing = timeout(PATIENCE * 9, &mut served).await;
        finishing.expect_err("a request is finished");
        served.abort();
    }
}
