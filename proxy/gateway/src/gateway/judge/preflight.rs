//! Preflights of pages of other origins, of which the route speaks that the method asked for would take.

use decision::Permit;
use pingora::proxy::Session;

use super::{
    super::{
        Ctx, Gateway,
        cors::{self, Cors, Rules},
        head::Head,
        identify,
        refuse::Refusal,
    },
    Verdict, check_room,
};
use crate::{
    metrics::Outcome,
    snapshot::{Kind, Plan, Proxy},
};

/// Answers a preflight, or sends it on, without asking whose it is: browsers do not say.
pub(super) async fn judge(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    head: Head,
    plan: &Plan,
    cors: &Cors,
) -> pingora::Result<Verdict> {
    match (cors, &plan.kind) {
        (Cors::Answer(rules), _) if ctx.origin.is_some() => answer(session, ctx, head, rules).await,
        (Cors::Pass, Kind::Proxy(proxy)) => Ok(pass(gate, session, ctx, head, plan, proxy)),
        _ => Ok(ctx.stop(head, Refusal::OriginRefused)),
    }
}

/// Where the gate answers, nothing is taken from rate limits: to refuse would cost as much.
async fn answer(
    session: &mut Session,
    ctx: &mut Ctx,
    head: Head,
    rules: &Rules,
) -> pingora::Result<Verdict> {
    let answered = cors::answer(rules, session, ctx, &head.headers).await;
    ctx.head = Some(head);
    answered?;
    ctx.outcome = Outcome::Allow;
    Ok(Verdict::Served)
}

/// Sends it on, with all credentials taken out.
fn pass(
    gate: &Gateway,
    session: &Session,
    ctx: &mut Ctx,
    mut head: Head,
    plan: &Plan,
    proxy: &Proxy,
) -> Verdict {
    let limited = ctx.limit_early(&head);
    let taken = limited.and_then(|()| check_room(gate, session, ctx, &head, plan));
    let cleared = taken.and_then(|()| identify::withdraw(&proxy.access.authenticate, &mut head));
    if let Err(refusal) = cleared {
        return ctx.stop(head, refusal);
    }
    super::forward::tell(&proxy.headers, None, &mut head);
    ctx.turn = super::forward::turn(&proxy.upstream, &head, None);
    ctx.permit = Some(Permit::unguarded(head));
    Verdict::Forward
}
