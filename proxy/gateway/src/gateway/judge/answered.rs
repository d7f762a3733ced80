//! Requests that the gate answers by itself.

use pingora::proxy::Session;
use settings::Redirect;

use super::{
    super::{Ctx, Gateway, head::Head, respond},
    Verdict, permit,
};
use crate::snapshot::{Plan, Respond};

/// Sends the caller where the settings say, or refuses where that is where he comes from.
pub(super) async fn redirect(
    session: &mut Session,
    ctx: &mut Ctx,
    head: Head,
    to: &Redirect,
) -> pingora::Result<Verdict> {
    let location = match respond::location(to, &head) {
        Ok(location) => location,
        Err(refusal) => return Ok(ctx.stop(head, refusal)),
    };
    ctx.head = Some(head);
    respond::redirect(session, ctx, to.status, location).await?;
    Ok(Verdict::Served)
}

/// Gives the route's own answer, if the caller may have it.
pub(super) async fn respond(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    head: Head,
    plan: &Plan,
    route: &Respond,
) -> pingora::Result<Verdict> {
    if let Err(refusal) = permit(gate, ctx, head, plan, &route.access).await {
        return Ok(refusal.into());
    }
    respond::give(session, ctx, &route.answer).await?;
    Ok(Verdict::Served)
}
