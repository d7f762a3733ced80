use engine::user;
use wire::idp::{UpdateUserAttributesRequest, UpdateUserAttributesResponse};

use super::shape;
use crate::{Bearer, Result};

/// `UpdateUserAttributes`: writes the caller's attributes, and sends codes to changed addresses.
pub(super) async fn update_user_attributes(
    cx: Bearer<'_>,
    request: UpdateUserAttributesRequest,
) -> Result<UpdateUserAttributesResponse> {
    let (token, given) = (cx.token(), shape::given(Some(request.user_attributes)));
    let sent = user::update(
        cx.engine(),
        &token.pool,
        &token.client,
        &token.user.sub,
        given,
    )
    .await?;
    let sent = sent.into_iter().map(shape::delivery).collect();
    Ok(UpdateUserAttributesResponse {
        code_delivery_details_list: Some(sent),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{CLIENT, TestApi, signed_in};

    #[tokio::test]
    async fn a_user_writes_attributes() {
        let api = TestApi::new().await;
        let token = signed_in(&api, CLIENT).await;
        let change = |name: &str, value: &str| json!({"AccessToken": token, "UserAttributes": [{"Name": name, "Value": value}]});
        let done = api
            .public("UpdateUserAttributes", change("locale", "en"))
            .await
            .ok();
        assert_eq!(done, json!({"CodeDeliveryDetailsList": []}));
        let user = api
            .public("GetUser", json!({"AccessToken": token}))
            .await
            .ok();
        let locale = json!({"Name": "locale", "Value": "en"});
        assert!(user["UserAttributes"].as_array().unwrap().contains(&locale));
        let denied = api
            .public("UpdateUserAttributes", change("email_verified", "true"))
            .await;
        assert_eq!(denied.code(), "NotAuthorizedException");
        let unknown = api
            .public("UpdateUserAttributes", change("none", "x"))
            .await;
        assert_eq!(unknown.code(), "InvalidParameterException");
    }
}
