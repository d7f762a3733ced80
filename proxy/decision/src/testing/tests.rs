use std::path::PathBuf;

use super::test;
use crate::{Config, check};

const SCHEMA: &str = r#"
entity Group;
entity User in [Group] = { email?: String };
entity Application;
type Ctx = { token?: { scope: Set<String> }, time: datetime, clientIp: ipaddr, certificate?: { uris: Set<String> }, headers: { "x-tenant"?: String } };
action "get /pets/{petId}", "get /pets/mine" appliesTo { principal: User, resource: Application, context: Ctx };
action "put /pets/{petId}", "delete /pets/{petId}", "get /keys" appliesTo { principal: User, resource: Application, context: Ctx };
"#;

const POLICIES: &str = r#"
@id("readers") permit(principal in Group::"pool|readers", action == Action::"get /pets/{petId}", resource);
@id("mine") permit(principal, action == Action::"get /pets/mine", resource) when { principal has email };
@id("hours") permit(principal, action == Action::"put /pets/{petId}", resource) when { context.time < datetime("2026-01-02") };
@id("home") permit(principal, action == Action::"delete /pets/{petId}", resource) when { context.clientIp.isLoopback() || context.headers has "x-tenant" };
@id("shown") permit(principal, action == Action::"get /keys", resource) when { context has certificate && context.certificate.uris.contains("spiffe://a/b") };
"#;

fn directory(tests: &str) -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("x.cedarschema", SCHEMA),
        ("x.cedar", POLICIES),
        ("x.yaml", tests),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let config = Config::infer(dir.path()).unwrap();
    (dir, config)
}

/// Failures and problems, each with its line.
fn failures(tests: &str) -> Vec<String> {
    let (_dir, config) = directory(tests);
    let tested = test(&config).unwrap();
    let problems = tested
        .problems
        .iter()
        .map(|problem| format!("{} {}", problem.line.unwrap_or_default(), problem.message));
    let failed = tested
        .tests
        .iter()
        .filter_map(|test| Some(format!("{} {}", test.line, test.failure.as_ref()?)));
    let all: Vec<_> = problems.chain(failed).collect();
    assert_eq!(tested.passed(), all.is_empty());
    all
}

#[test]
fn tests_that_hold_pass() {
    let tests = "
prefix: pool
tests:
  - name: a reader gets a pet
    claims: {sub: u1, 'cognito:groups': [readers], scope: a b}
    request: GET /pets/1
    expect: allow
    by: [readers]
  - {name: others do not, claims: {sub: u1, scope: ''}, request: GET /pets/1, expect: deny, by: [], code: no_permit}
  - {name: the literal wins, claims: {sub: u1, email: a@x}, token_use: id, request: GET /pets/mine, expect: allow, by: [mine]}
  - {name: early, claims: {sub: u1, scope: a}, request: PUT /pets/1, time: 2026-01-01T12:00:00Z, expect: allow}
  - {name: late, claims: {sub: u1, scope: a}, request: PUT /pets/1, time: 2026-01-02T12:00:00+01:00, expect: deny}
  - {name: home, claims: {sub: u1, scope: a}, request: DELETE /pets/1, client_ip: '::1', expect: allow}
  - {name: tenant, claims: {sub: u1, scope: a}, request: DELETE /pets/1, client_ip: 192.0.2.1, headers: {X-Tenant: a}, expect: allow}
  - {name: shown, claims: {sub: u1, scope: a}, request: GET /keys, certificate: {uris: ['spiffe://a/b']}, expect: allow, by: [shown]}
  - {name: another, claims: {sub: u1, scope: a}, request: GET /keys, certificate: {dns: [a]}, expect: deny}
  - {name: unshown, claims: {sub: u1, scope: a}, request: GET /keys, expect: deny}
";
    assert_eq!(failures(tests), Vec::<String>::new());
}

#[test]
fn a_list_of_tests_and_routes_of_its_own_are_read() {
    let list = "# A comment.\n- {name: a, claims: {sub: u1, scope: ''}, request: GET /pets/1, expect: deny}\n";
    assert_eq!(failures(list), Vec::<String>::new());
    let routes = "
prefix: pool
routes: [{match: 'GET /v1/{kind}/{id}', action: 'get /pets/{petId}', resource: 'Application::\"{kind}\"'}]
tests:
  - {name: a, claims: {sub: u1, scope: '', 'cognito:groups': [readers]}, request: GET /v1/pets/1, expect: allow, by: [readers]}
";
    assert_eq!(failures(routes), Vec::<String>::new());
}

#[test]
fn tests_that_do_not_hold_fail() {
    let tests = "
tests:
  - {name: a, claims: {sub: u1, scope: ''}, request: GET /pets/1, expect: allow}
  - {name: b, claims: {sub: u1, email: x}, token_use: id, request: GET /pets/mine, expect: allow, by: [readers]}
  - {name: c, claims: {sub: u1, email: x}, token_use: id, request: GET /pets/mine, expect: allow, by: [nope]}
  - {name: d, claims: {sub: u1, scope: ''}, request: PUT /pets/1, expect: deny}
  - {name: e, claims: {sub: u1, scope: ''}, request: PUT /pets/1, time: noon, expect: deny}
  - {name: f, claims: {sub: u1, scope: ''}, request: DELETE /pets/1, expect: deny}
  - {name: g, claims: {sub: u1, scope: ''}, request: GET /cats/1, expect: deny}
  - {name: h, claims: {scope: ''}, request: GET /pets/1, expect: deny}
  - {name: i, claims: {sub: u1, scope: ''}, request: /pets/1, expect: deny}
  - {name: j, claims: {sub: u1, scope: 7}, request: GET /pets/1, expect: deny, code: no_permit}
";
    let expected = [
        "3 it is deny (no_permit)",
        "4 other policies determine it: it is allow (permitted) by mine",
        "5 there is no policy `nope`",
        "6 the policies read the time, so the test must say `time`",
        "7 time `noon` is not of the form `2026-01-01T12:00:00Z`",
        "8 the policies read the caller's address, so the test must say `client_ip`",
        "9 no route takes `GET /cats/1`",
        "10 the claims have no `sub` that is a string",
        "11 `/pets/1` is not a method, a space and a path",
        "12 the code is another one: it is deny (claims_invalid): claim `scope` has another type than in the schema",
    ];
    assert_eq!(failures(tests), expected);
}

#[test]
fn what_is_wrong_with_test_files_is_reported() {
    let tests = "
tests:
  - {name: a, claim: {sub: u1}, request: GET /pets/1, expect: allow}
  - {name: b, claims: {sub: u1}, request: GET /pets/1, expect: maybe}
  - {name: c, claims: {sub: u1}, request: GET /keys, certificate: {uri: a}, expect: deny}
";
    let found = failures(tests);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[2].starts_with("5 test `c`: unknown field `uri`"),
        "{found:#?}"
    );
    assert!(
        found[0].starts_with("3 test `a`: unknown field `claim`")
            && found[1].starts_with("4 test `b`: unknown variant `maybe`")
    );
    assert!(failures("test: []")[0].contains("unknown field"));
    assert!(failures("tests: [")[0].starts_with('1'));
    assert!(failures("[]")[0].contains("no tests"));
}

#[test]
fn results_are_readable() {
    let (_dir, config) = directory(
        "- {name: a, claims: {sub: u1, scope: ''}, request: GET /pets/1, expect: allow}\n",
    );
    let text = test(&config).unwrap().to_string();
    assert!(
        text.ends_with("x.yaml:1: test `a` failed: it is deny (no_permit)\n0 passed, 1 failed"),
        "{text}"
    );
    let checked = check(&Config {
        path: PathBuf::from(&config.path),
        ..config
    })
    .unwrap()
    .to_string();
    assert!(
        checked.ends_with(": 5 policies for 5 actions, no problems"),
        "{checked}"
    );
}

#[test]
fn the_pet_store_holds() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../policies/petstore");
    let config = Config::infer(&path).unwrap();
    assert_eq!(
        (&*config.principal, config.group.as_deref()),
        ("PetStore::User", Some("PetStore::UserGroup"))
    );
    assert!(check(&config).unwrap().warnings.is_empty());
    let tested = test(&config).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(tested.passed(), "{tested}");
}
