//! What claims must say: issuer, times, audience, types.

use super::*;

#[test]
fn the_issuer_is_one_exact_string() {
    let slashed = format!("{ISS}/");
    for iss in [
        json!(null),
        json!([ISS]),
        json!([ISS, "https://evil.test"]),
        json!(slashed),
        json!(""),
        json!(7),
    ] {
        assert_eq!(
            claims_refusal(json!({"iss": iss})),
            Refusal::IssuerUnknown,
            "{iss}"
        );
    }
}

#[test]
fn times_bound_a_token() {
    assert_eq!(claims_refusal(json!({"exp": null})), Refusal::Malformed);
    assert_eq!(claims_refusal(json!({"exp": NOW - 5})), Refusal::Expired);
    assert!(outcome(&sign(&header(), &with(access(), json!({"exp": NOW - 4})))).is_ok());
    assert!(
        outcome(&sign(
            &header(),
            &with(access(), json!({"nbf": NOW + 5, "iat": NOW + 5}))
        ))
        .is_ok()
    );
    assert_eq!(
        claims_refusal(json!({"nbf": NOW + 6})),
        Refusal::NotYetValid
    );
    assert_eq!(
        claims_refusal(json!({"iat": NOW + 6})),
        Refusal::NotYetValid
    );
}

#[test]
fn times_are_numbers_in_range() {
    for name in ["exp", "nbf", "iat"] {
        for bad in [
            json!("1900000000"),
            json!(-1),
            json!(1e300),
            json!([NOW]),
            json!(true),
            json!(253_402_300_800_u64),
        ] {
            assert_eq!(
                claims_refusal(json!({name: bad})),
                Refusal::Malformed,
                "{name} {bad}"
            );
        }
    }
    assert!(
        outcome(&sign(
            &header(),
            &with(access(), json!({"exp": 1_800_003_600.5}))
        ))
        .is_ok()
    );
}

#[test]
fn a_cognito_token_is_for_its_client() {
    assert_eq!(
        claims_refusal(json!({"client_id": "other"})),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        claims_refusal(json!({"client_id": null, "aud": "web"})),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        claims_refusal(json!({"token_use": null})),
        Refusal::TokenUseInvalid
    );
    assert_eq!(
        claims_refusal(json!({"token_use": "refresh"})),
        Refusal::TokenUseInvalid
    );
    let id = |aud: Value| claims_refusal(json!({"token_use": "id", "client_id": null, "aud": aud}));
    assert_eq!(id(json!("other")), Refusal::AudienceInvalid);
    assert_eq!(id(json!(["web"])), Refusal::AudienceInvalid);
    let id = with(
        access(),
        json!({"token_use": "id", "client_id": null, "aud": "web"}),
    );
    assert_eq!(
        outcome(&sign(&header(), &id)).unwrap().client_id(),
        Some("web")
    );
}

#[test]
fn an_oidc_token_is_for_its_audience() {
    assert_eq!(oidc(json!({})).unwrap().principal(), Some("u1"));
    assert!(oidc(json!({"aud": ["x", "api://pets"]})).is_ok());
    assert_eq!(
        oidc(json!({"aud": null})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": []})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": ["x"]})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": {"api://pets": 1}})).unwrap_err(),
        Refusal::Malformed
    );
    assert_eq!(
        oidc(json!({"aud": ["api://pets", 1]})).unwrap_err(),
        Refusal::Malformed
    );
}

#[test]
fn an_event_is_no_access_token() {
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for events in [logout, json!({}), json!([])] {
        assert_eq!(
            oidc(json!({"events": events})).unwrap_err(),
            Refusal::TokenUseInvalid,
            "{events}"
        );
    }
    // `token_use` says what kind a Cognito token is, and a trigger may add a claim of any name to it.
    let token = sign(&header(), &with(access(), json!({"events": {}})));
    assert!(outcome(&token).is_ok());
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    for bad in [
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"cognito:groups": [1]}),
        json!({"cognito:groups": {"a": 1}}),
        json!({"scope": 1}),
        json!({"jti": 1}),
        json!({"origin_jti": []}),
    ] {
        assert_eq!(claims_refusal(bad.clone()), Refusal::Malformed, "{bad}");
    }
}
