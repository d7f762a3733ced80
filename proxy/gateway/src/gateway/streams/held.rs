//! What permitted a stream, to be decided again.

use std::{
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use token::Grounds;

use super::silence::Silence;

use crate::{
    gateway::{
        Ctx, cors, decide, grpc,
        head::Head,
        identify::{self, Caller},
        judge,
        refuse::Refusal,
    },
    listen::{Ending, Outdated},
    snapshot::{Access, Authorize, Kind, Snapshot},
};

/// A permit's inputs.
pub(super) struct Held {
    head: Head,
    pub(super) ending: Ending,
    /// It has no end of its own, as calls and most answers have.
    pub(super) is_endless: bool,
    why: OnceLock<Refusal>,
    /// When it must be over, and why.
    deadline: Option<(SystemTime, Refusal)>,
    /// Until when its server may be silent, where only this knows of it.
    silence: Option<Silence>,
    /// It outlasts the moment it was permitted in, and is permitted anew; otherwise it has a deadline alone.
    is_stream: AtomicBool,
    stand: Mutex<Stand>,
}

/// What a permit rests on.
struct Stand {
    /// Settings and policies.
    generation: u64,
    caller: Option<Caller>,
    /// What the caller's token stands on; nothing where that must be asked each time.
    grounds: Option<Grounds>,
    /// The second from which the token is over.
    over_at: Option<u64>,
    /// From when a policy that reads the time may say something else.
    next: Option<SystemTime>,
}

/// Shows nothing of the request, which has secrets in it.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl Held {
    /// What permitted this request; nothing before it was.
    pub(super) fn of(ctx: &Ctx, silence: Option<Silence>) -> Option<Self> {
        let permit = ctx.permit.as_ref()?;
        let stand = Stand {
            generation: ctx.snapshot.generation,
            caller: ctx.caller.clone(),
            // What came since the token was verified is found by verifying it once more.
            grounds: None,
            over_at: None,
            next: None,
        };
        let head = permit.head();
        Some(Self {
            is_endless: head.websocket,
            deadline: deadline(ctx, head),
            silence,
            is_stream: AtomicBool::new(false),
            head: head.clone(),
            ending: Ending::default(),
            why: OnceLock::new(),
            stand: Mutex::new(stand),
        })
    }

    /// Has it permitted anew from here on.
    pub(super) fn is_to_be_permitted(&self) {
        self.is_stream.store(true, Ordering::Relaxed);
    }

    /// Whether it is a stream; what is none has a deadline.
    pub(super) fn is_stream(&self) -> bool {
        self.is_stream.load(Ordering::Relaxed)
    }

    /// Whether there is anything to look at where it is no stream.
    pub(super) fn has_deadline(&self) -> bool {
        self.deadline.is_some() || self.silence.as_ref().is_some_and(Silence::is_awaited)
    }

    /// The silence of its server, where that is looked at here.
    pub(super) fn silence(&self) -> Option<&Silence> {
        self.silence.as_ref()
    }

    /// Why it is permitted no more.
    pub(super) fn why(&self) -> Option<&Refusal> {
        self.why.get()
    }

    /// Decides again if there is reason to, and ends what is permitted no more; says whether anything was decided.
    ///
    /// INVARIANT: waits for nothing, or one issuer that is slow would let all streams go on.
    pub(super) async fn review(&self, snapshot: &Snapshot, now: SystemTime) -> bool {
        if self.ending.is_asked() {
            self.ending.force();
            return false;
        }
        if let Some((deadline, why)) = &self.deadline
            && *deadline <= now
        {
            self.end(why.clone());
            return false;
        }
        if self.silence.as_ref().is_some_and(Silence::is_over) {
            self.end(Refusal::UpstreamTimeout);
            return false;
        }
        if !self.is_stream() {
            return false;
        }
        let Some(before) = self.due(snapshot, now) else {
            return false;
        };
        let mut again = pin!(self.again(snapshot, before, now));
        // A key would be looked for, as that of the token is gone. Who comes back has it looked for.
        let gone = || Err(unknown_key());
        let decided = poll_fn(|context| match again.as_mut().poll(context) {
            Poll::Ready(decided) => Poll::Ready(decided),
            Poll::Pending => Poll::Ready(gone()),
        });
        match decided.await {
            Ok(stand) => *self.stand() = stand,
            Err(refusal) => self.end(refusal),
        }
        true
    }

    /// Ends it for this reason, unless it has one already.
    pub(super) fn end(&self, why: Refusal) {
        if self.why.set(why).is_ok() {
            self.ending.ask();
        }
    }

    /// What it stood on, if that may not be so any more.
    fn due(&self, snapshot: &Snapshot, now: SystemTime) -> Option<Before> {
        let stand = self.stand();
        let is_same = stand.generation == snapshot.generation;
        let caller = stand.caller.as_ref().filter(|_| is_same);
        // Read before the token is verified: what comes in between is another ground.
        let grounds = caller.and_then(|caller| snapshot.verifier.grounds(caller.verified()));
        let stands = match &stand.caller {
            None => true,
            Some(_) => grounds.is_some() && stand.grounds == grounds,
        };
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let is_over = stand.over_at.is_some_and(|over| over <= second)
            || self.head.shown.as_ref().is_some_and(|it| it.is_over(now));
        let is_later = stand.next.is_some_and(|next| next <= now);
        (!is_same || !stands || is_over || is_later).then_some(Before {
            caller: stand.caller.clone(),
            grounds,
        })
    }

    /// Finds the route, the caller and the decision anew.
    async fn again(
        &self,
        snapshot: &Snapshot,
        before: Before,
        now: SystemTime,
    ) -> Result<Stand, Refusal> {
        let mut head = self.head.clone();
        if let Some(shown) = &head.shown {
            let outdated = |Outdated| Refusal::CertificateOutdated;
            shown.check(now).map_err(outdated)?;
        }
        let method = head.method.clone();
        let plan = judge::find(snapshot, &mut head, &method)?;
        let Kind::Proxy(proxy) = &plan.kind else {
            return Err(Refusal::RouteNotFound);
        };
        let access = &proxy.access;
        let next = reads_time(access, &head).then(|| now + TIME_PACE);
        let (tokens, caller) = (&snapshot.verifier, before.caller.as_ref());
        let caller = identify::again(&access.authenticate, tokens, caller, &head, now).await?;
        cors::check_socket(&plan, &head, caller.as_ref())?;
        let decided = decide::decide(&access.authorize, head, caller.as_ref(), now);
        decided.map_err(|denial| denial.refusal)?;
        let verified = caller.as_ref().map(Caller::verified);
        Ok(Stand {
            generation: snapshot.generation,
            over_at: verified.map(|verified| snapshot.verifier.over_at(verified)),
            grounds: before.grounds,
            caller,
            next,
        })
    }

    fn stand(&self) -> MutexGuard<'_, Stand> {
        // It is replaced as a whole.
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The earlier of what a caller of gRPC waits for and what the route lets an answer take.
fn deadline(ctx: &Ctx, head: &Head) -> Option<(SystemTime, Refusal)> {
    let at = |timeout: Option<Duration>| ctx.time.checked_add(timeout?);
    let of_caller = at(ctx
        .is_call()
        .then(|| grpc::timeout(&head.headers))
        .flatten());
    let of_route = at(ctx.total().filter(|_| !head.websocket));
    let of_caller = of_caller.map(|at| (at, Refusal::DeadlineExceeded));
    let of_route = of_route.map(|at| (at, Refusal::UpstreamTimeout));
    [of_caller, of_route]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
}

fn unknown_key() -> Refusal {
    Refusal::Token {
        why: token::Refusal::KeyUnknown,
        scopes: Vec::new(),
    }
}

/// Who it was, and what that stands on now.
struct Before {
    caller: Option<Caller>,
    grounds: Option<Grounds>,
}

fn reads_time(access: &Access, head: &Head) -> bool {
    match &access.authorize {
        Authorize::Policies(guards) => guards
            .of(&head.method)
            .is_some_and(decision::Guard::reads_time),
        Authorize::None | Authorize::Authenticated => false,
    }
}

/// How often policies are asked that read the time.
const TIME_PACE: Duration = Duration::from_millis(750);
