//! How a reload is asked for: by a signal, that wants no answer, or by a call, that does.

use std::pin::Pin;

use api::{Gate, Reloaded};
use tokio::sync::{mpsc, oneshot};

use crate::status::Degraded;

/// Asks for reloads; cloning shares the place where they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asks(mpsc::Sender<Ask>);

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked(mpsc::Receiver<Ask>);

/// Who waits for what a reload gives, if somebody does.
type Ask = Option<oneshot::Sender<Outcome>>;

/// What is in force now, or what is wrong with what should be, a line for each.
type Outcome = Result<Reloaded, Vec<String>>;

impl Asks {
    /// Both ends.
    pub(crate) fn channel() -> (Self, Asked) {
        let (sender, receiver) = mpsc::channel(AT_ONCE);
        (Self(sender), Asked(receiver))
    }

    /// Asks, and waits for nothing.
    pub(crate) fn tell(&self) {
        // One that is asked for already, and not begun, will do.
        let _ = self.0.try_send(None);
    }
}

impl Gate for Asks {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async {
            let (answer, answered) = oneshot::channel();
            // If nobody hears it, nobody answers either.
            let _ = self.0.send(Some(answer)).await;
            let leaving = |_| vec![super::LEAVING.to_owned()];
            answered.await.map_err(leaving)?
        })
    }
}

impl Asked {
    /// All who ask for the next reload: what they changed before is in it.
    pub(super) async fn next(&mut self) -> Vec<Ask> {
        let mut waiting = Vec::new();
        // INVARIANT: never without one, since the reloader itself can ask.
        self.0.recv_many(&mut waiting, AT_ONCE).await;
        waiting
    }
}

/// Tells those who wait.
pub(super) fn answer(waiting: Vec<Ask>, outcome: &Result<Reloaded, Vec<Degraded>>) {
    for ask in waiting.into_iter().flatten() {
        let line = |problem: &Degraded| format!("{}: {}", problem.what, problem.why);
        let lines = |problems: Vec<Degraded>| problems.iter().map(line).collect();
        // Who has gone needs no answer.
        let _ = ask.send(outcome.clone().map_err(lines));
    }
}

/// Calls that wait together; more of them wait for these.
const AT_ONCE: usize = 16;
