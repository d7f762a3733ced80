//! Rate limits and CORS, as routes have them.

use super::{Folder, GOOD};
use crate::{Allowed, By, Cors, Origins, RouteLimit};

/// The good settings with this said of the last route, and shared limits.
fn with(route: &str, shared: &str) -> String {
    let text = GOOD.replace(
        "  - name: open\n",
        &format!("  - name: open\n    {route}\n"),
    );
    format!("{text}{shared}\n")
}

/// The same, said of the route whose callers are known.
fn guarded(route: &str, shared: &str) -> String {
    let to = "    authorize: {policies: pets, headers: [x-tenant]}\n";
    format!(
        "{}{shared}\n",
        GOOD.replace(to, &format!("{to}    {route}\n"))
    )
}

const SHARED: &str = "rate_limits: {all: {by: route, requests: 10, per_seconds: 1}}";

#[test]
fn rate_limits_are_resolved() {
    let folder = Folder::new();
    let text = guarded(
        "rate_limits: [all, {by: client_ip, requests: 100, per_seconds: 60, burst: 20, announce: false}, \
         {by: {claim: tenant}, name: tenants, requests: 5, per_seconds: 3600, keys: 2048}]",
        SHARED,
    );
    let settings = folder
        .load(&text)
        .map_err(|problems| problems.to_string())
        .unwrap();
    let route = &settings.routes[1];
    let limits: Vec<_> = route
        .rate_limits
        .iter()
        .map(|limit| limit.of(&settings.rate_limits).unwrap())
        .collect();
    let seen: Vec<_> = limits
        .iter()
        .map(|limit| {
            (
                limit.name.as_str(),
                limit.burst.get(),
                limit.keys,
                limit.announce,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("all", 10, 65536, true),
            ("client_ip", 20, 65536, false),
            ("tenants", 5, 2048, true)
        ]
    );
    assert_eq!(route.rate_limits[0], RouteLimit::Shared(0));
    assert_eq!(limits[2].by, By::Claim("tenant".into()));
    assert!(settings.routes[0].rate_limits.is_empty());
}

#[test]
fn rate_limits_must_make_sense() {
    let folder = Folder::new();
    let at = |rest: &str| format!("routes[2].rate_limits[0]{rest}");
    for (limits, expected) in [
        ("[{by: ip, requests: 1, per_seconds: 1}]", vec![at(".by: ")]),
        (
            "[{by: client_ip, per_seconds: 1}]",
            vec![at(": `requests` is missing")],
        ),
        (
            "[{by: client_ip, requests: 0, per_seconds: 0}]",
            vec![
                at(".requests: must be between 1"),
                at(".per_seconds: must be between 1"),
            ],
        ),
        (
            "[{by: client_ip, requests: 1, per_seconds: 1, burst: 0, keys: 7}]",
            vec![
                at(".burst: must be between 1"),
                at(".keys: must be between 1024"),
            ],
        ),
        (
            "[{by: client_ip, requests: 1, per_seconds: 86400, burst: 32}]",
            vec![at(".burst: is more than")],
        ),
        (
            "[{by: client_ip, requests: 1, per_seconds: 1, extra: 1}]",
            vec![at(".extra: unknown key")],
        ),
        (
            "[{by: route, requests: 1, per_seconds: 1, keys: 2048}]",
            vec![at(".keys: says nothing")],
        ),
        (
            "[{by: {claim: \'\'}, requests: 1, per_seconds: 1}]",
            vec![at(".by.claim: name a claim"), at(": counts by who calls")],
        ),
        (
            "[{by: principal, requests: 1, per_seconds: 1}]",
            vec![at(": counts by who calls")],
        ),
        (
            "[{by: route, name: a b, requests: 1, per_seconds: 1}]",
            vec![at(".name: a name has 1 to 64")],
        ),
        ("[gone]", vec![at(": `gone` is not under `rate_limits`")]),
        (
            "[all, all]",
            vec!["routes[2].rate_limits[1]: another limit of this route is called `all`".into()],
        ),
        ("[7]", vec![at("")]),
    ] {
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        folder.expect(&with(&format!("rate_limits: {limits}"), SHARED), &expected);
    }
    folder.expect(
        &with(
            "rate_limits: [all]",
            "rate_limits: {all: {by: route, name: all, requests: 10, per_seconds: 1}}",
        ),
        &["rate_limits.all.name: says nothing here"],
    );
    let pools = GOOD.replace(
        "serve: pools}",
        "serve: pools, rate_limits: [{by: principal, requests: 1, per_seconds: 1}]}",
    );
    folder.expect(&pools, &["routes[0].rate_limits[0]: counts by who calls"]);
    assert!(
        folder
            .load(&pools.replace("by: principal", "by: client_ip"))
            .is_ok()
    );
}

#[test]
fn cors_is_resolved() {
    let folder = Folder::new();
    let cors = |text: &str| {
        let settings = folder
            .load(&guarded(&format!("cors: {text}"), ""))
            .map_err(|problems| problems.to_string())
            .unwrap();
        settings.routes[1].cors.clone().unwrap()
    };
    assert_eq!(cors("pass"), Cors::Pass);
    let Cors::Answer(rules) = cors("{origins: [\'*\'], headers: [\'*\'], expose: [\'*\']}") else {
        panic!("passed on")
    };
    assert_eq!(
        (&rules.origins, &rules.headers, &rules.expose),
        (&Origins::Any, &Allowed::Any, &Allowed::Any)
    );
    assert_eq!(rules.methods, [http::Method::GET], "those of the route");
    assert!(!rules.credentials && rules.max_age_seconds.is_none());
}

#[test]
fn cors_must_make_sense() {
    let folder = Folder::new();
    let at = |rest: &str| format!("routes[1].cors{rest}");
    for (cors, expected) in [
        ("off", vec![at("")]),
        ("{origins: []}", vec![at(".origins: name at least one")]),
        ("{methods: [GET]}", vec![at(": `origins` is missing")]),
        (
            "{origins: [https://a.test/]}",
            vec![at(
                ".origins[0]: browsers write this origin `https://a.test`",
            )],
        ),
        (
            "{origins: [a.test]}",
            vec![at(".origins[0]: is not an origin")],
        ),
        (
            "{origins: [\'https://*.test\']}",
            vec![at(".origins[0]: `*` stands for one label")],
        ),
        (
            "{origins: [\'*\', https://a.test]}",
            vec![at(".origins[0]: `*` allows every origin")],
        ),
        (
            "{origins: [https://a.test, https://a.test]}",
            vec![at(".origins[1]: `https://a.test` is there twice")],
        ),
        (
            "{origins: [\'*\'], credentials: true}",
            vec![at(
                ".origins[0]: `*` stands for pages that anybody can make",
            )],
        ),
        (
            "{origins: [\'null\'], credentials: true}",
            vec![at(
                ".origins[0]: `null` stands for pages that anybody can make",
            )],
        ),
        (
            "{origins: [https://a.test], credentials: true, expose: [\'*\']}",
            vec![at(".expose: browsers take `*`")],
        ),
        (
            "{origins: [https://a.test], methods: [PUT, \'a b\']}",
            vec![
                at(".methods[0]: `PUT` is not under `match.methods`"),
                at(".methods[1]: `a b` is not a method"),
            ],
        ),
        (
            "{origins: [https://a.test], headers: [a b, x-a, X-A, \'*\']}",
            vec![
                at(".headers[0]: is not a header name"),
                at(".headers[2]: `x-a` is there twice"),
                at(".headers[3]: `*` allows every header"),
            ],
        ),
        (
            "{origins: [https://a.test], max_age_seconds: 86401}",
            vec![at(".max_age_seconds: must be 86400")],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        folder.expect(&guarded(&format!("cors: {cors}"), ""), &expected);
    }
    let pools = GOOD.replace("serve: pools}", "serve: pools, cors: pass}");
    folder.expect(&pools, &["routes[0].cors: says nothing beside `serve`"]);
}
