use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
};

use super::*;

fn id(given: &'static str) -> RequestId {
    RequestId::new(Some(&HeaderValue::from_static(given)))
}

fn every_refusal() -> Vec<Refusal> {
    use Malformed as M;
    let malformed = [
        M::Target,
        M::PathAmbiguous,
        M::PathEncoding,
        M::Query,
        M::HostMissing,
        M::HostInvalid,
        M::HostRepeated,
        M::HeaderAmbiguous,
        M::HeaderValue,
        M::LengthInvalid,
        M::TransferEncoding,
        M::LineEnd,
        M::Chunk,
        M::Connection,
        M::Expectation,
        M::AuthorizationRepeated,
        M::OriginRepeated,
    ];
    let mut all: Vec<_> = malformed.into_iter().map(Refusal::from).collect();
    all.extend([
        Refusal::TargetTooLong,
        Refusal::HeadTooLarge,
        Refusal::BodyTooLarge,
        Refusal::BodyTimeout,
        Refusal::RouteNotFound,
        Refusal::MethodNotAllowed {
            allow: "GET, HEAD".into(),
        },
        Refusal::MethodRefused,
        Refusal::Overloaded,
        token(token::Refusal::Missing),
        token(token::Refusal::Expired),
        token(token::Refusal::ScopeMissing),
        token(token::Refusal::KeysUnavailable),
        Refusal::CertificateOutdated,
        Refusal::Denied {
            code: "policy_denied",
        },
        Refusal::OriginRefused,
        Refusal::RateLimited {
            limit: "client_ip".into(),
            seconds: 7,
        },
        Refusal::UpstreamUnreachable,
        Refusal::UpstreamTimeout,
        Refusal::UpstreamInvalid,
        Refusal::EngineUnavailable,
        Refusal::DeadlineExceeded,
        Refusal::GoingAway,
        Refusal::Internal,
    ]);
    all
}

fn token(why: token::Refusal) -> Refusal {
    Refusal::Token {
        why,
        scopes: vec!["pets/read".into()],
    }
}

#[test]
fn every_refusal_is_a_problem_with_a_code_of_its_own() {
    let mut codes = HashSet::new();
    for refusal in every_refusal() {
        let (head, body) = answer(&refusal, &id("id-1"), &HeaderMap::new()).unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["status"], head.status.as_u16());
        assert_eq!(problem["type"], format!("urn:portcullis:problem:{code}"));
        assert_eq!(problem["request_id"], "id-1");
        assert_eq!(head.headers["content-type"], "application/problem+json");
        assert_eq!(head.headers["content-length"], body.len().to_string());
        assert_eq!(head.headers["x-request-id"], "id-1");
        assert!(head.status.is_client_error() || head.status.is_server_error());
        assert!(
            code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{code}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.ends_with('.'), "{detail}");
        assert!(codes.insert(code.clone()), "{code} stands twice");
    }
}

#[test]
fn only_what_may_pass_later_is_retryable() {
    for refusal in every_refusal() {
        let line = refusal.line();
        let later = matches!(line.status.as_u16(), 408 | 421 | 429 | 502..=504);
        assert_eq!(line.retry, later, "{}", line.code);
    }
}

#[test]
fn each_status_has_its_header() {
    let header = |refusal: &Refusal, name: &str| {
        let (head, _) = answer(refusal, &id("id"), &HeaderMap::new()).unwrap();
        head.headers
            .get(name)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    let missing = token(token::Refusal::Missing);
    assert_eq!(
        header(&missing, "www-authenticate").as_deref(),
        Some("Bearer realm=\"portcullis\"")
    );
    let expired = header(&token(token::Refusal::Expired), "www-authenticate").unwrap();
    assert!(
        expired.starts_with("Bearer realm=\"portcullis\", error=\"invalid_token\""),
        "{expired}"
    );
    let scope = header(&token(token::Refusal::ScopeMissing), "www-authenticate").unwrap();
    assert!(scope.contains("scope=\"pets/read\""), "{scope}");
    let limited = Refusal::RateLimited {
        limit: "client_ip".into(),
        seconds: 7,
    };
    assert_eq!(header(&limited, "retry-after").as_deref(), Some("7"));
    let unavailable = token(token::Refusal::KeysUnavailable);
    assert_eq!(header(&unavailable, "retry-after").as_deref(), Some("2"));
    assert_eq!(header(&unavailable, "www-authenticate"), None);
    let method = Refusal::MethodNotAllowed {
        allow: "GET, HEAD".into(),
    };
    assert_eq!(header(&method, "allow").as_deref(), Some("GET, HEAD"));
}

/// Codes are found by their form in the tables that have them, so that a new one is missed nowhere.
#[test]
fn the_operators_table_explains_every_code() {
    let sources = [
        "gateway/src/gateway/refuse.rs",
        "gateway/src/gateway/refuse/malformed.rs",
        "token/src/refusal.rs",
        "decision/src/outcome.rs",
    ];
    let others = [
        // A decision's that refuses nothing, the challenge's realm, and errors of RFC 6750.
        "permitted",
        "portcullis",
        "invalid_request",
        "invalid_token",
        "insufficient_scope",
    ];
    let read = |file: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let mut codes = BTreeSet::new();
    for source in sources.map(read) {
        let source = source.split("#[cfg(test)]").next().unwrap();
        codes.extend(words(source, '"').map(str::to_owned));
    }
    for other in others {
        assert!(codes.remove(other), "{other}");
    }
    for refusal in every_refusal() {
        let code = refusal.line().code;
        assert!(codes.contains(code), "{code}");
    }
    let operations = read("../docs/operations.md");
    let table = operations.split("| status | code | means | do |").nth(1);
    let table = table.unwrap().split("\n\n").next().unwrap();
    let mut explained = BTreeSet::new();
    for row in table.lines().skip(2) {
        let cell = row.split('|').nth(2).unwrap();
        for code in words(cell, '`') {
            assert!(explained.insert(code.to_owned()), "{code} stands twice");
        }
    }
    let missing: Vec<_> = codes.difference(&explained).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    let gone: Vec<_> = explained.difference(&codes).collect();
    assert!(gone.is_empty(), "in docs/operations.md alone: {gone:?}");
}

/// What stands between two of these, and has the form of a code.
fn words(text: &str, between: char) -> impl Iterator<Item = &str> {
    let is_code =
        |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split(between).filter(is_code)
}
