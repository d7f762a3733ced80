use serde_json::json;

use super::*;
use crate::Refusal;
use crate::harness::{Harness, document};

async fn created(harness: &Harness, settings: Value) -> Arc<Pool> {
    let pool = create(&harness.engine, "staff", document(settings))
        .await
        .unwrap();
    // As stored, not as made.
    harness.engine.forget_pool(pool.id());
    load(&harness.engine, pool.id()).await.unwrap()
}

async fn a_pool_without_settings_has_awss_defaults(harness: Harness) {
    let pool = created(&harness, json!({})).await;
    let (region, name) = pool.id().split_once('_').unwrap();
    assert_eq!((region, name.len()), ("us-east-1", 9));
    assert_eq!(pool.srp_name(), name);
    let mut shown = pool.document().clone();
    assert_eq!(
        shown
            .remove("SchemaAttributes")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        21
    );
    let expected = json!({
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 8, "RequireUppercase": true, "RequireLowercase": true, "RequireNumbers": true,
                "RequireSymbols": true, "TemporaryPasswordValidityDays": 7,
            },
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD"]},
        },
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": false, "UnusedAccountValidityDays": 7},
        "DeletionProtection": "INACTIVE",
        "LambdaConfig": {},
        "MfaConfiguration": "OFF",
        "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"},
        "UserPoolTags": {},
        "UserPoolTier": "ESSENTIALS",
        "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_CODE"},
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": []},
    });
    assert_eq!(Value::Object(shown), expected);
    assert!(pool.is_case_sensitive());
    assert_eq!(count_users(&harness.engine, pool.id()).await.unwrap(), 0);
}

async fn settings_have_effect_and_come_back_to_the_letter(harness: Harness) {
    let settings = json!({
        "Policies": {"PasswordPolicy": {"MinimumLength": 12, "RequireNumbers": true, "PasswordHistorySize": 3,
            "TemporaryPasswordValidityDays": 3}},
        "AutoVerifiedAttributes": ["email"],
        "AliasAttributes": ["email", "preferred_username"],
        "UsernameConfiguration": {"CaseSensitive": false},
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true},
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "LambdaConfig": {"PreSignUp": "arn:aws:lambda:us-east-1:000000000000:function:f"},
        "UserPoolTags": {"team": "blue"},
        "SmsConfiguration": null,
    });
    let pool = created(&harness, settings).await;
    assert_eq!(pool.password_policy().minimum_length(), 12);
    assert_eq!(pool.password_policy().history_size(), 3);
    assert_eq!(pool.password_policy().temporary_days(), 3);
    pool.password_policy().check("lowercase only 1").unwrap();
    assert!(pool.auto_verifies("email") && !pool.auto_verifies("phone_number"));
    assert!(pool.has_alias("preferred_username") && !pool.has_alias("phone_number"));
    assert!(
        !pool.is_case_sensitive()
            && pool.is_admin_create_only()
            && pool.verifies_before_update("email")
    );
    assert_eq!(
        pool.document()["AdminCreateUserConfig"]["UnusedAccountValidityDays"],
        3
    );
    assert_eq!(pool.document()["UserPoolTags"], json!({"team": "blue"}));
    assert!(!pool.document().contains_key("SmsConfiguration"));
    let summary = list(&harness.engine, 60, None)
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(
        summary.triggers["PreSignUp"],
        "arn:aws:lambda:us-east-1:000000000000:function:f"
    );
}

async fn an_update_replaces_all_but_what_is_fixed(harness: Harness) {
    let pool = created(
        &harness,
        json!({
            "AutoVerifiedAttributes": ["email"],
            "UsernameAttributes": ["email"],
            "UsernameConfiguration": {"CaseSensitive": false},
            "Schema": [{"Name": "team", "AttributeDataType": "String"}],
            "UserPoolTags": {"team": "blue"},
        }),
    )
    .await;
    harness.clock.advance(std::time::Duration::from_secs(1));
    let settings = json!({"MfaConfiguration": "OFF", "UsernameAttributes": ["phone_number"]});
    update(&harness.engine, pool.id(), None, document(settings))
        .await
        .unwrap();
    let after = load(&harness.engine, pool.id()).await.unwrap();
    assert!(!after.auto_verifies("email"));
    assert_eq!(after.document()["UserPoolTags"], json!({}));
    assert_eq!(after.username_attributes(), ["email"]);
    assert!(!after.is_case_sensitive());
    assert!(after.schema().attribute("custom:team").is_some());
    assert_eq!(after.name(), "staff");
    assert_eq!(after.created_ms(), pool.created_ms());
    assert_eq!(after.modified_ms(), pool.modified_ms() + 1000);
}

async fn a_protected_pool_stays(harness: Harness) {
    let pool = created(&harness, json!({"DeletionProtection": "ACTIVE"})).await;
    let error = delete(&harness.engine, pool.id()).await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::InvalidParameter));
    update(&harness.engine, pool.id(), None, document(json!({})))
        .await
        .unwrap();
    delete(&harness.engine, pool.id()).await.unwrap();
    let error = load(&harness.engine, pool.id()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("User pool {} does not exist.", pool.id())
    );
    assert_eq!(
        delete(&harness.engine, pool.id())
            .await
            .unwrap_err()
            .refusal(),
        Some(Refusal::ResourceNotFound)
    );
}

async fn nothing_of_a_deleted_pool_is_left(harness: Harness) {
    let pool = created(&harness, json!({})).await;
    let settings = document(json!({"GenerateSecret": true}));
    let client = crate::client::create(&harness.engine, &pool, "web", settings)
        .await
        .unwrap();
    delete(&harness.engine, pool.id()).await.unwrap();
    for table in tables_of_pools() {
        let sql = format!("SELECT COUNT(*) AS rows FROM {table}");
        let row = harness
            .engine
            .db()
            .row(sql, Vec::new())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.int("rows").unwrap(), 0, "{table}");
    }
    assert!(
        crate::client::find(&harness.engine, client.id())
            .await
            .unwrap()
            .is_none()
    );
}

/// Every table whose rows belong to a pool, from the migrations; `revocations` and `changes` outlive it.
fn tables_of_pools() -> Vec<String> {
    let mut tables = vec!["pools".to_owned(), "client_secrets".to_owned()];
    for migration in crate::migrations::ALL {
        for statement in migration.sql.split(';') {
            let Some((_, rest)) = statement.split_once("CREATE TABLE ") else {
                continue;
            };
            let (name, columns) = rest.split_once('(').unwrap();
            let name = name.trim();
            if columns.contains("pool_id") && !matches!(name, "revocations" | "changes") {
                tables.push(name.to_owned());
            }
        }
    }
    assert!(tables.len() > 5, "the migrations were not read");
    tables
}

async fn contradictions_are_refused(harness: Harness) {
    for bad in [
        json!({"AliasAttributes": ["email"], "UsernameAttributes": ["email"]}),
        json!({"MfaConfiguration": "ON"}),
        json!({"EmailConfiguration": {"EmailSendingAccount": "DEVELOPER"}}),
        json!({"Policies": {"PasswordPolicy": {"TemporaryPasswordValidityDays": 3}},
            "AdminCreateUserConfig": {"UnusedAccountValidityDays": 4}}),
        json!({"UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]}}),
        json!({"AccountRecoverySetting": {"RecoveryMechanisms": [
            {"Name": "verified_email", "Priority": 1}, {"Name": "verified_phone_number", "Priority": 1}]}}),
        json!({"AccountRecoverySetting": {"RecoveryMechanisms": [
            {"Name": "admin_only", "Priority": 1}, {"Name": "verified_email", "Priority": 2}]}}),
    ] {
        let error = create(&harness.engine, "staff", document(bad.clone()))
            .await
            .unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::InvalidParameter), "{bad}");
    }
}

async fn pools_are_listed_in_pages(harness: Harness) {
    let ids = |page: &crate::page::Page<Summary>| {
        page.items
            .iter()
            .map(|one| one.id.clone())
            .collect::<Vec<_>>()
    };
    let first = list(&harness.engine, 2, None).await.unwrap();
    assert_eq!(ids(&first), ["us-east-1_A", "us-east-1_B"]);
    assert_eq!(first.items.last().unwrap().name, "bees");
    let rest = list(&harness.engine, 2, first.next.as_deref())
        .await
        .unwrap();
    assert_eq!(
        (ids(&rest), rest.next),
        (vec!["us-east-1_C".to_owned()], None)
    );
    list(&harness.engine, 2, Some("x")).await.unwrap_err();
}

fn three_pools() -> Value {
    json!({
        "declare": [{"id": "us-east-1_C"}, {"id": "us-east-1_A"}, {"id": "us-east-1_B", "name": "bees"}],
    })
}

crate::harness::on_both_stores! {
    a_pool_without_settings_has_awss_defaults,
    settings_have_effect_and_come_back_to_the_letter,
    an_update_replaces_all_but_what_is_fixed,
    a_protected_pool_stays,
    nothing_of_a_deleted_pool_is_left,
    contradictions_are_refused,
    pools_are_listed_in_pages with three_pools,
}
