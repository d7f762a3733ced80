//! Issuers: complete, and no two the same.

use super::{Folder, GOOD};

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
