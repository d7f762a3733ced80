//! Whether authorisation has the effect it is there for: routes that can permit nobody, and policies that nobody meets.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use decision::{Callers, Guard, Never};
use route::Table;
use settings::{Access, Bearer, Issuer, Place, Problem, Route, Settings};
use token::{Kind as IssuerKind, TokenUse};

use super::{Authorize, Plan};
use crate::gateway::Guards;

/// What was found.
#[derive(Default)]
pub(super) struct Effect {
    /// Routes that can permit nobody.
    pub(super) futile: Vec<Problem>,
    /// What may be meant.
    pub(super) warnings: Vec<Problem>,
}

/// Looks at every route that policies decide on.
pub(super) fn judge(settings: &Settings, table: &Table<Arc<Plan>>) -> Effect {
    let mut judging = Judging {
        settings,
        effect: Effect::default(),
        met: HashSet::new(),
        unmet: BTreeMap::new(),
    };
    for route in &settings.routes {
        let plan = table.routes().find(|found| found.name() == route.name);
        let planned = plan.and_then(|plan| plan.value().kind.access());
        let (Some(access), Some(planned)) = (route.handling.access(), planned) else {
            continue;
        };
        if let (Some(bearer), Authorize::Policies(guards)) =
            (&access.authenticate, &planned.authorize)
        {
            judging.route(route, access, bearer, guards);
        }
    }
    judging.finish()
}

struct Judging<'s> {
    settings: &'s Settings,
    effect: Effect,
    /// Policies that callers of some route can meet: their sets and ids.
    met: HashSet<(usize, String)>,
    /// Those that callers of some route cannot, and what they ask for.
    unmet: BTreeMap<(usize, String), String>,
}

/// Callers of an issuer, by its name.
type Named<'s> = (&'s str, Callers<'s>);

impl<'s> Judging<'s> {
    fn route(&mut self, route: &Route, access: &Access, bearer: &Bearer, guards: &Guards) {
        let callers = self.callers(bearer);
        let place = route.place.key("authorize");
        let whole: Vec<_> = guards.iter().map(|guard| nevers(guard, &callers)).collect();
        if whole.iter().all(Result::is_err) {
            let why: Vec<_> = whole
                .into_iter()
                .filter_map(Result::err)
                .flatten()
                .collect();
            self.futile(&place, &why);
        } else {
            self.partly(&place, guards, &callers);
        }
        if let settings::Authorize::Policies(asked) = &access.authorize {
            self.count(asked.policies, guards, &callers);
        }
    }

    fn futile(&mut self, place: &Place, why: &[Never]) {
        let message = format!(
            "nobody can ever be permitted: {}; mend the policies, or the route's `authenticate`, or take the route out",
            list(why)
        );
        self.effect
            .futile
            .push(self.settings.lines.problem(place, message));
    }

    /// Says which methods and which issuers of a route stand there for nothing.
    fn partly(&mut self, place: &Place, guards: &Guards, callers: &[Named<'_>]) {
        let mut warn = |message: String| {
            let warning = self.settings.lines.problem(place, message);
            self.effect.warnings.push(warning);
        };
        for guard in guards.iter() {
            if let Err(why) = nevers(guard, callers) {
                warn(format!(
                    "nobody can ever be permitted {}: {}",
                    guard.action(),
                    list(&why)
                ));
            }
        }
        let mut issuers: Vec<&str> = callers.iter().map(|(issuer, _)| *issuer).collect();
        issuers.dedup();
        for issuer in issuers {
            let own: Vec<_> = callers
                .iter()
                .filter(|(name, _)| *name == issuer)
                .copied()
                .collect();
            let each: Option<Vec<_>> = guards
                .iter()
                .map(|guard| nevers(guard, &own).err())
                .collect();
            if let Some(why) = each {
                let why: Vec<_> = why.into_iter().flatten().collect();
                warn(format!(
                    "no caller of `{issuer}` can ever be permitted: {}",
                    list(&why)
                ));
            }
        }
    }

    fn count(&mut self, set: usize, guards: &Guards, callers: &[Named<'_>]) {
        let callers: Vec<_> = callers.iter().map(|(_, callers)| *callers).collect();
        for guard in guards.iter() {
            let unmet = guard.unmet(&callers);
            let is_unmet = |id: &str| unmet.iter().any(|unmet| unmet.policy == id);
            let met = guard.policies().into_iter().filter(|id| !is_unmet(id));
            self.met.extend(met.map(|id| (set, id.to_owned())));
            let unmet = unmet
                .into_iter()
                .map(|unmet| ((set, unmet.policy.clone()), unmet.to_string()));
            self.unmet.extend(unmet);
        }
    }

    fn finish(mut self) -> Effect {
        // What is futile as a whole names its policies already.
        let named = |text: &str| {
            self.effect
                .futile
                .iter()
                .any(|futile| futile.message.contains(text))
        };
        let unmet = self
            .unmet
            .iter()
            .filter(|(policy, text)| !self.met.contains(policy) && !named(text));
        let warnings: Vec<_> = unmet
            .filter_map(|((set, _), text)| {
                let (name, _) = self.settings.policies.get(*set)?;
                let place = Place::from("policies").key(name);
                let message = format!("{text}: it permits nothing on any route");
                Some(self.settings.lines.problem(&place, message))
            })
            .collect();
        self.effect.warnings.extend(warnings);
        self.effect
    }

    /// Whose tokens of which kinds a route takes.
    fn callers(&self, bearer: &Bearer) -> Vec<Named<'s>> {
        let issuers = bearer
            .issuers
            .iter()
            .filter_map(|at| self.settings.issuers.get(*at));
        let by_certificate = self.settings.listeners.iter().any(|listener| {
            let tls = listener.tls.as_ref();
            tls.is_some_and(|tls| tls.client_certificates.is_some())
        });
        let kinds = |issuer: &'s Issuer| {
            let asked = &bearer.requirements.token_use;
            let all: Vec<bool> = match issuer.kind() {
                IssuerKind::Cognito if !asked.is_empty() => {
                    asked.iter().map(|one| *one == TokenUse::Id).collect()
                }
                IssuerKind::Cognito | IssuerKind::Oidc => vec![false],
            };
            all.into_iter().map(move |by_id_token| {
                let prefix = issuer.naming().prefix.as_deref();
                (
                    issuer.name(),
                    Callers {
                        prefix,
                        by_id_token,
                        by_certificate,
                    },
                )
            })
        };
        issuers.flat_map(kinds).collect()
    }
}

/// Why a guard can permit none of these callers, each reason once; an error, since one reason too few is a permit.
fn nevers(guard: &Guard, callers: &[Named<'_>]) -> Result<(), Vec<Never>> {
    let mut why: Vec<Never> = Vec::new();
    for (_, callers) in callers {
        match guard.never(callers) {
            None => return Ok(()),
            Some(never) if !why.contains(&never) => why.push(never),
            Some(_) => {}
        }
    }
    Err(why)
}

fn list(why: &[Never]) -> String {
    let mut texts: Vec<String> = why.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
