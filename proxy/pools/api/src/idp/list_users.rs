use engine::pool::Pool;
use engine::user::{self, Filter};
use wire::idp::{ListUsersRequest, ListUsersResponse, UserType};

use super::shape;
use crate::{Admin, Result};

/// `ListUsers`: users that meet a filter, page by page.
pub(super) async fn list_users(
    cx: Admin<'_>,
    request: ListUsersRequest,
) -> Result<ListUsersResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let wanted = request.attributes_to_get;
    check(&pool, wanted.as_deref())?;
    let filter = Filter::parse(request.filter.as_deref().unwrap_or_default())?;
    let (limit, token) = (
        shape::limit(request.limit),
        request.pagination_token.as_deref(),
    );
    let page = user::list(cx.engine(), &pool, filter.as_ref(), limit, token).await?;
    let users = page
        .items
        .into_iter()
        .map(|user| cut(shape::user(user), wanted.as_deref()))
        .collect();
    Ok(ListUsersResponse {
        users: Some(users),
        pagination_token: page.next,
    })
}

/// Refuses attributes that no user of the pool can have.
fn check(pool: &Pool, wanted: Option<&[String]>) -> Result<()> {
    if wanted
        .into_iter()
        .flatten()
        .all(|name| pool.schema().attribute(name).is_some())
    {
        return Ok(());
    }
    Err(engine::Error::invalid_parameter(
        "One or more requested attributes do not exist in user pool.",
    )
    .into())
}

/// Leaves the attributes that were asked for.
fn cut(mut user: UserType, wanted: Option<&[String]>) -> UserType {
    if let (Some(attributes), Some(wanted)) = (&mut user.attributes, wanted) {
        attributes.retain(|attribute| wanted.contains(&attribute.name));
    }
    user
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::tests::{POOL, TestApi};

    async fn crowd(api: &TestApi) {
        for name in ["ada", "bob", "eve"] {
            let attributes =
                json!([{"Name": "name", "Value": name}, {"Name": "locale", "Value": "en"}]);
            let call = json!({"UserPoolId": POOL, "Username": name, "UserAttributes": attributes});
            api.admin("AdminCreateUser", call).await.ok();
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other() {
        let api = TestApi::new().await;
        crowd(&api).await;
        let first = api
            .admin("ListUsers", json!({"UserPoolId": POOL, "Limit": 2}))
            .await
            .ok();
        let token = first["PaginationToken"].clone();
        let next = json!({"UserPoolId": POOL, "Limit": 2, "PaginationToken": token});
        let second = api.admin("ListUsers", next).await.ok();
        assert_eq!(second.get("PaginationToken"), None);
        let names = [&first, &second]
            .map(|page| page["Users"].as_array().unwrap().clone())
            .concat();
        let mut names: Vec<Value> = names.iter().map(|user| user["Username"].clone()).collect();
        names.sort_by_key(Value::to_string);
        assert_eq!(names, ["ada", "bob", "eve"]);
        let all = api
            .admin("ListUsers", json!({"UserPoolId": POOL}))
            .await
            .ok();
        assert_eq!(all["Users"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_list_shows_what_is_asked_for() {
        let api = TestApi::new().await;
        crowd(&api).await;
        let call =
            json!({"UserPoolId": POOL, "Filter": "name = \"bob\"", "AttributesToGet": ["name"]});
        let found = api.admin("ListUsers", call).await.ok();
        let [user] = found["Users"].as_array().unwrap().as_slice() else {
            panic!("{found}")
        };
        assert_eq!(
            user["Attributes"],
            json!([{"Name": "name", "Value": "bob"}])
        );
    }

    #[tokio::test]
    async fn what_cannot_be_listed_is_refused() {
        let api = TestApi::new().await;
        for (member, value, message) in [
            ("Filter", json!("name ="), "Error while parsing filter"),
            (
                "Filter",
                json!("custom:x = \"a\""),
                "Invalid search attribute: custom:x",
            ),
            (
                "PaginationToken",
                json!("made-up"),
                "Invalid pagination token.",
            ),
            (
                "AttributesToGet",
                json!(["none"]),
                "One or more requested attributes do not exist in user pool.",
            ),
        ] {
            let mut call = json!({"UserPoolId": POOL});
            call[member] = value;
            let reply = api.admin("ListUsers", call).await;
            assert_eq!(
                (reply.code(), reply.message()),
                ("InvalidParameterException".into(), message.into())
            );
        }
    }
}
