use super::super::fixture::{make, texts};

const PERMIT: &str = "@id(\"a\") permit(principal, action, resource);";

/// A route with this match; open ones ask nobody.
fn route(name: &str, matches: &str, to: &str, open: bool) -> String {
    let (authenticate, authorize) = if open {
        ("none", "none")
    } else {
        ("{bearer: {issuers: [one]}}", "authenticated")
    };
    format!(
        "  - {{name: {name}, match: {{{matches}}}, authenticate: {authenticate}, authorize: {authorize}, upstream: {{to: {to}}}}}\n"
    )
}

fn warnings(routes: &[String]) -> Vec<String> {
    let made = make(&routes.concat(), PERMIT, None);
    texts(&made.unwrap_or_else(|found| panic!("{found:?}")).warnings)
}

#[test]
fn an_open_route_to_the_same_servers_by_another_spelling_is_told() {
    for (protected, open, to, said) in [
        (
            "host: api.test, path: /pets",
            "",
            "app",
            "`GET any.example/pets` goes to `open`, which asks nobody, and to the same servers: if they take it whatever the host",
        ),
        (
            "host: api.test, path: /pets",
            "host: '*.test', path: '/{x*}'",
            "same",
            "`GET any.test/pets` goes to",
        ),
        (
            "host: api.test, path: '/pets/{id}'",
            "host: www.test",
            "app",
            "`GET www.test/pets/any-Segment` goes to",
        ),
        (
            "path: /pets, methods: [PUT, GET]",
            "path: '/{x*}', methods: [GET]",
            "app",
            "`GET any.example/pets/` goes to `open`, which asks nobody, and to the same servers: if they take it for `/pets`",
        ),
        (
            "path: '/admin/{x*}'",
            "",
            "app",
            "`GET any.example/ADMIN/ANY-SEGMENT` goes to",
        ),
        (
            "path: /Admin/",
            "path: '/{x}/'",
            "app",
            "`GET any.example/ADMIN/` goes to",
        ),
    ] {
        let found = warnings(&[
            route("protected", protected, "app", false),
            route("open", open, to, true),
        ]);
        assert_eq!(found.len(), 1, "{protected} {open}: {found:#?}");
        assert!(
            found[0].starts_with(&format!("routes[0].match: {said}")),
            "{found:#?}"
        );
    }
}

#[test]
fn an_open_route_that_leads_to_a_protected_path_is_told() {
    let led = |text: &str, to: &str| text.replace("to: app", &format!("to: app, path: '{to}'"));
    let protected = route("protected", "path: '/admin/{x*}'", "app", false);
    let open = route("open", "path: '/api/{rest*}'", "app", true);
    let found = warnings(&[protected.clone(), led(&open, "/{rest*}")]);
    assert_eq!(found.len(), 1, "{found:#?}");
    let said = "routes[0].match: `open`, which asks nobody, leads to `/{rest*}` of the same servers, and so to `/admin/any-Segment`";
    assert!(found[0].starts_with(said), "{found:#?}");
    assert_eq!(
        warnings(&[protected.clone(), led(&open, "/pub/{rest*}")]),
        [""; 0]
    );
    // And the other way about: what is protected leads to what the open one takes.
    let open = route("open", "path: '/v2/{rest*}'", "app", true);
    assert_eq!(warnings(&[protected.clone(), open.clone()]), [""; 0]);
    let found = warnings(&[led(&protected, "/v2/{x*}"), open]);
    assert!(
        found[0].contains("`GET any.example/v2/any-Segment` goes to `open`"),
        "{found:#?}"
    );
}

#[test]
fn what_is_apart_is_not_told() {
    for (protected, open, to) in [
        ("host: api.test, path: /pets", "", "other"),
        ("path: /pets", "path: /healthz", "app"),
        ("path: '/pets/{id}'", "path: /pets/public", "app"),
        (
            "host: api.test, path: /pets, methods: [PUT]",
            "path: /pets, methods: [GET]",
            "app",
        ),
        ("", "path: /open", "app"),
    ] {
        let found = warnings(&[
            route("protected", protected, "app", false),
            route("open", open, to, true),
        ]);
        assert_eq!(found, [""; 0], "{protected} {open}");
    }
}
