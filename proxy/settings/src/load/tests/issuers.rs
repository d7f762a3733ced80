//! Issuers: complete, and no two the same.

use super::{Folder, GOOD};
use crate::{Issuer, TokenPlace};

#[test]
fn issuers_must_make_sense() {
    let with = |issuer: &str| GOOD.replace("issuers:\n", &format!("issuers:\n  new: {issuer}\n"));
    let folder = Folder::new();
    for (issuer, expected) in [
        (
            "{}",
            &[
                "issuers.new.kind: is missing",
                "issuers.new.issuer: is missing",
            ][..],
        ),
        (
            "{embedded: nobody, kind: cognito, clients: [a]}",
            &[
                "issuers.new.embedded: `nobody` is not a pool id",
                "issuers.new.kind: says nothing",
                "issuers.new.clients: says nothing",
            ],
        ),
        (
            "{embedded: us-east-1_Staff0001}",
            &["issuers.staff: is the same issuer as `new`"],
        ),
        (
            "{kind: cognito, issuer: https://auth.example.com/us-east-1_Staff0001, clients: [web]}",
            &["issuers.new.issuer: is the same issuer as the pool of `staff`"],
        ),
        (
            "{kind: oidc, issuer: http://login.test, audiences: [a]}",
            &["issuers.new.issuer: must start with `https://`"],
        ),
        (
            "{kind: oidc, issuer: 'https://u:p@login.test', audiences: [a]}",
            &["issuers.new.issuer: must not hold"],
        ),
        (
            "{kind: oidc, issuer: https://login.test, clients: [a]}",
            &[
                "issuers.new.clients: says nothing",
                "issuers.new.audiences: name at least one",
            ],
        ),
        (
            "{kind: cognito, issuer: https://login.test, clients: [a], jwks_uri: x}",
            &[
                "issuers.new.issuer: does not end in a pool id",
                "issuers.new.jwks_uri: is not a URL",
            ],
        ),
        (
            "{kind: oidc, issuer: https://login.test, audiences: [a], fetch: {ca: nowhere.pem}}",
            &["issuers.new.fetch.ca: `"],
        ),
        (
            "{kind: oidc, issuer: https://login.test, audiences: [a], fetch: {ca: portcullis.yaml}}",
            &["issuers.new.fetch.ca: holds no certificate in PEM"],
        ),
        (
            "{kind: oidc, issuer: 'http://127.0.0.1:1', audiences: [a], fetch: {}}",
            &["issuers.new.fetch: says nothing about an issuer on this machine"],
        ),
        (
            "{kind: oidc, issuer: https://login.test, audiences: [a], fetch: {proxy: {url: 'http://u:hunter2@p:1'}}}",
            &["issuers.new.fetch.proxy.url: must not hold a user or password"],
        ),
        (
            "{kind: oidc, issuer: https://login.test, audiences: [a], fetch: {proxy: {url: 'socks5://p:1', user: a}}}",
            &[
                "issuers.new.fetch.proxy.url: must start with",
                "issuers.new.fetch.proxy.password: is missing",
            ],
        ),
        (
            "{kind: oidc, issuer: https://login.test, audiences: [a], fetch: {proxy: {url: 'http://p/x', user: 'a:b'}}}",
            &[
                "issuers.new.fetch.proxy.url: is more than",
                "issuers.new.fetch.proxy.user: must be",
            ],
        ),
        (
            "{embedded: us-east-1_Staff0002, fetch: {}}",
            &["issuers.new.fetch: says nothing beside `embedded`"],
        ),
    ] {
        folder.expect(&with(issuer), expected);
    }
    let without = GOOD.split("pools:\n  store").next().unwrap();
    folder.expect(
        without,
        &[
            "issuers.staff.embedded: there is no engine",
            "routes[0].serve: there is no engine",
        ],
    );
}

#[test]
fn a_pool_and_another_issuer_are_told_apart_by_what_tokens_say() {
    let folder = Folder::new();
    let aws = GOOD
        .replace("us-east-1_Staff0001", "eu-west-1_Ab12")
        .replace("[staff, aws], token_use", "[staff], token_use")
        .replace("  account:", "  issuer: aws\n  account:");
    folder.expect(
        &aws,
        &["issuers.aws.issuer: is the same issuer as the pool of `staff`; a token"],
    );
    // Where `iss` cannot be known, nothing is said about it.
    let unread = aws.replace("issuer: aws", "issuer: mars");
    folder.expect(&unread, &["pools.issuer: expected `public_url` or `aws`"]);
}

#[test]
fn the_way_to_an_issuer_is_read_with_its_secrets() {
    let folder = Folder::new();
    folder.certificate("ca");
    folder.write("proxy.password", "hunter2\n");
    let issuer = "  new: {kind: oidc, issuer: https://login.test, audiences: [a], principal: {prefix: new}, fetch: {ca: \
                  ca.crt, proxy: {url: 'http://proxy.test:3128', user: gate, password: {file: proxy.password}}}}\n";
    let settings = folder
        .load(&GOOD.replace("policies:\n", &format!("{issuer}policies:\n")))
        .unwrap();
    let way = settings.issuers.iter().find_map(|issuer| match issuer {
        Issuer::Remote(remote) if &*remote.rules.name == "new" => Some(&remote.transport),
        _ => None,
    });
    let proxy = token::Proxy {
        url: "http://proxy.test:3128".parse().unwrap(),
        credentials: Some(("gate".into(), "hunter2".into())),
    };
    let ca = std::fs::read(folder.0.path().join("ca.crt")).unwrap();
    let expected = token::Transport::new(Some(ca), Some(proxy)).unwrap();
    assert_eq!(way, Some(&expected));
    for name in ["ca.crt", "proxy.password"] {
        assert!(
            settings.files.iter().any(|file| file.ends_with(name)),
            "{name} is not watched"
        );
    }
}

#[test]
fn a_feed_of_revocations_is_checked() {
    let folder = Folder::new();
    let with = |url: &str, more: &str| {
        let feed = format!(
            "revocations: {{url: '{url}', operator: {{access_key_id: AKIA, secret: {{file: ops.key}}}}{more}}}"
        );
        GOOD.replacen(
            "    clients: [web]\n",
            &format!("    clients: [web]\n    {feed}\n"),
            1,
        )
    };
    let url = "https://auth.test/eu-west-1_Ab12/revocations";
    let settings = folder
        .load(&with(url, ", max_stale: 2m, on_stale: serve"))
        .unwrap();
    let feed = settings.issuers.iter().find_map(|issuer| match issuer {
        Issuer::Remote(remote) => remote.revocations.clone(),
        Issuer::Embedded { .. } => None,
    });
    let feed = feed.unwrap();
    assert_eq!(
        (
            feed.region.as_str(),
            feed.max_stale.as_secs(),
            feed.on_stale
        ),
        ("eu-west-1", 120, token::OnStale::Serve)
    );
    assert!(!format!("{feed:?}").contains("wJalrXUtnFEMI"));
    assert!(settings.files.iter().any(|file| file.ends_with("ops.key")));
    let place = "issuers.aws.revocations";
    for (url, more, expected) in [
        (
            "http://auth.test/eu-west-1_Ab12/revocations",
            "",
            "url: must start with `https://`",
        ),
        ("https://auth.test/eu-west-1_Ab12", "", "url: must end in"),
        ("https://auth.test/pool/revocations", "", "url: must end in"),
        (
            "https://auth.test/eu-west-1_Ab12/revocations?since=1",
            "",
            "url: must end in",
        ),
        (url, ", max_stale: 30", "max_stale: "),
        (url, ", max_stale: 4s", "max_stale: must be a time"),
        (url, ", max_stale: 25h", "max_stale: must be a time"),
        (url, ", max_stale: +9s", "max_stale: must be a time"),
        (url, ", on_stale: maybe", "on_stale: expected"),
    ] {
        folder.expect(&with(url, more), &[&format!("{place}.{expected}")]);
    }
}

#[test]
fn places_of_tokens_are_checked() {
    let folder = Folder::new();
    let with = |from: &str| {
        GOOD.replacen(
            "token_use: [access]",
            &format!("token_use: [access], from: {from}"),
            1,
        )
    };
    let settings = folder
        .load(&with(
            "[header, {cookie: __Host-sid}, {query: access_token}]",
        ))
        .unwrap();
    let places = settings.routes.iter().find_map(|route| {
        let bearer = route.handling.access()?.authenticate.as_ref()?;
        Some(bearer.places.clone())
    });
    assert_eq!(
        places.unwrap(),
        [
            TokenPlace::Header,
            TokenPlace::Cookie("__Host-sid".into()),
            TokenPlace::Query("access_token".into())
        ]
    );
    for (from, expected) in [
        ("[]", "from: name at least one place"),
        ("[header, header]", "from[1]: is there twice"),
        ("[{cookie: 'a b'}]", "from[0]: is not the name of a cookie"),
        ("[{cookie: ''}]", "from[0]: is not the name of a cookie"),
        ("[{query: 'a[b]'}]", "from[0]: a query parameter's name"),
        ("[body]", "from[0]: "),
    ] {
        let problems = folder.problems(&with(from));
        let place = format!("authenticate.bearer.{expected}");
        assert!(
            problems.len() == 1 && problems[0].contains(&place),
            "no `{place}` in {problems:#?}"
        );
    }
}
