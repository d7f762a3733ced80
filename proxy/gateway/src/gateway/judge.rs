//! The way of a request up to its permit: admit, route, identify, decide; or the engine's own answer.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use decision::Permit;
use http::{Method, header};
use pingora::{protocols::http::v1::server::HttpSession, proxy::Session};
use route::Found;

use super::{
    Ctx, Gateway,
    admit::{self, Allowances, Raw},
    cors::{self, Cors},
    decide, forward,
    head::Head,
    identify::{self, Caller},
    micros,
    refuse::{Malformed, Refusal},
    request_id::{REQUEST_ID_NAME, RequestId},
};
use crate::{
    listen::{BadChunk, Body, Line},
    metrics::Outcome,
    mount::Unserved,
    snapshot::{Kind, Plan, Proxy, Snapshot},
};

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
    if let Some(line) = Line::of(session.digest()) {
        line.head_is_read();
    }
    let (head, plan, preflight) = match admitted(gate, session, ctx) {
        Ok(routed) => routed,
        Err(refusal) => return Ok(refusal.into()),
    };
    if let (true, Some(cors)) = (preflight, &plan.cors) {
        return answer_preflight(gate, session, ctx, head, &plan, cors).await;
    }
    if let Err(refusal) = limit_early(ctx, &head, &plan) {
        ctx.head = Some(head);
        return Ok(refusal.into());
    }
    match &plan.kind {
        Kind::Pools => serve(gate, session, ctx, head).await,
        Kind::Proxy(proxy) => {
            if let Err(refusal) = check_room(gate, session, ctx, &head, &plan) {
                ctx.head = Some(head);
                return Ok(refusal.into());
            }
            match permit(gate, ctx, head, proxy).await {
                Ok(()) => Ok(Verdict::Forward),
                Err(refusal) => Ok(refusal.into()),
            }
        }
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

/// Admits and routes; says whether it is a preflight that the route's settings speak of.
fn admitted(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
) -> Result<(Head, Arc<Plan>, bool), Refusal> {
    let peer = peer(session);
    let given = session.req_header().headers.get(&REQUEST_ID_NAME);
    ctx.request_id = RequestId::new(given.filter(|_| ctx.snapshot.rules.trusts(peer)));
    let head = admit::admit(&raw(session, peer), &ctx.snapshot.rules);
    // Pingora reads the body of a request to upgrade as one without end; nothing is upgraded here.
    session.req_header_mut().remove_header(&header::UPGRADE);
    ctx.micros.admit = observed(&gate.metrics.stages.admit, ctx.started);
    let mut head = head?;
    head.headers.insert(REQUEST_ID_NAME, ctx.request_id.value());
    check_octets(session)?;
    let asked = cors::asked(&head, session);
    match routed(ctx, &mut head, asked.as_ref()) {
        Ok((plan, preflight)) => Ok((head, plan, preflight)),
        Err(refusal) => {
            ctx.head = Some(head);
            Err(refusal)
        }
    }
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

/// Routes: a preflight to where the method would lead that it asks for, if that route speaks of preflights.
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

/// The request as it was sent.
pub(crate) fn raw(session: &Session, peer: IpAddr) -> Raw<'_> {
    let sent = session.req_header();
    let digest = session.digest();
    Raw {
        method: &sent.method,
        target: sent.raw_path(),
        authority: sent.uri.authority().map(http::uri::Authority::as_str),
        headers: &sent.headers,
        head: session.as_http1().map(HttpSession::get_headers_raw_bytes),
        peer,
        tls: digest.is_some_and(|digest| digest.ssl_digest.is_some()),
    }
}

/// The plan of the route that takes the request, with this method, and gets the parameters of its path.
fn find(snapshot: &Snapshot, head: &mut Head, method: &Method) -> Result<Arc<Plan>, Refusal> {
    let found = snapshot
        .routes
        .find(head.authority.host(), &head.path, method);
    if !head.needs.is_empty() {
        check_allowed(snapshot, head, method, &found)?;
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

/// What has two readings goes on where its route allows it, and no reading leads to a route that is not for the path itself:
/// what that one asks of callers would be passed by if its upstream read the path so. A route that would take the path too,
/// were there not this one, has left it to this one.
fn check_allowed(
    snapshot: &Snapshot,
    head: &Head,
    method: &Method,
    found: &Found<'_, '_, Arc<Plan>>,
) -> Result<(), Refusal> {
    let Found::Route { route, .. } = found else {
        return head.needs.check_within(Allowances::default());
    };
    head.needs.check_within(route.value().allows)?;
    if head.needs.spares_the_path() {
        return Ok(());
    }
    let is_here = |path: &String| {
        let host = head.authority.host();
        match snapshot.routes.find(host, path, method) {
            Found::Route { route: other, .. } => {
                Arc::ptr_eq(other.value(), route.value()) || other.template().takes(&head.path)
            }
            Found::NotFound => true,
            Found::MethodNotAllowed { .. } => false,
        }
    };
    if admit::readings(&head.path)?.iter().all(is_here) {
        Ok(())
    } else {
        Err(Malformed::PathAmbiguous.into())
    }
}

/// Answers a preflight, or sends it on, without asking whose it is: browsers do not say.
///
/// Where the gate answers, nothing is taken from rate limits: to refuse would cost as much.
async fn answer_preflight(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    mut head: Head,
    plan: &Plan,
    cors: &Cors,
) -> pingora::Result<Verdict> {
    match (cors, &plan.kind) {
        (Cors::Answer(rules), _) if ctx.origin.is_some() => {
            let answered = cors::answer(rules, session, ctx, &head.headers).await;
            ctx.head = Some(head);
            answered?;
            ctx.outcome = Outcome::Allow;
            Ok(Verdict::Served)
        }
        (Cors::Pass, Kind::Proxy(proxy)) => {
            let limited = limit_early(ctx, &head, plan);
            let taken = limited.and_then(|()| check_room(gate, session, ctx, &head, plan));
            let cleared = taken.and_then(|()| identify::withdraw(&proxy.authenticate, &mut head));
            if let Err(refusal) = cleared {
                ctx.head = Some(head);
                return Ok(refusal.into());
            }
            ctx.turn = proxy.upstream.turn();
            ctx.permit = Some(Permit::unguarded(head));
            Ok(Verdict::Forward)
        }
        _ => {
            ctx.head = Some(head);
            Ok(Refusal::OriginRefused.into())
        }
    }
}

/// Takes from the rate limits that need no caller.
fn limit_early(ctx: &mut Ctx, head: &Head, plan: &Plan) -> Result<(), Refusal> {
    let limits = plan.limits.as_ref();
    limits.map_or(Ok(()), |limits| limits.before(head, &mut ctx.asked))
}

/// Takes from the rate limits by caller.
fn limit_late(ctx: &mut Ctx, caller: Option<&Caller>) -> Result<(), Refusal> {
    let limits = ctx.plan.as_ref().and_then(|plan| plan.limits.as_ref());
    limits.map_or(Ok(()), |limits| limits.after(caller, &mut ctx.asked))
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
    let started = Instant::now();
    let served = mount
        .serve(session, head, ctx.request_id.as_str(), told)
        .await?;
    observed(&gate.metrics.stages.serve, started);
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
    proxy: &Proxy,
) -> Result<(), Refusal> {
    let started = Instant::now();
    let identified = identify::identify(
        &proxy.authenticate,
        &ctx.snapshot.verifier,
        &mut head,
        ctx.time,
    )
    .await;
    ctx.micros.identify = observed(&gate.metrics.stages.identify, started);
    let caller = match identified {
        Ok(caller) => caller,
        Err(refusal) => {
            ctx.head = Some(head);
            return Err(refusal);
        }
    };
    if let Some(caller) = &caller {
        gate.metrics.token_cache.count(caller.is_remembered());
        forward::claims(&proxy.headers, caller, &mut head);
    }
    if let Err(refusal) = limit_late(ctx, caller.as_ref()) {
        (ctx.head, ctx.caller) = (Some(head), caller);
        return Err(refusal);
    }
    let started = Instant::now();
    let decided = decide::decide(&proxy.authorize, head, caller.as_ref(), ctx.time);
    ctx.micros.decide = observed(&gate.metrics.stages.decide, started);
    ctx.caller = caller;
    match decided {
        Ok(permit) => {
            if let decision::Basis::Policies(decided) = permit.basis() {
                let decisions = &gate.metrics.decisions;
                decisions.count(route(ctx), ctx.request_id.as_str(), decided);
            }
            ctx.turn = proxy.upstream.turn();
            ctx.permit = Some(permit);
            Ok(())
        }
        Err(denial) => {
            let decisions = &gate.metrics.decisions;
            match (&denial.decided, &denial.refusal) {
                (Some(decided), _) => decisions.count(route(ctx), ctx.request_id.as_str(), decided),
                (None, Refusal::Denied { code }) => {
                    decisions.unasked(route(ctx), ctx.request_id.as_str(), code);
                }
                (None, _) => {}
            }
            ctx.head = Some(denial.head);
            ctx.denied = denial.decided;
            Err(denial.refusal)
        }
    }
}

/// The name of the route that takes the request.
fn route(ctx: &Ctx) -> &str {
    ctx.plan.as_ref().map_or("", |plan| &plan.name)
}

/// Who is at the other end of the connection.
pub(super) fn peer(session: &Session) -> IpAddr {
    let address = session.client_addr().and_then(|address| address.as_inet());
    // Listeners are TCP, so the address is there; an unspecified one is trusted by nobody.
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| {
        address.ip().to_canonical()
    })
}

fn observed(stage: &prometheus::Histogram, started: Instant) -> u64 {
    let took = started.elapsed();
    stage.observe(took.as_secs_f64());
    micros(took)
}
