use serde_json::json;

use super::declare::declare;
use super::*;

fn schema(given: &Value) -> Schema {
    Schema::read(&declare(Some(given)).unwrap()).unwrap()
}

fn refusal(result: Result<()>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn every_pool_has_the_standard_attributes() {
    let schema = schema(&json!([]));
    assert_eq!(schema.attributes().count(), 21);
    let sub = schema.attribute("sub").unwrap();
    assert!(sub.required && !sub.mutable);
    assert_eq!(schema.required().count(), 0);
}

#[test]
fn required_attributes_must_be_given() {
    let schema =
        schema(&json!([{"Name": "email", "Required": true}, {"Name": "name", "Required": true}]));
    schema
        .check_new([("email", "a@b"), ("name", "n")].into_iter())
        .unwrap();
    assert_eq!(
        refusal(schema.check_new([("email", "")].into_iter())),
        "Attributes did not conform to the schema: email: The attribute is required\nname: The attribute is required\n"
    );
}

#[test]
fn custom_attributes_carry_their_prefix() {
    let schema = schema(&json!([
        {"Name": "team", "AttributeDataType": "String", "Mutable": true},
        {"Name": "secret", "AttributeDataType": "String", "DeveloperOnlyAttribute": true},
    ]));
    schema.check("custom:team", "blue").unwrap();
    assert!(
        schema
            .attribute("dev:custom:secret")
            .unwrap()
            .developer_only
    );
    assert_eq!(
        refusal(schema.check("team", "blue")),
        "Attributes did not conform to the schema: team: Attribute does not exist in the schema.\n"
    );
}

#[test]
fn values_fit_their_type() {
    let schema = schema(&json!([
        {"Name": "s", "AttributeDataType": "String", "StringAttributeConstraints": {"MinLength": "2", "MaxLength": "3"}},
        {"Name": "n", "AttributeDataType": "Number", "NumberAttributeConstraints": {"MinValue": "1", "MaxValue": "9"}},
        {"Name": "d", "AttributeDataType": "DateTime"},
        {"Name": "b", "AttributeDataType": "Boolean"},
    ]));
    for (name, good, bad) in [
        ("custom:s", &["ab", "éüö", ""][..], &["a", "abcd"][..]),
        (
            "custom:n",
            &["1", "9", "2.5"],
            &["0", "10", "nan", "inf", "x", ""],
        ),
        (
            "custom:d",
            &["2026-01-31", "2026-01-31T10:00:00Z", "1767225600000"],
            &["2026-02-30", "tomorrow", ""],
        ),
        ("custom:b", &["true", "false"], &["TRUE", "1", ""]),
        ("birthdate", &["1970-01-01"], &["01/01/1970", "1970-13-01"]),
        ("email", &["ada@example.com"], &["ada", "ada@"]),
        ("phone_number", &["+12065550100"], &["2065550100", "+1 206"]),
        ("email_verified", &["true"], &["yes"]),
        ("updated_at", &["0"], &["-1"]),
    ] {
        for value in good {
            schema
                .check(name, value)
                .unwrap_or_else(|error| panic!("{name} `{value}`: {error}"));
        }
        for value in bad {
            assert!(schema.check(name, value).is_err(), "{name} took `{value}`");
        }
    }
    assert!(schema.check("name", &"a".repeat(2049)).is_err());
}

#[test]
fn immutable_attributes_keep_their_value() {
    let schema = schema(&json!([{"Name": "team", "AttributeDataType": "String"}]));
    schema
        .check_change("custom:team", "blue", Some("blue"))
        .unwrap();
    assert_eq!(
        refusal(schema.check_change("custom:team", "red", Some("blue"))),
        "user.custom:team: Attribute cannot be updated.\n"
    );
    schema.check_removal("custom:team").unwrap_err();
    schema
        .check("sub", "0f8fad5b-d9cb-469f-a165-70867728950e")
        .unwrap_err();
}

#[test]
fn standard_attributes_keep_their_type() {
    for bad in [
        json!([{"Name": "email", "AttributeDataType": "Number"}]),
        json!([{"Name": "email", "DeveloperOnlyAttribute": true}]),
        json!([{"Name": "sub", "Mutable": true}]),
        json!([{"Name": "team", "Required": true}]),
        json!([{"Name": "team"}, {"Name": "team"}]),
        json!([{"Name": "n", "AttributeDataType": "Number", "NumberAttributeConstraints": {"MinValue": "x"}}]),
        json!([{"Name": "n", "AttributeDataType": "Number",
            "NumberAttributeConstraints": {"MinValue": "2", "MaxValue": "1"}}]),
        json!([{"Name": "s", "AttributeDataType": "String", "StringAttributeConstraints": {"MaxLength": "2049"}}]),
    ] {
        assert_eq!(
            declare(Some(&bad)).unwrap_err().refusal(),
            Some(crate::Refusal::InvalidParameter),
            "{bad}"
        );
    }
}
