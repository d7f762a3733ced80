//! Callers of two issuers whom the same policies decide about must never be named alike.

use super::{Folder, GOOD};

/// `okta` at the route whose policies decide about `staff` and `aws` too.
const SHARED: &str = "issuers: [staff, aws, okta]";

fn good() -> String {
    GOOD.replace("issuers: [staff, aws]", SHARED)
}

const NAMED: &str = ", principal: {prefix: okta}";

#[test]
fn issuers_with_prefixes_of_their_own_share_policies() {
    assert!(Folder::new().load(&good()).is_ok());
}

#[test]
fn a_prefix_holds_no_bar() {
    let folder = Folder::new();
    for (from, to, place) in [
        ("{prefix: okta}", "{prefix: 'a|b'}", "okta"),
        (
            "{embedded: us-east-1_Staff0001}",
            "{embedded: us-east-1_Staff0001, principal: {prefix: '|'}}",
            "staff",
        ),
    ] {
        let expected = format!("issuers.{place}.principal.prefix: must not hold `|`");
        folder.expect(&GOOD.replace(from, to), &[&expected]);
    }
}

#[test]
fn without_a_prefix_nobody_shares_policies() {
    let folder = Folder::new();
    for principal in [
        "",
        ", principal: {prefix: ''}",
        ", principal: {claim: email}",
    ] {
        folder.expect(
            &good().replace(NAMED, principal),
            &["issuers.okta.principal.prefix: is needed, since the policies `pets` decide about callers of `aws` too"],
        );
        folder.expect(
            &good().replace(NAMED, principal).replace("staff, aws, okta", "staff, okta"),
            &["issuers.okta.principal.prefix: is needed, since the policies `pets` decide about callers of `staff` too"],
        );
    }
    // Whoever is alone may be without one, whatever `sub` holds.
    let alone = good()
        .replace(NAMED, "")
        .replace(SHARED, "issuers: [okta]")
        .replace("token_use: [access], ", "");
    assert!(folder.load(&alone).is_ok());
}

#[test]
fn two_issuers_never_share_a_prefix() {
    let folder = Folder::new();
    for (from, to) in [
        ("{prefix: okta}", "{prefix: eu-west-1_Ab12}"),
        ("{prefix: okta}", "{prefix: us-east-1_Staff0001}"),
    ] {
        let expected = "`pets` decide about callers of";
        let found = folder.problems(&good().replace(from, to));
        assert!(
            found[0].contains(expected) && found.len() == 1,
            "{found:#?}"
        );
    }
    // Where no policies are asked, names decide nothing.
    let apart = good()
        .replace("{prefix: okta}", "{prefix: eu-west-1_Ab12}")
        .replace("{policies: pets, headers: [x-tenant]}", "authenticated");
    assert!(folder.load(&apart).is_ok());
}

#[test]
fn routes_meet_in_the_policies_they_share() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("pets/cats")).unwrap();
    std::fs::create_dir(folder.0.path().join("dogs")).unwrap();
    let with = |path: &str, policies: &str, upstream: &str| {
        GOOD.replace(NAMED, "")
            .replace(
                "upstreams:\n",
                &format!("  more: {{path: {path}, principal: PetStore::User}}\nupstreams:\n"),
            )
            .replace(
                "  - name: open\n",
                &format!(
                    "  - {{match: {{host: x.test, methods: [GET]}}, authenticate: {{bearer: {{issuers: [okta]}}}}, \
                     authorize: {{policies: {policies}}}, upstream: {{to: {upstream}}}}}\n  - name: open\n"
                ),
            )
    };
    let shared = "issuers.okta.principal.prefix: is needed, since the policies `pets`";
    folder.expect(&with("dogs", "pets", "app"), &[shared]);
    // Policies of a folder are those of its own folders too, whatever name they go by.
    folder.expect(&with("pets/../pets", "more", "app"), &[shared]);
    folder.expect(&with("pets/cats", "more", "app"), &[shared]);
    folder.expect(&with(".", "more", "app"), &[shared]);
    assert!(folder.load(&with("dogs", "more", "app")).is_ok());
    // Told together with what else is wrong with the route.
    folder.expect(
        &with("dogs", "pets", "gone"),
        &[shared, "routes[2].upstream.to: `gone`"],
    );
}
