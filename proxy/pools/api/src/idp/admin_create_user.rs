use engine::message::Medium;
use engine::user::{self, Invitation};
use wire::idp::{
    AdminCreateUserRequest, AdminCreateUserResponse, DeliveryMediumType, MessageActionType,
};

use super::shape;
use crate::{Admin, Result};

/// `AdminCreateUser`: makes a user with a temporary password, or sends the invitation again.
pub(super) async fn admin_create_user(
    cx: Admin<'_>,
    request: AdminCreateUserRequest,
) -> Result<AdminCreateUserResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let action = request.message_action;
    let invitation = invitation(request);
    let user = if action == Some(MessageActionType::Resend) {
        user::admin_resend(cx.engine(), &pool, invitation).await?
    } else {
        user::admin_create(cx.engine(), &pool, invitation).await?
    };
    Ok(AdminCreateUserResponse {
        user: Some(shape::user(user)),
    })
}

fn invitation(request: AdminCreateUserRequest) -> Invitation {
    let medium = |medium| match medium {
        DeliveryMediumType::Email => Medium::Email,
        DeliveryMediumType::Sms => Medium::Sms,
    };
    Invitation {
        username: request.username,
        attributes: shape::given(request.user_attributes),
        password: request.temporary_password.map(Into::into),
        force_alias: request.force_alias_creation == Some(true),
        mediums: request
            .desired_delivery_mediums
            .into_iter()
            .flatten()
            .map(medium)
            .collect(),
        suppress: request.message_action == Some(MessageActionType::Suppress),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{POOL, TestApi};

    #[tokio::test]
    async fn a_user_is_made_and_invited_again() {
        let api = TestApi::new().await;
        let email = json!([{"Name": "email", "Value": "ada@example.com"}]);
        let call = json!({"UserPoolId": POOL, "Username": "ada", "UserAttributes": email});
        let user = api.admin("AdminCreateUser", call.clone()).await.ok()["User"].clone();
        assert_eq!(user["Username"], "ada");
        assert_eq!(user["UserStatus"], "FORCE_CHANGE_PASSWORD");
        assert_eq!(user["Enabled"], true);
        assert_eq!(user["UserCreateDate"], 1_767_225_600.0);
        assert_eq!(
            user["Attributes"][1],
            json!({"Name": "email", "Value": "ada@example.com"})
        );
        assert_eq!(
            api.admin("AdminCreateUser", call.clone()).await.code(),
            "UsernameExistsException"
        );

        let mut again = call.clone();
        again["MessageAction"] = json!("RESEND");
        again["TemporaryPassword"] = json!("Temp0rary!");
        api.admin("AdminCreateUser", again).await.ok();
        let outbox = api.engine.outbox().unwrap();
        let sent: Vec<_> = outbox.iter().map(|message| &message["purpose"]).collect();
        assert_eq!(sent, ["admin_create_user", "admin_create_user"]);
        assert_eq!(outbox[1]["code"], "Temp0rary!");
    }

    #[tokio::test]
    async fn an_invitation_can_be_kept_back() {
        let api = TestApi::new().await;
        let email = json!([{"Name": "email", "Value": "ada@example.com"}]);
        let call = json!({
            "UserPoolId": POOL, "Username": "ada", "UserAttributes": email,
            "MessageAction": "SUPPRESS", "DesiredDeliveryMediums": ["EMAIL"],
        });
        api.admin("AdminCreateUser", call).await.ok();
        assert_eq!(api.engine.outbox().unwrap().len(), 0);
    }
}
