use serde_json::json;

use super::*;
use crate::idp::{self, Operation};
use crate::json::decode;

fn idp(operation: Operation, value: &Value) -> Result<(), Rejected> {
    check(operation.spec().input, value)
}

fn invalid(operation: Operation, value: &Value) -> String {
    match idp(operation, value) {
        Err(Rejected::Invalid(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn malformed(operation: Operation, value: &Value) -> String {
    match idp(operation, value) {
        Err(Rejected::Malformed(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_member_is_named_in_awss_words() {
    let message = invalid(
        Operation::AdminSetUserPassword,
        &json!({"UserPoolId": "us-east-1_Ab1", "Username": "ada"}),
    );
    assert_eq!(
        message,
        "1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn a_null_member_is_a_missing_one_and_shown_unless_sensitive() {
    let message = invalid(
        Operation::AdminSetUserPassword,
        &json!({"UserPoolId": null, "Username": "ada", "Password": "secret"}),
    );
    assert_eq!(
        message,
        "1 validation error detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn every_broken_limit_is_counted_and_sensitive_values_are_hidden() {
    let message = invalid(
        Operation::AdminGetUser,
        &json!({"UserPoolId": "nowhere", "Username": ""}),
    );
    assert_eq!(
        message,
        "3 validation errors detected: Value 'nowhere' at 'userPoolId' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: [\\w-]+_[0-9a-zA-Z]+; Value at 'username' failed to satisfy constraint: \
         Member must have length greater than or equal to 1; Value at 'username' failed to satisfy constraint: Member \
         must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+"
    );
}

#[test]
fn over_long_members_are_refused_at_the_boundary() {
    let named =
        |length: usize| json!({"UserPoolId": "us-east-1_Ab1", "Username": "é".repeat(length)});
    assert_eq!(idp(Operation::AdminGetUser, &named(128)), Ok(()));
    assert_eq!(
        invalid(Operation::AdminGetUser, &named(129)),
        "1 validation error detected: Value at 'username' failed to satisfy constraint: Member must have length less \
         than or equal to 128"
    );
}

#[test]
fn enums_and_numbers_say_what_is_allowed() {
    let message = invalid(
        Operation::ListUsers,
        &json!({"UserPoolId": "us-east-1_Ab1", "Limit": 61}),
    );
    assert!(
        message.ends_with("Value '61' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 60"),
        "{message}"
    );
    let message = invalid(
        Operation::AdminCreateUser,
        &json!({"UserPoolId": "us-east-1_Ab1", "Username": "ada", "MessageAction": "SHOUT"}),
    );
    assert!(
        message.ends_with("Value 'SHOUT' at 'messageAction' failed to satisfy constraint: Member must satisfy enum value set: [RESEND, SUPPRESS]"),
        "{message}"
    );
}

#[test]
fn items_of_a_list_are_reported_at_the_list_and_structures_by_their_path() {
    let message = invalid(
        Operation::CreateUserPoolClient,
        &json!({"UserPoolId": "us-east-1_Ab1", "ClientName": "web", "CallbackURLs": ["https://a", ""]}),
    );
    assert_eq!(
        message,
        "1 validation error detected: Value '[https://a, ]' at 'callbackURLs' failed to satisfy constraint: Member \
         must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length \
         greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+]"
    );
    let attributes = json!([{"Name": "email", "Value": "a@b"}, {"Value": "x"}]);
    let message = invalid(
        Operation::AdminUpdateUserAttributes,
        &json!({"UserPoolId": "us-east-1_Ab1", "Username": "ada", "UserAttributes": attributes}),
    );
    assert_eq!(
        message,
        "1 validation error detected: Value null at 'userAttributes.2.member.name' failed to satisfy constraint: \
         Member must not be null"
    );
}

#[test]
fn wrong_types_have_awss_words() {
    let with = |username: Value| json!({"UserPoolId": "us-east-1_Ab1", "Username": username});
    for (value, expected) in [
        (json!(7), "NUMBER_VALUE can not be converted to a String"),
        (json!(7.5), "DECIMAL_VALUE can not be converted to a String"),
        (json!(true), "TRUE_VALUE can not be converted to a String"),
        (json!([]), "Start of list found where not expected"),
        (
            json!({}),
            "Start of structure or map found where not expected.",
        ),
    ] {
        assert_eq!(malformed(Operation::AdminGetUser, &with(value)), expected);
    }
    let limit = json!({"UserPoolId": "us-east-1_Ab1", "Limit": "ten"});
    assert_eq!(
        malformed(Operation::ListUsers, &limit),
        "STRING_VALUE can not be converted to an Integer"
    );
    let fraction = json!({"UserPoolId": "us-east-1_Ab1", "Limit": 1.5});
    assert_eq!(
        malformed(Operation::ListUsers, &fraction),
        "DECIMAL_VALUE can not be converted to an Integer"
    );
    let attributes = json!({"AccessToken": "a", "UserAttributes": "email"});
    assert_eq!(
        malformed(Operation::UpdateUserAttributes, &attributes),
        "Expected list or null"
    );
}

#[test]
fn unknown_members_are_ignored() {
    let value = json!({"UserPoolId": "us-east-1_Ab1", "Username": "ada", "Colour": 7});
    assert_eq!(idp(Operation::AdminGetUser, &value), Ok(()));
    let request: idp::AdminGetUserRequest = typed(value).unwrap();
    assert_eq!(request.username, "ada");
}

#[test]
fn malformed_json_is_refused_and_so_is_what_is_no_object() {
    let shape = Operation::AdminGetUser.spec().input;
    for body in [
        "",
        "{",
        "{\"UserPoolId\":",
        "\u{feff}{}",
        "{} {}",
        "[]",
        "null",
        "\"a\"",
    ] {
        assert!(
            matches!(decode(shape, body.as_bytes()), Err(Rejected::Malformed(_))),
            "{body}"
        );
    }
    assert!(matches!(
        decode(shape, &[b'{', 0xff, b'}']),
        Err(Rejected::Malformed(_))
    ));
    let deep = "{\"UserAttributes\":".repeat(500);
    assert!(matches!(
        decode(shape, deep.as_bytes()),
        Err(Rejected::Malformed(_))
    ));
}

#[test]
fn a_union_has_exactly_one_member() {
    let input = crate::permissions::Operation::CreatePolicy.spec().input;
    let with = |definition: Value| json!({"policyStoreId": "p", "definition": definition});
    let fixed = json!({"static": {"statement": "permit(principal, action, resource);"}});
    assert_eq!(check(input, &with(fixed.clone())), Ok(()));
    let mut both = fixed;
    both["templateLinked"] = json!({"policyTemplateId": "t"});
    assert!(matches!(
        check(input, &with(both)),
        Err(Rejected::Malformed(_))
    ));
    assert!(matches!(
        check(input, &with(json!({}))),
        Err(Rejected::Malformed(_))
    ));
}

#[test]
fn a_flood_of_bad_items_makes_no_flood_of_text() {
    let attributes: Vec<Value> = (0..10_000).map(|_| json!({"Value": "x"})).collect();
    let message = invalid(
        Operation::AdminUpdateUserAttributes,
        &json!({"UserPoolId": "us-east-1_Ab1", "Username": "ada", "UserAttributes": attributes}),
    );
    assert!(
        message.starts_with("50 validation errors detected"),
        "{message}"
    );
    let long = json!({"UserPoolId": "x".repeat(100_000), "Username": "ada"});
    assert!(invalid(Operation::AdminGetUser, &long).len() < 5_000);
}

#[test]
fn requests_never_show_secrets() {
    let request: idp::SignUpRequest = typed(json!({
        "ClientId": "web", "Username": "ada", "Password": "correct horse", "SecretHash": "c2VjcmV0",
        "UserAttributes": [{"Name": "email", "Value": "ada@example.com"}]
    }))
    .unwrap();
    let shown = format!("{request:?}");
    for secret in ["correct horse", "c2VjcmV0", "ada@example.com"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(
        shown.contains("password: [redacted]") && shown.contains("email"),
        "{shown}"
    );
}
