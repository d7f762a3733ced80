//! A snapshot's rate limits: those that the settings left alone go on with what is in their buckets.

use std::sync::Arc;

use settings::{RateLimit, Route, RouteLimit, Settings};

use super::{Maker, Snapshot, routes::Parts};
use crate::{
    gateway::{Limits, Rule},
    rate::Limiter,
};

impl Maker {
    /// Every limit: those that routes share and those of one route.
    pub(super) fn limiters(
        &self,
        settings: &Settings,
        previous: Option<&Snapshot>,
    ) -> Vec<Arc<Limiter>> {
        let known = previous.map_or(&[][..], |snapshot| &snapshot.limiters);
        let shared = settings.rate_limits.iter().map(|limit| (limit, None));
        let own = settings.routes.iter().flat_map(|route| {
            let own = route.rate_limits.iter().filter_map(|limit| match limit {
                RouteLimit::Own(limit) => Some(limit),
                RouteLimit::Shared(_) => None,
            });
            own.map(|limit| (limit, Some(route.name.as_str())))
        });
        let limiters = shared.chain(own).map(|(limit, route)| {
            let kept = known.iter().find(|known| known.is_made_of(limit, route));
            kept.cloned().unwrap_or_else(|| self.limiter(limit, route))
        });
        limiters.collect()
    }

    fn limiter(&self, limit: &RateLimit, route: Option<&str>) -> Arc<Limiter> {
        let name = match route {
            Some(route) => format!("{route}/{}", limit.name),
            None => limit.name.clone(),
        };
        let crowded = self.metrics.limits.rate_limit_crowded(&name);
        let limiter = Limiter::new(limit.clone(), route.map(str::to_owned), crowded);
        Arc::new(limiter)
    }
}

impl Parts<'_> {
    /// A route's limits.
    pub(super) fn limits(&self, route: &Route) -> Option<Box<Limits>> {
        let rule = |limit: &RouteLimit| {
            let of = limit.of(&self.settings.rate_limits)?;
            let route_of = match limit {
                RouteLimit::Shared(_) => None,
                RouteLimit::Own(_) => Some(route.name.as_str()),
            };
            let mut limiters = self.limiters.iter();
            let limiter = limiters.find(|limiter| limiter.is_made_of(of, route_of))?;
            Some(Rule {
                limiter: limiter.clone(),
                refused: self.metrics.limits.rate_limited(&route.name, &of.name),
            })
        };
        Limits::new(route.rate_limits.iter().filter_map(rule).collect())
    }
}
