//! Header fields: what goes on, what ends here, what is refused.

use super::*;

#[test]
fn headers_that_speak_for_the_gate_are_removed_in_every_spelling() {
    for name in [
        "x-user",
        "X-USER",
        "x_user",
        "x.user",
        "x!user",
        "x~user",
        "x|user",
        "X*User^Groups",
        "X_User_Groups",
        "x-amzn-oidc-data",
        "x_amzn_oidc_identity",
        "x-amzn.oidc-anything",
        "x-portcullis-principal",
        "x_portcullis_principal",
        "X-Forwarded-Client-Cert",
        "x_forwarded_client_cert",
        "X-Forwarded-Tls-Client-Cert-Info",
        "Client-Cert",
        "client.cert-chain",
        "X-Client-Cert",
        "X-SSL-Client-Verify",
        "ssl_client_cert",
        "X-Amzn-Mtls-Clientcert-Subject",
        "x-arr-clientcert",
        "Cf-Client-Cert-Der-Base64",
        "X-Client-Verify",
        "X_Client_DN",
        "X-SSL-Cert",
        "Tls-Client-Cert",
        "X-Nginx-Ssl-Client-Cert",
    ] {
        let head = Request::get("/").with(name, "forged").admit().unwrap();
        let left = head.headers.iter().find(|(_, value)| *value == "forged");
        assert!(left.is_none(), "{name} left as {left:?}");
    }
}

#[test]
fn aliases_of_other_headers_are_refused() {
    for name in [
        "content_length",
        "transfer.encoding",
        "Transfer!Encoding",
        "x_forwarded_for",
        "X-Forwarded!For",
        "authorization_",
    ] {
        let refusal = Request::get("/").with(name, "1").admit().err();
        let expected = (name != "authorization_").then_some(M::HeaderAmbiguous.into());
        assert_eq!(refusal, expected, "{name}");
    }
    let alias: Allowances = [settings::Allow::HeaderAlias].into_iter().collect();
    for (one, other) in [("x-tenant", "x_tenant"), ("x_tenant", "x.tenant")] {
        let head = Request::get("/").with(one, "a").with(other, "b").admit();
        let head = head.unwrap();
        assert_eq!(head.needs, alias, "{one} {other}");
        // Where a route allows them, both go on.
        let both = [one, other].map(|name| header(&head, name));
        assert_eq!(both, [Some("a"), Some("b")]);
    }
    let repeated = Request::get("/")
        .with("x_tenant", "a")
        .with("X_Tenant", "b");
    for one in [repeated, Request::get("/").with("x_tenant", "b")] {
        assert!(one.admit().unwrap().needs.is_empty());
    }
}

#[test]
fn values_read_the_same_over_every_version() {
    for value in [" a", "a ", "\ta", "a\t", " "] {
        let refusal = Request::get("/").with("x-a", value).refused();
        assert_eq!(refusal, M::HeaderValue.into(), "{value:?}");
    }
    for value in ["", "a", "a b", "a\tb"] {
        let admitted = Request::get("/").with("x-a", value).admit();
        assert!(admitted.is_ok(), "{value:?}");
    }
}

#[test]
fn policies_see_what_upstreams_could_read() {
    for name in [
        "X_Role", "x.role", "x!role", "x-plan", "x.plan", "x-tier", "x_tier",
    ] {
        let refusal = Request::get("/").with(name, "debug").admit().err();
        assert_eq!(refusal, Some(M::HeaderAmbiguous.into()), "{name}");
    }
    for name in ["X-Role", "x_plan"] {
        let head = Request::get("/").with(name, "debug").admit().unwrap();
        assert_eq!(header(&head, name), Some("debug"));
    }
}

#[test]
fn a_length_is_one_plain_number() {
    for length in ["0", "3", "18446744073709551615"] {
        assert!(
            Request::get("/")
                .with("content-length", length)
                .admit()
                .is_ok()
        );
    }
    for length in [
        "",
        "003",
        "+3",
        "-3",
        "3, 3",
        "0x3",
        "3.0",
        "18446744073709551616",
    ] {
        let refusal = Request::get("/")
            .with("content-length", length)
            .admit()
            .err();
        assert_eq!(refusal, Some(M::LengthInvalid.into()), "{length}");
    }
    let two = Request::get("/")
        .with("content-length", "3")
        .with("content-length", "3");
    assert_eq!(two.refused(), M::LengthInvalid.into());
}

#[test]
fn what_other_proxies_would_say_ends_here() {
    for name in [
        "X-Original-URI",
        "x-original-host",
        "x-host",
        "x-client-ip",
        "True-Client-IP",
        "x-cluster-client-ip",
        "remote-user",
        "Remote_User",
        "x-remote-user",
    ] {
        let head = Request::get("/").with(name, "forged").admit().unwrap();
        let left = head.headers.iter().find(|(_, value)| *value == "forged");
        assert!(left.is_none(), "{name} left as {left:?}");
    }
}

#[test]
fn hop_by_hop_headers_end_here() {
    let head = Request::get("/")
        .with("connection", "close, X-Hop")
        .with("x-hop", "1")
        .with("upgrade", "websocket")
        .with("te", "trailers")
        .with("proxy-authorization", "Basic x")
        .with("x-http-method-override", "DELETE")
        .with("x-original-url", "/admin")
        .with("x-kept", "1")
        .admit()
        .unwrap();
    for name in [
        "connection",
        "x-hop",
        "upgrade",
        "te",
        "proxy-authorization",
    ] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    assert!(!head.headers.contains_key("x-http-method-override"));
    assert!(!head.headers.contains_key("x-original-url"));
    assert_eq!(header(&head, "x-kept"), Some("1"));
}

#[test]
fn there_is_one_authorization_and_one_cookie() {
    let two = Request::get("/")
        .with("authorization", "Bearer a")
        .with("authorization", "Bearer b");
    assert_eq!(two.refused(), M::AuthorizationRepeated.into());
    let head = Request::get("/")
        .with("cookie", "a=1")
        .with("cookie", "b=2")
        .admit()
        .unwrap();
    assert_eq!(header(&head, "cookie"), Some("a=1; b=2"));
}
