//! Snapshots of settings and policies that a test writes.

use settings::Problem;

use super::{Maker, Snapshot};
use crate::{metrics::Metrics, traces::Outlet};

pub(super) const SCHEMA: &str = r#"
namespace Pets {
    entity Group;
    entity User in [Group] = { email?: String };
    entity Application;
    action "get /pets", "put /pets" appliesTo {
        principal: User, resource: Application, context: { token?: { scope?: Set<String> }, method: String },
    };
}"#;

/// A snapshot of these routes and policies; a reload's, after the one of routes and policies before it.
pub(super) fn make(
    routes: &str,
    policies: &str,
    before: Option<&Snapshot>,
) -> Result<Snapshot, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("pets")).unwrap();
    std::fs::write(path("pets/pets.cedarschema"), SCHEMA).unwrap();
    std::fs::write(path("pets/pets.cedar"), policies).unwrap();
    std::fs::write(
        path("portcullis.yaml"),
        format!("{SETTINGS}routes:\n{routes}"),
    )
    .unwrap();
    let settings =
        settings::load(&path("portcullis.yaml")).unwrap_or_else(|found| panic!("{found}"));
    let metrics = Metrics::new().unwrap();
    let maker = Maker {
        outlet: Outlet::new(&metrics),
        metrics,
        limits: settings::Limits::default(),
        engine: None,
        background: None,
    };
    maker.make(&settings, 1, before)
}

/// Each as `place: message`.
pub(super) fn texts<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> Vec<String> {
    let problems = problems.into_iter();
    problems
        .map(|problem| format!("{}: {}", problem.place, problem.message))
        .collect()
}

const SETTINGS: &str = r#"
listeners: [{address: 127.0.0.1:0}]
issuers:
  one: {kind: cognito, issuer: "https://login.test/eu-west-1_One000001", clients: [web]}
  two: {kind: oidc, issuer: "https://two.test", audiences: [api], principal: {prefix: two}}
policies: {pets: {path: pets, principal: "Pets::User", group: "Pets::Group"}}
upstreams:
  app: {servers: ["http://127.0.0.1:9"]}
  same: {servers: ["http://127.0.0.1:7", "http://127.0.0.1:9"]}
  other: {servers: ["http://127.0.0.1:8"]}
"#;
