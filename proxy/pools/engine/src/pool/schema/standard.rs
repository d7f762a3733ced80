//! The attributes every pool has, as `DescribeUserPool` lists them.

use serde_json::{Map, Value, json};

/// The standard attributes (`OpenID` Connect Core 1.0 section 5.1, and Cognito's own) in AWS's order.
pub(super) fn standard() -> Vec<Map<String, Value>> {
    let text = |name| string(name, json!({"MinLength": "0", "MaxLength": "2048"}));
    let mut all = vec![
        text("profile"),
        text("address"),
        string("birthdate", json!({"MinLength": "10", "MaxLength": "10"})),
        text("gender"),
        text("preferred_username"),
        attribute(
            "updated_at",
            "Number",
            Some(("NumberAttributeConstraints", json!({"MinValue": "0"}))),
        ),
        text("website"),
        text("picture"),
        string("identities", json!({})),
        string("sub", json!({"MinLength": "1", "MaxLength": "2048"})),
        text("phone_number"),
        attribute("phone_number_verified", "Boolean", None),
        text("zoneinfo"),
        text("locale"),
        text("email"),
        attribute("email_verified", "Boolean", None),
        text("given_name"),
        text("family_name"),
        text("middle_name"),
        text("name"),
        text("nickname"),
    ];
    if let Some(sub) = all
        .iter_mut()
        .find(|attribute| attribute.get("Name") == Some(&json!("sub")))
    {
        sub.insert("Mutable".into(), false.into());
        sub.insert("Required".into(), true.into());
    }
    all
}

fn string(name: &str, bounds: Value) -> Map<String, Value> {
    attribute(name, "String", Some(("StringAttributeConstraints", bounds)))
}

fn attribute(name: &str, kind: &str, bounds: Option<(&str, Value)>) -> Map<String, Value> {
    let mut attribute = Map::new();
    attribute.insert("Name".into(), name.into());
    attribute.insert("AttributeDataType".into(), kind.into());
    attribute.insert("DeveloperOnlyAttribute".into(), false.into());
    attribute.insert("Mutable".into(), true.into());
    attribute.insert("Required".into(), false.into());
    if let Some((key, bounds)) = bounds {
        attribute.insert(key.into(), bounds);
    }
    attribute
}
