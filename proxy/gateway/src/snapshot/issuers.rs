//! A snapshot's issuers: pools of the engine, asked in process, and others, whose keys are fetched.

mod followed;

use std::sync::Arc;

use settings::{Place, Problem, Settings};
use token::{
    Audience, BoxFuture, FetchLimits, Issuer, KeySet, Keys, Kind, RemoteKeys, Revocations, Rules,
    Source, Verifier,
};
use tokio::runtime::Handle;

use super::{
    IssuerView, Maker, Snapshot,
    view::{FetchView, KeyView, RevocationsView},
};
use crate::{
    metrics::{IssuerSeen, Metrics},
    status::Degraded,
};
use followed::Following;

/// An issuer whose keys are fetched.
#[derive(Debug, Clone)]
pub(crate) struct RemoteIssuer {
    keys: Arc<RemoteKeys>,
    following: Option<Following>,
}

impl RemoteIssuer {
    fn name(&self) -> &str {
        &self.keys.source().name
    }

    /// How the feed of its revocations stands, where one is followed.
    fn revocations(&self) -> Option<RevocationsView> {
        let status = self.following.as_ref()?.followed.status();
        Some(RevocationsView {
            entries: status.entries,
            age_seconds: status.age.map(|age| age.as_secs()),
            stale: status.is_stale,
            last_error: status.last_error,
        })
    }
}

impl Maker {
    /// The verifier, and whose keys are fetched.
    pub(super) fn issuers(
        &self,
        settings: &Settings,
        previous: Option<&Snapshot>,
        problems: &mut Vec<Problem>,
    ) -> Option<(Verifier, Vec<RemoteIssuer>)> {
        let known = previous.map_or(&[][..], |snapshot| &snapshot.remote);
        let mut remote = Vec::new();
        let mut issuers = Vec::new();
        for issuer in &settings.issuers {
            match issuer {
                settings::Issuer::Embedded { name, pool, naming } => {
                    issuers.push(self.embedded(name, pool, naming.clone()));
                }
                settings::Issuer::Remote(issuer) => {
                    let made = self.remote(settings, issuer, known, problems);
                    issuers.push(made.issuer(issuer.rules.clone()));
                    remote.extend(made.into_remote());
                }
            }
        }
        match Verifier::new(issuers, settings.tokens) {
            Ok(verifier) => Some((verifier, remote)),
            Err(error) => {
                problems.push(settings.lines.problem(&"issuers".into(), error.to_string()));
                None
            }
        }
    }

    fn embedded(&self, name: &str, pool: &str, naming: token::Naming) -> Issuer {
        let rules = |iss| Rules {
            name: name.into(),
            iss,
            kind: Kind::Cognito,
            audience: Audience::Embedded,
            naming,
        };
        match &self.engine {
            Some(engine) => {
                let revocations = engine.revocations();
                Issuer::new(
                    rules(engine.issuer(pool)),
                    engine.pool_keys(pool),
                    Some(revocations),
                )
            }
            None => Issuer::new(rules(format!("embedded:{pool}")), Arc::new(NoKeys), None),
        }
    }

    fn remote(
        &self,
        settings: &Settings,
        issuer: &settings::Remote,
        known: &[RemoteIssuer],
        problems: &mut Vec<Problem>,
    ) -> Fetched {
        let Some(background) = &self.background else {
            return Fetched::No;
        };
        let name = &issuer.rules.name;
        let known = known
            .iter()
            .find(|known| known.keys.source().issuer == issuer.rules.iss);
        let keys = match keys(settings, issuer, known, background) {
            Ok(keys) => keys,
            Err(error) => {
                let place = Place::from("issuers").key(&**name);
                problems.push(settings.lines.problem(&place, error.to_string()));
                return Fetched::No;
            }
        };
        let known = known.and_then(|known| known.following.as_ref());
        let following = issuer
            .revocations
            .as_ref()
            .map(|asked| Following::start(name, asked, &issuer.transport, known, background));
        match following.transpose() {
            Ok(following) => Fetched::Yes(RemoteIssuer { keys, following }),
            Err(error) => {
                problems.push(followed::problem(settings, name, &error));
                Fetched::No
            }
        }
    }
}

/// The keys as they are fetched already, where the settings left that alone; those made anew go on with the same set.
fn keys(
    settings: &Settings,
    issuer: &settings::Remote,
    known: Option<&RemoteIssuer>,
    background: &Handle,
) -> Result<Arc<RemoteKeys>, token::FetchError> {
    let source = Source {
        name: issuer.rules.name.clone(),
        issuer: issuer.rules.iss.clone(),
        jwks_uri: issuer.jwks_uri.clone(),
        dir: Some(settings.data.clone()),
        transport: issuer.transport.clone(),
        limits: FetchLimits::default(),
    };
    match known {
        Some(known) if *known.keys.source() == source => Ok(known.keys.clone()),
        _ => {
            let previous = known.map(|known| &*known.keys);
            RemoteKeys::start(source, previous, background).map(Arc::new)
        }
    }
}

/// Whether an issuer's keys are fetched.
enum Fetched {
    Yes(RemoteIssuer),
    No,
}

impl Fetched {
    fn issuer(&self, rules: Rules) -> Issuer {
        let Self::Yes(remote) = self else {
            return Issuer::new(rules, Arc::new(NoKeys), None);
        };
        let followed = remote.following.as_ref();
        let followed = followed.map(|following| following.followed.clone() as Arc<dyn Revocations>);
        Issuer::new(rules, remote.keys.clone(), followed)
    }

    fn into_remote(self) -> Option<RemoteIssuer> {
        match self {
            Self::Yes(issuer) => Some(issuer),
            Self::No => None,
        }
    }
}

/// The keys of an issuer that is only checked: tokens are answered with 503.
struct NoKeys;

impl Keys for NoKeys {
    fn current(&self) -> Arc<KeySet> {
        Arc::new(KeySet::never_loaded())
    }

    fn fetch_unknown<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        Box::pin(async { self.current() })
    }
}

impl Snapshot {
    /// The issuers as operators see them.
    pub(crate) fn issuer_views(&self) -> Vec<IssuerView> {
        let issuers = self.verifier.issuers().iter();
        issuers
            .map(|issuer| {
                let rules = issuer.rules();
                let remote = self
                    .remote
                    .iter()
                    .find(|remote| remote.name() == &*rules.name);
                let status = remote.map(|remote| remote.keys.status());
                let keys = issuer.keys().current();
                IssuerView {
                    name: rules.name.to_string(),
                    issuer: rules.iss.clone(),
                    embedded: rules.audience == Audience::Embedded,
                    loaded: keys.is_loaded(),
                    keys: KeyView::of(&keys),
                    age_seconds: status.as_ref().and_then(|s| s.age).map(|age| age.as_secs()),
                    next_refresh_seconds: status.as_ref().map(|s| s.next_refresh.as_secs()),
                    last_error: status.as_ref().and_then(|s| s.last_error.clone()),
                    kept_error: status.as_ref().and_then(|s| s.kept_error.clone()),
                    fetches: status.map(|s| FetchView {
                        succeeded: s.succeeded,
                        failed: s.failed,
                    }),
                    revocations: remote.and_then(RemoteIssuer::revocations),
                }
            })
            .collect()
    }

    /// Issuers that are not well.
    pub(super) fn degraded_issuers(&self) -> Vec<Degraded> {
        let views = self.issuer_views().into_iter();
        let unwell = views.filter_map(|view| {
            let fetched = match view.last_error {
                Some(error) if view.loaded => {
                    Some(format!("its last good keys are in use: {error}"))
                }
                Some(error) => Some(format!("its keys have never been loaded: {error}")),
                None if view.loaded => None,
                None => Some("its keys have not been loaded yet".to_owned()),
            };
            let kept = view
                .kept_error
                .map(|error| format!("the next start has no keys of it: {error}"));
            let revocations = view.revocations.and_then(RevocationsView::complaint);
            let why: Vec<_> = fetched.into_iter().chain(kept).chain(revocations).collect();
            (!why.is_empty()).then(|| Degraded {
                what: format!("issuers.{}", view.name),
                why: why.join("; "),
            })
        });
        unwell.collect()
    }

    /// Brings the metrics of issuers up to date.
    pub(crate) fn observe(&self, metrics: &Metrics) {
        let seen = self.remote.iter().map(|remote| {
            let status = remote.keys.status();
            let following = remote.following.as_ref();
            IssuerSeen {
                name: remote.name(),
                key_set_age: status.age,
                revocations_age: following.and_then(|following| following.followed.status().age),
                succeeded: status.succeeded,
                failed: status.failed,
            }
        });
        metrics.issuers.observe(&seen.collect::<Vec<_>>());
    }
}
