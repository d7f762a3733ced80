//! The way of a request up to its permit: admit, route, identify, decide; or the engine's answer, or the gate's own.

mod answered;
mod loosened;
mod preflight;
mod sent;

use std::{
    mem,
    sync::Arc,
    time::{Instant, SystemTime},
};

use decision::{Basis, Permit};
use http::{Method, header};
use pingora::proxy::Session;
use route::Found;
use settings::Scheme;

use super::{
    Ctx, Gateway, admit, cors,
    decide::{self, Denial},
    forward,
    head::Head,
    identify::{self, Caller},
    micros,
    refuse::{Malformed, Refusal},
    request_id::{REQUEST_ID_NAME, RequestId},
    trace::Trace,
};
use crate::{
    listen::{BadChunk, Body, Line, Outdated},
    metrics::Outcome,
    mount::Unserved,
    snapshot::{Access, Kind, Plan, Snapshot},
};
pub(super) use sent::peer;
pub(crate) use sent::raw;

/// What becomes of a request.
pub(super) enum Verdict {
    /// There is a permit.
    Forward,
    /// It has been answered.
    Served,
    /// It goes no further, and nothing has been answered yet.
    Refused(Refusal),
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Judges one request.
pub(super) async fn judge(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<Verdict> {
    let line = Line::of(session.digest());
    let elsewhere = line.and_then(Line::redirect).cloned();
    if let Some(line) = line {
        line.head_is_read();
    }
    let mut head = match admitted(gate, session, ctx) {
        Ok(head) => head,
        Err(refusal) => return Ok(refusal.into()),
    };
    // What only a route could allow is judged where this leads.
    if let Some(to) = elsewhere.filter(|_| head.scheme == Scheme::Http) {
        return Box::pin(answered::redirect(session, ctx, head, &to)).await;
    }
    let asked = cors::asked(&head, session);
    let (plan, preflight) = match routed(ctx, &mut head, asked.as_ref()) {
        Ok(routed) => routed,
        Err(refusal) => return Ok(ctx.stop(head, refusal)),
    };
    if let (true, Some(cors)) = (preflight, &plan.cors) {
        return Box::pin(preflight::judge(gate, session, ctx, head, &plan, cors)).await;
    }
    if let Err(refusal) = ctx.limit_early(&head) {
        return Ok(ctx.stop(head, refusal));
    }
    match &plan.kind {
        Kind::Pools => Box::pin(serve(gate, session, ctx, head)).await,
        Kind::Proxy(proxy) => {
            if let Err(refusal) = check_room(gate, session, ctx, &head, &plan) {
                return Ok(ctx.stop(head, refusal));
            }
            if let Err(refusal) = permit(gate, ctx, head, &plan, &proxy.access).await {
                return Ok(refusal.into());
            }
            Ok(Verdict::Forward)
        }
        Kind::Respond(route) => {
            Box::pin(answered::respond(gate, session, ctx, head, &plan, route)).await
        }
        Kind::Redirect(to) => Box::pin(answered::redirect(session, ctx, head, to)).await,
    }
}

/// Before anything is done for a request: its body may be as long as it says, and there is a place for it.
fn check_room(
    gate: &Gateway,
    session: &Session,
    ctx: &mut Ctx,
    head: &Head,
    plan: &Plan,
) -> Result<(), Refusal> {
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > plan.body_limit) {
        return Err(Refusal::BodyTooLarge);
    }
    if Line::of(session.digest()).is_some_and(Line::is_crowded) {
        return Err(Refusal::Overloaded);
    }
    ctx.place = gate.requests.admit(head.client);
    ctx.place.as_ref().map(|_| ()).ok_or(Refusal::Overloaded)
}

/// Admits.
fn admitted(gate: &Gateway, session: &mut Session, ctx: &mut Ctx) -> Result<Head, Refusal> {
    let peer = peer(session);
    let sent = &session.req_header().headers;
    let given = sent.get(&REQUEST_ID_NAME);
    ctx.request_id = RequestId::new(given.filter(|_| ctx.snapshot.rules.trusts(peer)));
    ctx.trace = Trace::of(&ctx.snapshot, sent, peer);
    let head = admit::admit(&raw(session, peer), &ctx.snapshot.rules);
    // Pingora reads the body of a request to upgrade as one without end, and only a route can let one be that.
    session.req_header_mut().remove_header(&header::UPGRADE);
    ctx.micros.admit = ctx.observe(&gate.metrics.stages.admit);
    let mut head = head?;
    head.headers.insert(REQUEST_ID_NAME, ctx.request_id.value());
    check_octets(session)?;
    if let Err(refusal) = check_shown(session, &mut head, ctx.time) {
        ctx.head = Some(head);
        return Err(refusal);
    }
    Ok(head)
}

/// The line must be what the parser says it is, what has come of a chunked body must be in form, and what comes is followed
/// from here on.
fn check_octets(session: &Session) -> Result<(), Refusal> {
    let Some(line) = Line::of(session.digest()) else {
        return Ok(());
    };
    if session.as_http1().is_some() && !line.is_line_in_form() {
        return Err(Malformed::Target.into());
    }
    let headers = &session.req_header().headers;
    let body = if headers.contains_key(header::TRANSFER_ENCODING) {
        Body::Chunked
    } else if headers.contains_key(header::CONTENT_LENGTH) {
        Body::Sized
    } else {
        Body::None
    };
    let followed = line.body(body);
    followed.map_err(|BadChunk| Malformed::Chunk.into())
}

/// What the caller's connection showed must be good still, and goes with the head.
fn check_shown(session: &Session, head: &mut Head, now: SystemTime) -> Result<(), Refusal> {
    let line = Line::of(session.digest());
    let Some(shown) = line.and_then(Line::shown) else {
        return Ok(());
    };
    shown
        .check(now)
        .map_err(|Outdated| Refusal::CertificateOutdated)?;
    head.shown = Some(shown.clone());
    Ok(())
}

/// Routes: a preflight to where the method would lead that it asks for, if that route speaks of preflights; says whether it
/// is one of those.
fn routed(
    ctx: &mut Ctx,
    head: &mut Head,
    asked: Option<&Method>,
) -> Result<(Arc<Plan>, bool), Refusal> {
    let preflight = asked
        .and_then(|method| find(&ctx.snapshot, head, method).ok())
        .filter(|plan| plan.cors.is_some());
    let is_preflight = preflight.is_some();
    let plan = match preflight {
        Some(plan) => plan,
        None => find(&ctx.snapshot, head, &head.method.clone())?,
    };
    ctx.plan = Some(plan.clone());
    ctx.origin = cors::allow(&plan, head, is_preflight)?;
    Ok((plan, is_preflight))
}

/// The plan of the route that takes the request, with this method, and gets the parameters of its path.
pub(super) fn find(
    snapshot: &Snapshot,
    head: &mut Head,
    method: &Method,
) -> Result<Arc<Plan>, Refusal> {
    let found = snapshot
        .routes
        .find(head.authority.host(), &head.path, method);
    if !head.needs.is_empty() {
        loosened::check(snapshot, head, method, &found)?;
    }
    match found {
        Found::Route { route, params } => {
            let plan: &Arc<Plan> = route.value();
            let values: Vec<_> = params.map(|(_, value)| value.to_owned()).collect();
            head.parameters = plan.parameters.iter().cloned().zip(values).collect();
            Ok(plan.clone())
        }
        Found::NotFound => Err(Refusal::RouteNotFound),
        Found::MethodNotAllowed { allow } => Err(Refusal::MethodNotAllowed {
            allow: allow.to_owned(),
        }),
    }
}

/// Hands the request to the engine.
async fn serve(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    head: Head,
) -> pingora::Result<Verdict> {
    let told = ctx.limit_fields();
    let head = ctx.head.insert(head);
    let Some(mount) = &gate.mount else {
        return Ok(Refusal::EngineUnavailable.into());
    };
    let served = mount
        .serve(session, head, ctx.request_id.as_str(), told)
        .await?;
    ctx.observe(&gate.metrics.stages.serve);
    Ok(match served {
        Ok(status) => {
            ctx.outcome = if status.is_server_error() {
                Outcome::Error
            } else {
                Outcome::Allow
            };
            Verdict::Served
        }
        Err(Unserved::BodyTooLarge) => Refusal::BodyTooLarge.into(),
        Err(Unserved::BodyTimeout) => Refusal::BodyTimeout.into(),
        Err(Unserved::Failed) => Refusal::EngineUnavailable.into(),
    })
}

/// Identifies the caller and decides.
async fn permit(
    gate: &Gateway,
    ctx: &mut Ctx,
    mut head: Head,
    plan: &Plan,
    access: &Access,
) -> Result<(), Refusal> {
    head.websocket &= plan.kind.takes_websocket();
    let caller = match identified(gate, ctx, &mut head, plan, access).await {
        Ok(caller) => caller,
        Err(refusal) => {
            ctx.head = Some(head);
            return Err(refusal);
        }
    };
    let socket = cors::check_socket(plan, &head, caller.as_ref());
    if let Err(refusal) = socket.and_then(|()| ctx.limit_late(caller.as_ref())) {
        (ctx.head, ctx.caller) = (Some(head), caller);
        return Err(refusal);
    }
    let decided = decide::decide(&access.authorize, head, caller.as_ref(), ctx.time);
    ctx.micros.decide = ctx.observe(&gate.metrics.stages.decide);
    ctx.caller = caller;
    count(gate, ctx, &decided);
    match decided {
        Ok(permit) => {
            if let Kind::Proxy(proxy) = &plan.kind {
                ctx.turn = forward::turn(&proxy.upstream, permit.head(), ctx.caller.as_ref());
            }
            ctx.permit = Some(permit);
            Ok(())
        }
        Err(denial) => {
            ctx.head = Some(denial.head);
            ctx.denied = denial.decided;
            Err(denial.refusal)
        }
    }
}

/// The caller, with what the route tells its upstream of it in the head.
async fn identified(
    gate: &Gateway,
    ctx: &mut Ctx,
    head: &mut Head,
    plan: &Plan,
    access: &Access,
) -> Result<Option<Caller>, Refusal> {
    let tokens = &ctx.snapshot.verifier;
    let identified = identify::identify(&access.authenticate, tokens, head, ctx.time).await;
    ctx.micros.identify = ctx.observe(&gate.metrics.stages.identify);
    let caller = identified?;
    if let Some(caller) = &caller {
        gate.metrics.token_cache.count(caller.is_remembered());
    }
    if let Kind::Proxy(proxy) = &plan.kind {
        forward::tell(&proxy.headers, caller.as_ref(), head);
    }
    Ok(caller)
}

/// Counts what policies said, or that none could be asked.
fn count(gate: &Gateway, ctx: &Ctx, decided: &Result<Permit<Head>, Box<Denial>>) {
    let decisions = &gate.metrics.decisions;
    let said = match decided {
        Ok(permit) => match permit.basis() {
            Basis::Policies(decided) => Some(&**decided),
            Basis::Unguarded | Basis::Authenticated => None,
        },
        Err(denial) => denial.decided.as_deref(),
    };
    if let Some(said) = said {
        decisions.count(route(ctx), ctx.request_id.as_str(), said);
    } else if let Err(denial) = decided
        && let Refusal::Denied { code } = &denial.refusal
    {
        decisions.unasked(route(ctx), ctx.request_id.as_str(), code);
    }
}

impl Ctx {
    /// Ends a stage, which began where the one before it ended; gives its time in microseconds.
    fn observe(&mut self, stage: &prometheus::Histogram) -> u64 {
        let now = Instant::now();
        let took = now.saturating_duration_since(mem::replace(&mut self.stage, now));
        stage.observe(took.as_secs_f64());
        micros(took)
    }

    /// Keeps the head of a request that goes no further, for its record.
    fn stop(&mut self, head: Head, refusal: Refusal) -> Verdict {
        self.head = Some(head);
        refusal.into()
    }
}

/// The name of the route that takes the request.
fn route(ctx: &Ctx) -> &str {
    ctx.plan.as_ref().map_or("", |plan| &plan.name)
}
