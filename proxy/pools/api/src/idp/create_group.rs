use engine::group::{self, Settings};
use wire::idp::{CreateGroupRequest, CreateGroupResponse};

use super::shape;
use crate::{Admin, Result};

/// `CreateGroup`: a new group of a pool.
pub(super) async fn create_group(
    cx: Admin<'_>,
    request: CreateGroupRequest,
) -> Result<CreateGroupResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let settings = Settings {
        description: request.description,
        role_arn: request.role_arn,
        precedence: request.precedence,
    };
    let group = group::create(cx.engine(), &pool, &request.group_name, settings).await?;
    Ok(CreateGroupResponse {
        group: Some(shape::group(group)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::tests::{POOL, TestApi};

    async fn call(api: &TestApi, operation: &str, mut body: Value) -> Value {
        body["UserPoolId"] = json!(POOL);
        api.admin(operation, body).await.ok()
    }

    #[tokio::test]
    async fn a_group_from_first_to_last() {
        let api = TestApi::new().await;
        let group = json!({"GroupName": "g", "Description": "d", "Precedence": 0});
        let made = call(&api, "CreateGroup", group.clone()).await;
        let mut expected = group;
        expected["UserPoolId"] = json!(POOL);
        expected["CreationDate"] = json!(1_767_225_600.0);
        expected["LastModifiedDate"] = json!(1_767_225_600.0);
        assert_eq!(made, json!({"Group": expected}));
        assert_eq!(
            call(&api, "GetGroup", json!({"GroupName": "g"})).await,
            made
        );
        let changed = call(
            &api,
            "UpdateGroup",
            json!({"GroupName": "g", "Precedence": 7}),
        )
        .await;
        assert_eq!(
            (
                &changed["Group"]["Precedence"],
                &changed["Group"]["Description"]
            ),
            (&json!(7), &json!("d"))
        );
        let listed = call(&api, "ListGroups", json!({})).await;
        let names: Vec<_> = listed["Groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["GroupName"])
            .collect();
        assert_eq!(names, ["g", "readers"]);

        call(&api, "AdminCreateUser", json!({"Username": "ada"})).await;
        let pair = json!({"GroupName": "g", "Username": "ada"});
        assert_eq!(
            call(&api, "AdminAddUserToGroup", pair.clone()).await,
            Value::Null
        );
        let groups = call(&api, "AdminListGroupsForUser", json!({"Username": "ada"})).await;
        assert_eq!(groups["Groups"], json!([changed["Group"]]));
        let users = call(&api, "ListUsersInGroup", json!({"GroupName": "g"})).await;
        assert_eq!(users["Users"][0]["Username"], "ada");
        call(&api, "AdminRemoveUserFromGroup", pair).await;
        let users = call(&api, "ListUsersInGroup", json!({"GroupName": "g"})).await;
        assert_eq!(users, json!({"Users": []}));
        call(&api, "DeleteGroup", json!({"GroupName": "g"})).await;
        for operation in ["GetGroup", "ListUsersInGroup", "DeleteGroup"] {
            let reply = api
                .admin(operation, json!({"UserPoolId": POOL, "GroupName": "g"}))
                .await;
            assert_eq!(reply.code(), "ResourceNotFoundException", "{operation}");
        }
    }

    #[tokio::test]
    async fn a_name_is_taken_once() {
        let api = TestApi::new().await;
        let reply = api
            .admin(
                "CreateGroup",
                json!({"UserPoolId": POOL, "GroupName": "readers"}),
            )
            .await;
        assert_eq!(reply.code(), "GroupExistsException");
    }
}
