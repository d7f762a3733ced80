use super::super::{
    Snapshot,
    fixture::{make, texts},
};

const ROUTE: &str = "
  - name: pets
    match: {path: /pets, methods: [GET, PUT]}
    authenticate: {bearer: {issuers: [one, two]}}
    authorize: {policies: pets}
    upstream: {to: app}
";

fn permit(id: &str, rest: &str) -> String {
    format!("@id(\"{id}\") permit{rest};\n")
}

/// The problems of the route with these policies at the start.
fn problems(policies: &str) -> Vec<String> {
    make(ROUTE, policies, None).map_or_else(|found| texts(&found), |_| Vec::new())
}

/// The warnings likewise, where there is no problem.
fn warnings(policies: &str) -> Vec<String> {
    let made = make(ROUTE, policies, None);
    texts(&made.unwrap_or_else(|found| panic!("{found:?}")).warnings)
}

#[test]
fn routes_that_can_permit_nobody_are_problems() {
    let get = "action == Pets::Action::\"get /pets\"";
    for (policies, expected) in [
        (String::new(), "there are no policies"),
        (
            "@id(\"f\") forbid(principal, action, resource) when { context.method == \"PUT\" };"
                .into(),
            "no `permit` applies to Pets::Action::\"get /pets\" and a resource of type `Pets::Application`; no `permit` applies to Pets::Action::\"put /pets\"",
        ),
        (
            permit(
                "a",
                "(principal in Pets::Group::\"third|g\", action, resource)",
            ),
            "policy `a` asks for `principal in Pets::Group::\"third|g\"`, and callers have access tokens and names as `eu-west-1_One000001|…`",
        ),
        (
            permit(
                "a",
                "(principal, action, resource == Pets::Application::\"pets\")",
            ),
            "policy `a` asks for `resource == Pets::Application::\"pets\"`, and the route's resource is `Pets::Application::\"Pets\"`",
        ),
        (
            permit("a", "(principal, action, resource)")
                + "@id(\"f\") forbid(principal, action, resource);",
            "policy `f` forbids every request",
        ),
        (
            permit(
                "a",
                &format!("(principal, {get}, resource) when {{ principal has email }}"),
            ),
            "policy `a` asks for `when { ",
        ),
    ] {
        let found = problems(&policies);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("routes[0].authorize: nobody can ever be permitted: "),
            "{found:#?}"
        );
        assert!(found[0].contains(expected), "no `{expected}` in {found:#?}");
        assert!(
            found[0].ends_with(
                "mend the policies, or the route's `authenticate`, or take the route out"
            )
        );
    }
}

#[test]
fn what_permits_somebody_is_none() {
    for policies in [
        permit("a", "(principal, action, resource)"),
        permit("a", "(principal in [Pets::Group::\"two|g\", Pets::Group::\"eu-west-1_One000001|g\"], action, resource)")
            .replace("principal in [Pets::Group::\"two|g\", Pets::Group::\"eu-west-1_One000001|g\"], action, resource)",
                "principal, action, resource) when { principal in [Pets::Group::\"two|g\", Pets::Group::\"eu-west-1_One000001|g\"] }"),
    ] {
        assert_eq!(problems(&policies), [""; 0]);
        assert_eq!(warnings(&policies), [""; 0]);
    }
}

#[test]
fn what_permits_only_some_is_a_warning() {
    let get = "action == Pets::Action::\"get /pets\"";
    let found = warnings(&permit("a", &format!("(principal, {get}, resource)")));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(
        "routes[0].authorize: nobody can ever be permitted Pets::Action::\"put /pets\": no `permit` applies"
    ));
    let found = warnings(&permit(
        "a",
        "(principal in Pets::Group::\"two|g\", action, resource)",
    ));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(
        "routes[0].authorize: no caller of `one` can ever be permitted: policy `a` asks for"
    ));
    let found = warnings(&format!(
        "{}{}",
        permit("a", "(principal, action, resource)"),
        permit(
            "b",
            "(principal in Pets::Group::\"third|g\", action, resource)"
        )
    ));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(
            "policies.pets: policy `b` asks for `principal in Pets::Group::\"third|g\"`"
        )
    );
    assert!(found[0].ends_with("it permits nothing on any route"));
}

#[test]
fn whoever_closes_a_route_in_force_closes_it() {
    let open = permit("a", "(principal, action, resource)");
    let before = make(ROUTE, &open, None).unwrap();
    let closed = format!("{open}@id(\"f\") forbid(principal, action, resource);");
    let after = make(ROUTE, &closed, Some(&before)).unwrap();
    let of_routes = |snapshot: &Snapshot| {
        let mut degraded = snapshot.degraded();
        degraded.retain(|degraded| degraded.what.starts_with("routes"));
        degraded
    };
    assert_eq!(of_routes(&before), []);
    let degraded = of_routes(&after);
    assert_eq!(degraded.len(), 1, "{degraded:?}");
    assert_eq!(degraded[0].what, "routes[0].authorize");
    assert!(
        degraded[0].why.contains("policy `f` forbids every request"),
        "{degraded:?}"
    );
}

#[test]
fn a_problem_of_a_policy_file_has_one_position() {
    let found = make(ROUTE, "permit(principal, action, resource);\n", None)
        .err()
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].place.as_str(), found[0].line),
        ("policies.pets", None)
    );
    assert!(
        found[0]
            .message
            .contains("pets.cedar:1: the policy has no `@id")
    );
}
