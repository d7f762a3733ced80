//! What each section of the settings is checked for.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{Folder, GOOD};
use crate::{AccessFormat, Decisions, Output};

#[test]
fn routes_must_make_sense() {
    let with = |route: &str| {
        GOOD.replace(
            "  - name: open\n",
            &format!("  - {route}\n  - name: open\n"),
        )
    };
    let folder = Folder::new();
    for (route, expected) in [
        (
            "{match: {host: x.test}}",
            &[
                "routes[2].authenticate: is left",
                "routes[2].authorize: is left",
                "routes[2].upstream: is left",
            ][..],
        ),
        (
            "{match: {host: x.test}, authenticate: none, authorize: authenticated, upstream: {to: app}}",
            &["routes[2].authorize: nobody proves"],
        ),
        (
            "{match: {host: x.test, methods: [GET]}, authenticate: none, authorize: {policies: pets}, upstream: {to: app}}",
            &["routes[2].authorize: policies decide about callers, and nobody proves"],
        ),
        (
            "{match: {host: x.test}, serve: pools, authenticate: none, upstream: {to: app}}",
            &[
                "routes[2].authenticate: says nothing beside `serve`",
                "routes[2].upstream: says nothing beside `serve`",
            ],
        ),
        (
            "{match: {host: www.example.com}, serve: pools}",
            &["routes[3].match"],
        ),
        (
            "{name: open, match: {host: x.test}, serve: pools}",
            &["routes[3].name"],
        ),
        (
            "{match: {host: x.test, path: pets}, serve: pools}",
            &["routes[2].match.path"],
        ),
        (
            "{match: {host: x.test}, authenticate: none, authorize: none, upstream: {to: app, headers: {x-user: '{claims.sub}', Host: x}}}",
            &[
                "routes[2].upstream.headers.x-user: there is no token",
                "routes[2].upstream.headers.Host: is a header that the gate",
            ],
        ),
        (
            "{match: {host: x.test, methods: [GET]}, authenticate: {bearer: {issuers: [okta], token_use: [id], claims: {a: []}}}, authorize: {policies: gone, headers: [authorization]}, upstream: {to: app}}",
            &[
                "routes[2].authenticate.bearer.token_use: says nothing",
                "routes[2].authenticate.bearer.claims.a: name at least one",
                "routes[2].authorize.policies: `gone`",
                "routes[2].authorize.headers[0]: holds credentials",
            ],
        ),
        (
            "{match: {host: x.test}, serve: pools, admit: {allow: [semicolon]}, body_bytes: 1}",
            &[
                "routes[2].admit: says nothing beside `serve`",
                "routes[2].body_bytes: says nothing beside `serve`",
            ],
        ),
        (
            "{match: {host: x.test, methods: [GET, TRACE, CONNECT]}, authenticate: none, authorize: none, upstream: {to: app}}",
            &[
                "routes[2].match.methods[1]: `TRACE` is always refused",
                "routes[2].match.methods[2]: `CONNECT` is always refused",
            ],
        ),
        (
            "{match: {host: x.test}, authenticate: none, authorize: none, upstream: {to: app}, admit: {allow: [semicolon, dots, semicolon]}}",
            &[
                "routes[2].admit.allow[1]: ",
                "routes[2].admit.allow[2]: `semicolon` is there twice",
            ],
        ),
        (
            "{match: {host: x.test}, authenticate: {bearer: {issuers: []}}, authorize: none, upstream: {to: app}}",
            &["routes[2].authenticate.bearer.issuers: name at least one"],
        ),
    ] {
        folder.expect(&with(route), expected);
    }
}

#[test]
fn upstreams_must_make_sense() {
    let folder = Folder::new();
    for (upstream, expected) in [
        ("{servers: []}", "upstreams.app.servers: name at least one"),
        (
            "{servers: [https://10.0.0.1]}",
            "upstreams.app.servers[0]: https needs a host name",
        ),
        (
            "{servers: [http://a.test/path]}",
            "upstreams.app.servers[0]: is more than",
        ),
        (
            "{servers: ['http://u:p@a.test']}",
            "upstreams.app.servers[0]: is more than",
        ),
        (
            "{servers: [http://a.test, http://A.test:80]}",
            "upstreams.app.servers[1]: `http://a.test:80` is there twice",
        ),
        (
            "{servers: [a.test]}",
            "upstreams.app.servers[0]: is not a URL",
        ),
        (
            "{servers: [http://a.test], health: healthz}",
            "upstreams.app.health: must be a path",
        ),
        (
            "{servers: [http://a.test], health: {path: /a b, fall: 1}}",
            "upstreams.app.health.path: must be a path",
        ),
        (
            "{servers: [http://a.test], health: {path: /a, fall: 0}}",
            "upstreams.app.health.fall: must be between 1 and 100",
        ),
        (
            "{servers: [unix:app.sock]}",
            "upstreams.app.servers[0]: is not a socket's absolute path",
        ),
        (
            "{servers: [http://a.test], tls: {name: a.test}}",
            "upstreams.app.tls: says nothing",
        ),
        (
            "{servers: [https://a.test], tls: {ca: tls/none.pem}}",
            "upstreams.app.tls.ca: ",
        ),
        (
            "{servers: [http://a.test], balance: {hash: {cookie: 'a b'}}}",
            "upstreams.app.balance.hash.cookie: is not a cookie's name",
        ),
        (
            "{servers: [http://a.test], balance: {hash: path}, slow_start_seconds: 9}",
            "upstreams.app.slow_start_seconds: says nothing",
        ),
        (
            "{servers: [http://a.test], limits: {connections: 0}}",
            "upstreams.app.limits.connections: must be 1 or more",
        ),
        (
            "{servers: [http://a.test], limits: {pending: 9}}",
            "upstreams.app.limits.pending: says nothing without",
        ),
        (
            "{servers: [http://a.test], eject: {statuses: [200]}}",
            "upstreams.app.eject.statuses[0]: must be a status",
        ),
    ] {
        let good =
            "{servers: [http://127.0.0.1:9000, \"http://[::1]:9000\", https://app.internal]}";
        folder.expect(&GOOD.replace(good, upstream), &[expected]);
    }
}

#[test]
fn listeners_must_make_sense() {
    let folder = Folder::new();
    folder.write("tls/broken.crt", "nothing");
    folder.write("tls/torn.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    folder.certificate("tls/b");
    for (from, to, expected) in [
        (
            "127.0.0.1:9901",
            "0.0.0.0:8443",
            "admin.address: `0.0.0.0:8443` is taken",
        ),
        (
            "tls/a.crt",
            "tls/b.crt",
            "listeners[1].tls.certificates[0]: certificate and key cannot be used together",
        ),
        (
            "tls/a.crt",
            "tls/broken.crt",
            "listeners[1].tls.certificates[0].cert: `/tmp/x/tls/broken.crt` holds no PEM certificate",
        ),
        (
            "{address: 127.0.0.1:0}",
            "{address: 127.0.0.1:0, proxy_protocol: {from: []}}",
            "listeners[0].proxy_protocol.from: name at least one load balancer",
        ),
        (
            "{address: 127.0.0.1:0}",
            "{address: 127.0.0.1:0, proxy_protocol: {from: [balancer]}}",
            "listeners[0].proxy_protocol.from[0]: `balancer` is not a network",
        ),
        (
            "tls/a.crt",
            "tls/torn.crt",
            "listeners[1].tls.certificates[0].cert: `/tmp/x/tls/torn.crt` is not whole PEM",
        ),
        (
            "tls/a.key",
            "tls/gone.key",
            "listeners[1].tls.certificates[0].key: `/tmp/x/tls/gone.key` cannot be read: No such file",
        ),
        (
            "tls/a.key",
            "tls/a.crt",
            "listeners[1].tls.certificates[0].key: `/tmp/x/tls/a.crt` holds no PEM private key",
        ),
        (
            "[{cert: tls/a.crt, key: tls/a.key}]",
            "[]",
            "listeners[1].tls.certificates: name at least one",
        ),
    ] {
        let dir = folder.0.path().display().to_string();
        let expected = expected.replace("/tmp/x", &dir);
        folder.expect(&GOOD.replace(from, to), &[&expected]);
    }
}

/// The TLS listener of [`GOOD`], asking for certificates as said.
fn asking(clients: &str) -> String {
    let tls = "key: tls/a.key}]";
    GOOD.replace(tls, &format!("{tls}, client_certificates: {clients}"))
}

#[test]
fn authorities_of_callers_must_be_there() {
    let folder = Folder::new();
    let tls = "listeners[1].tls.client_certificates";
    folder.write("tls/broken.crt", "nothing");
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    folder.write("tls/odd.crt", odd);
    let list = odd.replace("CERTIFICATE", "X509 CRL");
    folder.write("tls/odd.crl", &list);
    let dir = folder.0.path().display().to_string();
    for (clients, expected) in [
        ("{ca: []}", "ca: name at least one file of authorities"),
        (
            "{ca: [tls/a.crt, tls/gone.crt]}",
            "ca[1]: `@/tls/gone.crt` cannot be read: No such file",
        ),
        (
            "{ca: [tls/broken.crt]}",
            "ca[0]: `@/tls/broken.crt` holds no PEM certificate",
        ),
        (
            "{ca: [tls/odd.crt]}",
            "ca[0]: `@/tls/odd.crt` holds no authority: ",
        ),
        (
            "{ca: [tls/a.crt], crl: [tls/a.crt]}",
            "crl[0]: `@/tls/a.crt` holds no PEM revocation list",
        ),
        (
            "{ca: [tls/a.crt], crl: [tls/odd.crl]}",
            "crl[0]: `@/tls/odd.crl` is no revocation list: ",
        ),
        ("{ca: [tls/a.crt], mode: maybe}", "mode: "),
    ] {
        let expected = format!("{tls}.{}", expected.replace('@', &dir));
        folder.expect(&asking(clients), &[&expected]);
    }
    let good = folder.load(&asking("{ca: [tls/a.crt], mode: optional}"));
    let settings = good.map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(
        settings
            .files
            .iter()
            .filter(|it| it.ends_with("tls/a.crt"))
            .count(),
        2,
        "it is followed"
    );
    let tls = settings.listeners[1].tls.as_ref().unwrap();
    let verifier = tls.client_certificates.as_ref().unwrap().verifier();
    assert!(!verifier.unwrap().client_auth_mandatory());
}

#[test]
fn headers_of_certificates_need_a_listener_that_asks() {
    let folder = Folder::new();
    let told = |settings: &str| {
        settings.replace(
            "    upstream: {to: app}\n",
            "    upstream: {to: app, headers: {x-caller: '{certificate.subject}'}}\n",
        )
    };
    let place = "routes[2].upstream.headers.x-caller: no listener asks for certificates";
    folder.expect(&told(GOOD), &[place]);
    assert!(folder.load(&told(&asking("{ca: [tls/a.crt]}"))).is_ok());
    // Whatever is wrong with it, one asks.
    let wrong = folder.problems(&told(&asking("{ca: 7}")));
    assert!(
        wrong.len() == 1 && wrong[0].contains("client_certificates.ca"),
        "{wrong:#?}"
    );
}

#[test]
fn a_torn_key_is_not_shown() {
    let folder = Folder::new();
    folder.write("tls/torn.key", "-----BEGIN hunter2\n");
    let found = folder.problems(&GOOD.replace("tls/a.key", "tls/torn.key"));
    let bytes = format!("{:?}", b"hunter2");
    assert!(
        found[0].ends_with("torn.key` is not whole PEM")
            && !found[0].contains(bytes.trim_matches(['[', ']'])),
        "{found:#?}"
    );
}

#[test]
fn addresses_are_told_with_their_form() {
    let folder = Folder::new();
    for (from, to, expected) in [
        (
            "{address: 127.0.0.1:0}",
            "{address: localhost:80}",
            "listeners[0].address: `localhost:80` is not an IP address with a port, as `127.0.0.1:8080` or `[::1]:8080`",
        ),
        (
            "127.0.0.1:9901",
            "9901",
            "admin.address: `9901` is not an IP address with a port",
        ),
        (
            "127.0.0.1:9901",
            "[]",
            "admin.address: expected an IP address with a port, as `127.0.0.1:8080` or `[::1]:8080`, found a list",
        ),
        (
            "admin:",
            "trusted_peers: [10.0.0.0/8, 10.0.0.0/33]\nadmin:",
            "trusted_peers[1]: `10.0.0.0/33` is not a network as `10.0.0.0/8` or `fd00::/8`; one peer alone is `10.0.0.7/32`",
        ),
        // What is longer than any address may be anything.
        (
            "127.0.0.1:9901",
            "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz",
            "admin.address: is not an IP address with a port",
        ),
    ] {
        folder.expect(&GOOD.replace(from, to), &[expected]);
    }
}

#[test]
fn a_log_level_is_one() {
    let folder = Folder::new();
    for level in ["loud=per=day", "warning", "info,portcullis=loud", "["] {
        let expected = format!("log.level: `{level}` is not");
        folder.expect(
            &format!("{GOOD}\nlog: {{level: '{level}'}}\n"),
            &[&expected],
        );
    }
    for level in [
        "info",
        "WARN",
        "off",
        "portcullis=debug",
        "info,pingora_core=warn",
        "portcullis[{a=1}]=trace",
    ] {
        let loaded = folder.load(&format!("{GOOD}\nlog: {{level: '{level}'}}\n"));
        assert!(loaded.is_ok(), "{level}");
    }
}

#[test]
fn each_log_has_a_place_of_its_own() {
    let folder = Folder::new();
    for (log, expected) in [
        (
            "{decisions: a, access: {file: a}, file: a}",
            &[
                "log.access.file: another log has this file",
                "log.file: another log has this file",
            ][..],
        ),
        (
            "{access: {file: gone/a}}",
            &["log.access.file: the folder of `"],
        ),
        (
            "{access: {format: json}}",
            &["log.access: `file` is missing"],
        ),
        (
            "{access: {file: none}}",
            &["log.access.file: leave `log.access` out"],
        ),
        (
            "{access: {file: a, format: ncsa}}",
            &["log.access.format: expected `json` or `common`"],
        ),
        ("{access: a}", &["log.access: "]),
    ] {
        folder.expect(&format!("{GOOD}\nlog: {log}\n"), expected);
    }
    let log = |log: &str| {
        let loaded = folder.load(&format!("{GOOD}\nlog: {log}\n"));
        loaded.unwrap_or_else(|found| panic!("{found}")).log
    };
    let file = |name: &str| Output::File(folder.0.path().join(name));
    let off = log("{}");
    assert_eq!(off.decisions, Decisions::To(Output::Stdout));
    assert_eq!(off.access, None);
    let json = log("{decisions: none, access: {file: stdout}}");
    assert_eq!(json.decisions, Decisions::Nowhere);
    let access = json.access.unwrap();
    assert_eq!(access.file, Output::Stdout);
    assert_eq!(access.format, AccessFormat::Json);
    let combined = log("{decisions: stdout, access: {file: a, format: combined}}");
    assert_eq!(combined.decisions, Decisions::To(Output::Stdout));
    let access = combined.access.unwrap();
    assert_eq!(access.file, file("a"));
    assert_eq!(access.format, AccessFormat::Combined);
    assert_eq!(log("{decisions: b}").decisions, Decisions::To(file("b")));
}

#[test]
fn a_default_action_needs_methods() {
    let expected = "routes[1].authorize.action: is left out, and so are `match.methods`";
    let folder = Folder::new();
    folder.expect(&GOOD.replace(", methods: [GET]", ""), &[expected]);
    folder.expect(
        &GOOD.replace("methods: [GET]", "methods: GET"),
        &["routes[1].match.methods: expected a list"],
    );
    let named = GOOD
        .replace(", methods: [GET]", "")
        .replace("{policies: pets,", "{policies: pets, action: get,");
    assert!(folder.load(&named).is_ok());
}

#[test]
fn secrets_must_be_there_and_private() {
    let folder = Folder::new();
    folder.write("short.key", "abcd");
    folder.write("empty.key", "\n");
    folder.write("open.key", &"cd".repeat(32));
    let open = folder.0.path().join("open.key");
    fs::set_permissions(open, fs::Permissions::from_mode(0o644)).unwrap();
    for (to, expected) in [
        ("{file: gone.key}", "pools.seal.file: `"),
        (
            "{file: short.key}",
            "pools.seal: is not 64 hexadecimal digits",
        ),
        ("{file: empty.key}", "pools.seal.file: `"),
        ("{file: open.key}", "pools.seal.file: every user may open"),
        (
            "{env: PORTCULLIS_SURELY_NOT_SET}",
            "pools.seal.env: the environment variable `PORTCULLIS_SURELY_NOT_SET` is not set",
        ),
        (
            "{file: seal.key}\n  seal_previous: [{file: seal.key}]",
            "pools.seal_previous[0]: is the same key",
        ),
    ] {
        folder.expect(&GOOD.replace("{file: seal.key}", to), &[expected]);
    }
}

#[test]
fn pools_must_make_sense() {
    let folder = Folder::new();
    for (from, to, expected) in [
        (
            "sqlite:pools.db",
            "sqlite:gone/pools.db",
            "pools.store: the folder of",
        ),
        (
            "sqlite:pools.db",
            "postgres://u:hunter2@db/p",
            "pools.store: holds a password",
        ),
        (
            "sqlite:pools.db",
            "mysql://db/p",
            "pools.store: must start with",
        ),
        (
            "https://auth.example.com\n",
            "https://auth.example.com?x\n",
            "pools.public_url: `https://auth.example.com/?x` must be as `https://auth.example.com`, without `?` and `#`",
        ),
        (
            "https://auth.example.com\n",
            "auth\n",
            "pools.public_url: `auth` is not a URL as `https://auth.example.com`",
        ),
        (
            "https://auth.example.com\n",
            "user:hunter2@auth.example.com\n",
            "pools.public_url: must be as",
        ),
        (
            "https://auth.example.com\n",
            "//user:hunter2@auth.example.com\n",
            "pools.public_url: is not a URL as `https://auth.example.com`",
        ),
        (
            "https://auth.example.com\n",
            "https://user:hunter2@auth.example.com?x\n",
            "pools.public_url: must not hold a user or password",
        ),
        (
            "account: 012345678901",
            "account: 12",
            "pools.account: `12` is not an AWS account id of 12 digits, as `123456789012`",
        ),
        (
            "account: 012345678901",
            "account: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "pools.account: is not an AWS account id of 12 digits, as `123456789012`",
        ),
        (
            "account: 012345678901",
            "region: us_east_1",
            "pools.region: `us_east_1` is not a region of letters, digits and `-`, as `us-east-1`",
        ),
        (
            "pools: [\"*\"]",
            "pools: [all]",
            "pools.operators[0].pools[0]: `all` is not a pool id",
        ),
        (
            "id: us-east-1_Staff0001",
            "id: Staff",
            "pools.declare[0].id: `Staff` is not a pool id",
        ),
        (
            "{id: web,",
            "{id: web}, {id: web,",
            "pools.declare[0].clients[1].id: `web` is there twice",
        ),
        (
            "[USER_SRP_AUTH]",
            "[SRP]",
            "pools.declare[0].clients[0].flows[0]: `SRP` is not a flow; there are: ADMIN",
        ),
        (
            "groups: [readers]",
            "groups: [readers, 'a b']",
            "pools.declare[0].groups[1]: `a b` is not a group name",
        ),
        (
            "groups: [readers]",
            "auto_verified_attributes: [name]",
            "pools.declare[0].auto_verified_attributes[0]: `name` cannot be verified",
        ),
        (
            "groups: [readers]",
            "groups: [readers, readers]",
            "pools.declare[0].groups[1]: `readers` is there twice",
        ),
    ] {
        folder.expect(&GOOD.replace(from, to), &[expected]);
    }
}

#[test]
fn declarations_are_told_where_they_are_written() {
    Folder::new().expect(
        &GOOD
            .replace("declare: [{", "declare: [7, {")
            .replace("clients: [{", "clients: [[], {id: [1]}, {id: w-b}, {"),
        &[
            "pools.declare[0]: expected a mapping",
            "pools.declare[1].clients[0]: expected a mapping",
            "pools.declare[1].clients[1].id: expected a string",
            "pools.declare[1].clients[2].id: `w-b` is not a client id",
        ],
    );
}

#[test]
fn limits_leave_something() {
    let folder = Folder::new();
    for (limit, expected) in [
        ("connections: 0", "limits.connections: must be 1 or more"),
        (
            "connections_per_client: 0",
            "limits.connections_per_client: must be 1 or more",
        ),
        (
            "body_idle_seconds: 0",
            "limits.body_idle_seconds: must be between 1 and 3600",
        ),
        (
            "drain_seconds: 3601",
            "limits.drain_seconds: must be between 0 and 3600",
        ),
        ("requests: 0", "limits.requests: must be 1 or more"),
        (
            "requests_per_client: 0",
            "limits.requests_per_client: must be 1 or more",
        ),
        (
            "requests_per_connection: 0",
            "limits.requests_per_connection: must be between 1",
        ),
        (
            "header_fields: 251",
            "limits.header_fields: must be between 8 and 250",
        ),
        (
            "header_bytes: 1048577",
            "limits.header_bytes: must be between",
        ),
        (
            "header_seconds: 0",
            "limits.header_seconds: must be between 1",
        ),
        (
            "target_bytes: 65537",
            "limits.target_bytes: is more than `header_bytes`",
        ),
        ("http2_streams: 0", "limits.http2_streams: must be between"),
        ("http2_resets: 0", "limits.http2_resets: must be between"),
        ("drain: 1", "limits.drain: unknown key"),
    ] {
        folder.expect(&format!("{GOOD}\nlimits: {{{limit}}}\n"), &[expected]);
    }
}
