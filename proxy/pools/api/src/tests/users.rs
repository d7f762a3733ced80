//! Users and groups from their first call to their last, on both databases.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::TestEngine;

use super::{POOL, TestApi};

/// An access token of a confirmed user `ada` with an email address and a name; the user is made by the first call.
pub(crate) async fn signed_in(api: &TestApi, client: &str) -> String {
    let user = json!({"UserPoolId": POOL, "Username": "ada"});
    if api.admin("AdminGetUser", user.clone()).await.status != 200 {
        let attributes = json!([{"Name": "email", "Value": "ada@example.com"}, {"Name": "name", "Value": "Ada"}]);
        let mut invited = user.clone();
        invited["UserAttributes"] = attributes;
        invited["MessageAction"] = json!("SUPPRESS");
        api.admin("AdminCreateUser", invited).await.ok();
        let mut password = user;
        password["Password"] = json!("Passw0rd!");
        password["Permanent"] = json!(true);
        api.admin("AdminSetUserPassword", password).await.ok();
        // A new password ends every sign-in up to its millisecond, and the clock stands still.
        api.engine.advance(Duration::from_millis(1));
    }
    let parameters = json!({"USERNAME": "ada", "PASSWORD": "Passw0rd!"});
    let call =
        json!({"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": parameters});
    let done = api.public("InitiateAuth", call).await.ok();
    done["AuthenticationResult"]["AccessToken"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_life_on_sqlite() {
    life(&TestApi::over(TestEngine::sqlite().await.unwrap())).await;
}

#[tokio::test]
async fn a_life_on_postgres() {
    life(&TestApi::over(TestEngine::postgres().await.unwrap())).await;
}

/// Every operation on users and groups once, so that every statement runs.
async fn life(api: &TestApi) {
    let settings = json!({
        "PoolName": "p", "AutoVerifiedAttributes": ["email"], "AliasAttributes": ["email", "preferred_username"],
        "UsernameConfiguration": {"CaseSensitive": false},
        "Policies": {"PasswordPolicy": {"MinimumLength": 8, "PasswordHistorySize": 2}},
    });
    let pool = api.admin("CreateUserPool", settings).await.ok()["UserPool"]["Id"].clone();
    let client = json!({
        "UserPoolId": pool, "ClientName": "c", "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
        "PreventUserExistenceErrors": "ENABLED",
    });
    let client =
        api.admin("CreateUserPoolClient", client).await.ok()["UserPoolClient"]["ClientId"].clone();
    let life = Life { api, pool, client };
    life.begin().await;
    life.groups().await;
    life.lists().await;
    life.changes().await;
    life.end().await;
}

struct Life<'a> {
    api: &'a TestApi,
    pool: Value,
    client: Value,
}

impl Life<'_> {
    async fn admin(&self, operation: &str, mut call: Value) -> Value {
        call["UserPoolId"] = self.pool.clone();
        self.api.admin(operation, call).await.ok()
    }

    async fn public(&self, operation: &str, mut call: Value) -> Value {
        call["ClientId"] = self.client.clone();
        self.api.public(operation, call).await.ok()
    }

    fn code(&self) -> Value {
        self.api.engine.outbox().unwrap().last().unwrap()["code"].clone()
    }

    async fn begin(&self) {
        for (name, email) in [("ada", "ada@example.com"), ("bob", "Bob@Example.com")] {
            let attributes =
                json!([{"Name": "email", "Value": email}, {"Name": "given_name", "Value": name}]);
            let call =
                json!({"Username": name, "Password": "Passw0rd!", "UserAttributes": attributes});
            self.public("SignUp", call).await;
            self.public("ResendConfirmationCode", json!({"Username": name}))
                .await;
            let wrong = json!({"ClientId": self.client, "Username": name, "ConfirmationCode": "x"});
            assert_eq!(
                self.api.public("ConfirmSignUp", wrong).await.code(),
                "CodeMismatchException"
            );
            self.public(
                "ConfirmSignUp",
                json!({"Username": name, "ConfirmationCode": self.code()}),
            )
            .await;
        }
        self.public("ResendConfirmationCode", json!({"Username": "nobody"}))
            .await;
        let invited = json!({"Username": "eve", "TemporaryPassword": "Temp0rary!"});
        self.admin("AdminCreateUser", invited).await;
        self.admin(
            "AdminCreateUser",
            json!({"Username": "eve", "MessageAction": "RESEND"}),
        )
        .await;
    }

    async fn groups(&self) {
        for name in ["readers", "writers"] {
            self.admin("CreateGroup", json!({"GroupName": name, "Precedence": 1}))
                .await;
            self.admin(
                "AdminAddUserToGroup",
                json!({"GroupName": name, "Username": "BOB@example.com"}),
            )
            .await;
        }
        self.admin(
            "UpdateGroup",
            json!({"GroupName": "writers", "Description": "who write"}),
        )
        .await;
        let members = self
            .admin("ListUsersInGroup", json!({"GroupName": "writers"}))
            .await;
        assert_eq!(members["Users"][0]["Username"], "bob");
        let first = self
            .admin(
                "AdminListGroupsForUser",
                json!({"Username": "bob", "Limit": 1}),
            )
            .await;
        let next = json!({"Username": "bob", "NextToken": first["NextToken"]});
        let second = self.admin("AdminListGroupsForUser", next).await;
        assert_eq!(
            second["Groups"],
            json!([self
                .admin("GetGroup", json!({"GroupName": "writers"}))
                .await["Group"]])
        );
        self.admin(
            "AdminRemoveUserFromGroup",
            json!({"GroupName": "readers", "Username": "bob"}),
        )
        .await;
        self.admin("DeleteGroup", json!({"GroupName": "writers"}))
            .await;
        assert_eq!(
            self.admin("ListGroups", json!({})).await["Groups"][0]["GroupName"],
            "readers"
        );
        assert_eq!(
            self.admin("AdminListGroupsForUser", json!({"Username": "bob"}))
                .await["Groups"],
            json!([])
        );
    }

    async fn lists(&self) {
        for (filter, expected) in [
            ("", 3),
            ("username = \"ADA\"", 1),
            ("username ^= \"\"", 3),
            ("email = \"bob@example.com\"", 1),
            ("email ^= \"b\"", 1),
            ("given_name ^= \"a\"", 1),
            ("family_name = \"a\"", 0),
            ("sub ^= \"\"", 3),
            ("status = \"Enabled\"", 3),
            ("cognito:user_status = \"confirmed\"", 2),
        ] {
            let (mut found, mut token) = (0, Value::Null);
            loop {
                let mut call = json!({"Limit": 1, "Filter": filter});
                if token.is_string() {
                    call["PaginationToken"] = token;
                }
                let page = self.admin("ListUsers", call).await;
                found += page["Users"].as_array().unwrap().len();
                token = page["PaginationToken"].clone();
                if token.is_null() {
                    break;
                }
            }
            assert_eq!(found, expected, "{filter}");
        }
    }

    async fn changes(&self) {
        let parameters = json!({"USERNAME": "bob", "PASSWORD": "Passw0rd!"});
        let call = json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters});
        let token =
            self.public("InitiateAuth", call).await["AuthenticationResult"]["AccessToken"].clone();
        let own = |mut call: Value| {
            call["AccessToken"] = token.clone();
            call
        };
        let email = json!([{"Name": "email", "Value": "new@example.com"}, {"Name": "preferred_username", "Value": "B"}]);
        self.api
            .public(
                "UpdateUserAttributes",
                own(json!({"UserAttributes": email})),
            )
            .await
            .ok();
        let prove = own(json!({"AttributeName": "email", "Code": self.code()}));
        self.api.public("VerifyUserAttribute", prove).await.ok();
        let again = own(json!({"AttributeName": "email"}));
        self.api
            .public("GetUserAttributeVerificationCode", again)
            .await
            .ok();
        let change = json!({"PreviousPassword": "Passw0rd!", "ProposedPassword": "An0ther!one"});
        self.api.public("ChangePassword", own(change)).await.ok();
        let user = self.api.public("GetUser", own(json!({}))).await.ok();
        assert!(
            user["UserAttributes"]
                .as_array()
                .unwrap()
                .contains(&json!({"Name": "email_verified", "Value": "true"}))
        );
        assert_eq!(
            self.admin("AdminGetUser", json!({"Username": "b"})).await["Username"],
            "bob"
        );
        self.api.public("DeleteUser", own(json!({}))).await.ok();
    }

    async fn end(&self) {
        let taken = json!([{"Name": "email", "Value": "ada@example.com"}, {"Name": "email_verified", "Value": "true"}]);
        let call = json!({"UserPoolId": self.pool, "Username": "eve", "UserAttributes": taken});
        assert_eq!(
            self.api
                .admin("AdminUpdateUserAttributes", call)
                .await
                .code(),
            "AliasExistsException"
        );
        let password = json!({"Username": "ada", "Password": "Perman3nt!", "Permanent": true});
        self.admin("AdminSetUserPassword", password).await;
        self.admin("AdminDisableUser", json!({"Username": "ada"}))
            .await;
        assert_eq!(
            self.admin("AdminGetUser", json!({"Username": "ada@example.com"}))
                .await["Enabled"],
            false
        );
        self.admin("AdminEnableUser", json!({"Username": "ada"}))
            .await;
        self.admin("AdminDeleteUser", json!({"Username": "ada"}))
            .await;
        let left = self.admin("ListUsers", json!({})).await;
        assert_eq!(left["Users"].as_array().unwrap().len(), 1);
    }
}
