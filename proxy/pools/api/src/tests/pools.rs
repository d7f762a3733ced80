//! Pools and app clients through their operations.

use serde_json::{Value, json};

use super::api::{SCOPED, request};
use super::{CLIENT, POOL, TestApi};

async fn created(api: &TestApi, body: Value) -> Value {
    api.admin("CreateUserPool", body).await.ok()["UserPool"].clone()
}

#[tokio::test]
async fn a_pool_lives_through_its_operations() {
    let api = TestApi::new().await;
    let settings = json!({
        "PoolName": "staff",
        "Policies": {"PasswordPolicy": {"MinimumLength": 12}},
        "AutoVerifiedAttributes": ["email"],
        "Schema": [{"Name": "team", "AttributeDataType": "String", "Mutable": true,
            "StringAttributeConstraints": {"MinLength": "1", "MaxLength": "20"}}],
        "LambdaConfig": {"PreSignUp": "arn:aws:lambda:us-east-1:000000000000:function:f"},
        "UserPoolTags": {"team": "blue"},
    });
    let pool = created(&api, settings).await;
    let id = pool["Id"].as_str().unwrap();
    assert_eq!(
        pool["Arn"],
        format!("arn:aws:cognito-idp:us-east-1:000000000000:userpool/{id}")
    );
    assert_eq!(pool["Name"], "staff");
    assert!(pool["CreationDate"].is_number() && pool["LastModifiedDate"].is_number());
    assert_eq!(pool["EstimatedNumberOfUsers"], 0);
    assert_eq!(pool["Policies"]["PasswordPolicy"]["MinimumLength"], 12);
    assert_eq!(pool["Policies"]["PasswordPolicy"]["RequireNumbers"], false);
    let attributes = pool["SchemaAttributes"].as_array().unwrap();
    assert_eq!(attributes.len(), 22);
    assert_eq!(
        attributes.last().unwrap(),
        &json!({
            "Name": "custom:team", "AttributeDataType": "String", "DeveloperOnlyAttribute": false, "Mutable": true,
            "Required": false, "StringAttributeConstraints": {"MinLength": "1", "MaxLength": "20"},
        })
    );

    let shown = api
        .admin("DescribeUserPool", json!({"UserPoolId": id}))
        .await
        .ok();
    assert_eq!(shown["UserPool"], pool);

    let update = json!({"UserPoolId": id, "PoolName": "people", "DeletionProtection": "ACTIVE"});
    assert_eq!(api.admin("UpdateUserPool", update).await.ok(), json!({}));
    let shown = &api
        .admin("DescribeUserPool", json!({"UserPoolId": id}))
        .await
        .ok()["UserPool"];
    assert_eq!(
        (&shown["Name"], &shown["UserPoolTags"]),
        (&json!("people"), &json!({}))
    );
    assert!(shown.get("AutoVerifiedAttributes").is_none());
    assert_eq!(shown["SchemaAttributes"], pool["SchemaAttributes"]);

    let refused = api.admin("DeleteUserPool", json!({"UserPoolId": id})).await;
    assert_eq!(refused.code(), "InvalidParameterException");
    api.admin("UpdateUserPool", json!({"UserPoolId": id}))
        .await
        .ok();
    api.admin("DeleteUserPool", json!({"UserPoolId": id}))
        .await
        .ok();
    let gone = api
        .admin("DescribeUserPool", json!({"UserPoolId": id}))
        .await;
    assert_eq!(gone.code(), "ResourceNotFoundException");
    assert_eq!(gone.message(), format!("User pool {id} does not exist."));
}

#[tokio::test]
async fn a_client_lives_through_its_operations() {
    let api = TestApi::new().await;
    let settings = json!({
        "UserPoolId": POOL,
        "ClientName": "site",
        "GenerateSecret": true,
        "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        "AccessTokenValidity": 30,
        "TokenValidityUnits": {"AccessToken": "minutes"},
    });
    let client = &api.admin("CreateUserPoolClient", settings).await.ok()["UserPoolClient"];
    let id = &client["ClientId"];
    assert_eq!(client["ClientName"], "site");
    assert_eq!(client["ClientSecret"].as_str().unwrap().len(), 51);
    assert_eq!(client["RefreshTokenValidity"], 30);
    assert_eq!(client["ClientType"], "REGULAR");
    assert!(client.get("GenerateSecret").is_none());

    let which = json!({"UserPoolId": POOL, "ClientId": id});
    let shown = api
        .admin("DescribeUserPoolClient", which.clone())
        .await
        .ok();
    assert_eq!(&shown["UserPoolClient"], client);

    let update =
        json!({"UserPoolId": POOL, "ClientId": id, "PreventUserExistenceErrors": "ENABLED"});
    let updated = &api.admin("UpdateUserPoolClient", update).await.ok()["UserPoolClient"];
    assert_eq!(updated["PreventUserExistenceErrors"], "ENABLED");
    assert_eq!(updated["ClientSecret"], client["ClientSecret"]);
    assert_eq!(updated["ClientName"], "site");
    assert!(
        updated.get("AccessTokenValidity").is_none() && updated.get("ExplicitAuthFlows").is_none()
    );

    api.admin("DeleteUserPoolClient", which.clone()).await.ok();
    let gone = api.admin("DescribeUserPoolClient", which).await;
    assert_eq!(gone.code(), "ResourceNotFoundException");
    assert_eq!(
        gone.message(),
        format!("User pool client {} does not exist.", id.as_str().unwrap())
    );
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let api = TestApi::new().await;
    created(&api, json!({"PoolName": "second"})).await;
    let first = api
        .admin("ListUserPools", json!({"MaxResults": 1}))
        .await
        .ok();
    let token = first["NextToken"].as_str().unwrap();
    let rest = api
        .admin(
            "ListUserPools",
            json!({"MaxResults": 1, "NextToken": token}),
        )
        .await
        .ok();
    let names =
        [&first, &rest].map(|page| page["UserPools"][0]["Name"].as_str().unwrap().to_owned());
    assert!(
        names.contains(&"second".to_owned()) && names.contains(&POOL.to_owned()),
        "{names:?}"
    );
    assert!(rest.get("NextToken").is_none());
    assert_eq!(first["UserPools"][0]["LambdaConfig"], json!({}));

    let clients = api
        .admin("ListUserPoolClients", json!({"UserPoolId": POOL}))
        .await
        .ok();
    let expected = json!([{"ClientId": CLIENT, "UserPoolId": POOL, "ClientName": CLIENT}]);
    assert_eq!(clients["UserPoolClients"], expected);
    let other = json!({"UserPoolId": POOL, "ClientType": "DCR"});
    assert_eq!(
        api.admin("ListUserPoolClients", other).await.ok()["UserPoolClients"],
        json!([])
    );
    // A token of one list does not open another.
    let mixed = api
        .admin(
            "ListUserPoolClients",
            json!({"UserPoolId": POOL, "NextToken": token}),
        )
        .await;
    assert_eq!(mixed.code(), "InvalidParameterException");
}

#[tokio::test]
async fn a_limited_operator_sees_and_makes_no_pools_of_others() {
    let api = TestApi::new().await;
    let call = async |operation: &str, body: Value| {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        api.send(api.sign(request(&target, &body.to_string()), SCOPED, "cognito-idp"))
            .await
    };
    assert_eq!(
        call("CreateUserPool", json!({"PoolName": "mine"}))
            .await
            .code(),
        "AccessDeniedException"
    );
    assert_eq!(
        call("ListUserPools", json!({"MaxResults": 60})).await.ok()["UserPools"],
        json!([])
    );
    for operation in [
        "DescribeUserPool",
        "UpdateUserPool",
        "DeleteUserPool",
        "ListUserPoolClients",
    ] {
        let reply = call(operation, json!({"UserPoolId": POOL})).await;
        assert_eq!(reply.code(), "AccessDeniedException", "{operation}");
    }
    for operation in [
        "DescribeUserPoolClient",
        "UpdateUserPoolClient",
        "DeleteUserPoolClient",
    ] {
        let reply = call(operation, json!({"UserPoolId": POOL, "ClientId": CLIENT})).await;
        assert_eq!(reply.code(), "AccessDeniedException", "{operation}");
    }
    api.admin("DescribeUserPool", json!({"UserPoolId": POOL}))
        .await
        .ok();
}

#[tokio::test]
async fn what_the_model_does_not_allow_is_named() {
    let api = TestApi::new().await;
    let reply = api
        .admin(
            "CreateUserPool",
            json!({"PoolName": "a/b", "MfaConfiguration": "MAYBE"}),
        )
        .await;
    assert_eq!(reply.code(), "InvalidParameterException");
    assert!(
        reply
            .message()
            .starts_with("2 validation errors detected: "),
        "{}",
        reply.message()
    );
    let reply = api
        .admin("CreateUserPoolClient", json!({"UserPoolId": POOL}))
        .await;
    assert!(
        reply.message().contains("'clientName'"),
        "{}",
        reply.message()
    );
}
