//! Paths with more readings than one, which a route may let in.

use std::sync::Arc;

use http::Method;
use route::Found;

use super::super::{
    admit::{self, Allowances},
    head::Head,
    refuse::{Malformed, Refusal},
};
use crate::snapshot::{Plan, Snapshot};

/// What has two readings goes on where its route allows it, and no reading leads to a route that is not for the path itself:
/// what that one asks of callers would be passed by if its upstream read the path so. A route that would take the path too,
/// were there not this one, has left it to this one.
pub(super) fn check(
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
