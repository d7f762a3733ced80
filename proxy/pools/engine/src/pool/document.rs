//! A pool's settings in AWS's shape: defaults filled in, rules checked, the rest kept to the letter.

use serde_json::{Map, Value, json};

use super::password::TEMPORARY_DAYS;
use super::schema;
use crate::{Error, Result};

/// Members of a JSON object, in AWS's names.
pub type Document = Map<String, Value>;

/// The settings of a new pool, from the members of `CreateUserPool` without the name.
pub(super) fn create(mut given: Document) -> Result<Document> {
    drop_nulls(&mut given);
    let schema = schema::declare(given.remove("Schema").as_ref())?;
    given.insert("SchemaAttributes".into(), schema);
    if is_filled(&given, "AliasAttributes") && is_filled(&given, "UsernameAttributes") {
        return Err(Error::invalid_parameter(
            "Only one of the aliasAttributes or usernameAttributes can be set.",
        ));
    }
    complete(given)
}

/// The settings after `UpdateUserPool`: what is omitted goes back to its default, what is fixed at creation stays.
pub(super) fn update(current: &Document, mut given: Document) -> Result<Document> {
    drop_nulls(&mut given);
    for fixed in FIXED {
        given.remove(*fixed);
        if let Some(value) = current.get(*fixed) {
            given.insert((*fixed).into(), value.clone());
        }
    }
    complete(given)
}

/// Checks the settings and fills in AWS's defaults.
fn complete(mut document: Document) -> Result<Document> {
    check_mfa(&document)?;
    check_email(&document)?;
    check_recovery(&document)?;
    complete_password_policy(&mut document)?;
    for (key, default) in [
        ("DeletionProtection", json!("INACTIVE")),
        ("LambdaConfig", json!({})),
        ("MfaConfiguration", json!("OFF")),
        ("EmailConfiguration", json!({})),
        ("UserPoolTags", json!({})),
        ("UserPoolTier", json!("ESSENTIALS")),
        ("VerificationMessageTemplate", json!({})),
        ("UserAttributeUpdateSettings", json!({})),
    ] {
        document.entry(key).or_insert(default);
    }
    default_member(
        &mut document,
        "VerificationMessageTemplate",
        "DefaultEmailOption",
        json!("CONFIRM_WITH_CODE"),
    );
    default_member(
        &mut document,
        "EmailConfiguration",
        "EmailSendingAccount",
        json!("COGNITO_DEFAULT"),
    );
    let key = "AttributesRequireVerificationBeforeUpdate";
    default_member(&mut document, "UserAttributeUpdateSettings", key, json!([]));
    check_update_verification(&document)?;
    Ok(document)
}

/// Both places where a temporary password's life can be said hold the same number afterwards.
fn complete_password_policy(document: &mut Document) -> Result<()> {
    let days = |path: &[&str]| {
        at(document, path)
            .and_then(Value::as_u64)
            .filter(|days| *days > 0)
    };
    let stated = days(&[
        "Policies",
        "PasswordPolicy",
        "TemporaryPasswordValidityDays",
    ]);
    let legacy = days(&["AdminCreateUserConfig", "UnusedAccountValidityDays"]);
    if stated.is_some() && legacy.is_some() && stated != legacy {
        return Err(Error::invalid_parameter(
            "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays",
        ));
    }
    let days = stated.or(legacy).unwrap_or(u64::from(TEMPORARY_DAYS));
    within(document, "Policies", |policies| {
        // A policy that is given says all of itself: what it leaves out is off.
        let default = !policies.contains_key("PasswordPolicy");
        within(policies, "PasswordPolicy", |policy| {
            policy.entry("MinimumLength").or_insert(8.into());
            for rule in [
                "RequireUppercase",
                "RequireLowercase",
                "RequireNumbers",
                "RequireSymbols",
            ] {
                policy.entry(rule).or_insert(default.into());
            }
            policy.insert("TemporaryPasswordValidityDays".into(), days.into());
        });
        default_member(
            policies,
            "SignInPolicy",
            "AllowedFirstAuthFactors",
            json!(["PASSWORD"]),
        );
    });
    within(document, "AdminCreateUserConfig", |creation| {
        creation
            .entry("AllowAdminCreateUserOnly")
            .or_insert(false.into());
        creation.insert("UnusedAccountValidityDays".into(), days.into());
    });
    Ok(())
}

fn check_mfa(document: &Document) -> Result<()> {
    let mfa = document
        .get("MfaConfiguration")
        .and_then(Value::as_str)
        .unwrap_or("OFF");
    if mfa != "OFF" && !document.contains_key("SmsConfiguration") {
        return Err(Error::invalid_parameter(
            "SMS configuration is required when Mfa is on.",
        ));
    }
    Ok(())
}

fn check_email(document: &Document) -> Result<()> {
    let developer = at(document, &["EmailConfiguration", "EmailSendingAccount"])
        .and_then(Value::as_str)
        == Some("DEVELOPER");
    if developer && at(document, &["EmailConfiguration", "SourceArn"]).is_none() {
        return Err(Error::invalid_parameter(
            "SourceArn is required when EmailSendingAccount is DEVELOPER.",
        ));
    }
    Ok(())
}

fn check_recovery(document: &Document) -> Result<()> {
    let mechanisms =
        at(document, &["AccountRecoverySetting", "RecoveryMechanisms"]).and_then(Value::as_array);
    let mut priorities: Vec<_> = mechanisms
        .into_iter()
        .flatten()
        .map(|one| one.get("Priority"))
        .collect();
    let mut names: Vec<_> = mechanisms
        .into_iter()
        .flatten()
        .map(|one| one.get("Name"))
        .collect();
    let count = names.len();
    for list in [&mut priorities, &mut names] {
        list.sort_by_key(|value| value.map(Value::to_string));
        list.dedup();
        if list.len() != count {
            return Err(Error::invalid_parameter(
                "Account Recovery Setting has duplicate priorities or mechanisms.",
            ));
        }
    }
    if count > 1
        && names
            .iter()
            .flatten()
            .any(|name| name.as_str() == Some("admin_only"))
    {
        return Err(Error::invalid_parameter(
            "Account Recovery Setting cannot use admin_only with other recovery mechanisms.",
        ));
    }
    Ok(())
}

/// AWS: an attribute that is verified before it changes must be one the pool verifies.
fn check_update_verification(document: &Document) -> Result<()> {
    let path = [
        "UserAttributeUpdateSettings",
        "AttributesRequireVerificationBeforeUpdate",
    ];
    for name in at(document, &path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let verified = document
            .get("AutoVerifiedAttributes")
            .and_then(Value::as_array);
        if !verified.is_some_and(|list| list.contains(name)) {
            return Err(Error::invalid_parameter(format!(
                "Attributes that require verification before update must be auto verified attributes: {}",
                name.as_str().unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// The value at a path of members.
pub(super) fn at<'d>(document: &'d Document, path: &[&str]) -> Option<&'d Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(document.get(*first)?, |value, key| value.get(*key))
}

/// The texts of a list member; none if it is absent.
pub(super) fn texts(document: &Document, path: &[&str]) -> Vec<String> {
    let list = at(document, path).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Members that are null are members that are absent.
pub(crate) fn drop_nulls(document: &mut Document) {
    document.retain(|_, value| !value.is_null());
    for value in document.values_mut() {
        if let Value::Object(inner) = value {
            drop_nulls(inner);
        }
    }
}

fn is_filled(document: &Document, key: &str) -> bool {
    document
        .get(key)
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

fn default_member(document: &mut Document, outer: &str, inner: &str, value: Value) {
    within(document, outer, |object| {
        object.entry(inner).or_insert(value);
    });
}

/// Changes the object at `key`, made where it is missing or something else.
fn within<T>(document: &mut Document, key: &str, change: impl FnOnce(&mut Document) -> T) -> T {
    let mut inner = match document.get_mut(key).map(Value::take) {
        Some(Value::Object(inner)) => inner,
        _ => Document::new(),
    };
    let result = change(&mut inner);
    document.insert(key.into(), Value::Object(inner));
    result
}

/// What `UpdateUserPool` cannot change.
const FIXED: &[&str] = &[
    "SchemaAttributes",
    "AliasAttributes",
    "UsernameAttributes",
    "UsernameConfiguration",
];
