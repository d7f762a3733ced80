//! Which flows there are, who may use them, and what is said where one may not be used.

use super::{Door, SignIn};
use crate::client::Flow;
use crate::{Error, Result};

/// How a sign-in begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The password itself is sent.
    Password,
    /// The password is proved.
    Srp,
    /// A refresh token is given.
    Refresh,
}

/// How the flow of that name begins, if this caller may use it with this client.
pub(super) fn enabled(sign_in: SignIn<'_>, name: &str) -> Result<Step> {
    let (step, flow) = match (name, sign_in.door) {
        ("USER_PASSWORD_AUTH", Door::Public) => (Some(Step::Password), Flow::UserPassword),
        ("ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH", Door::Admin) => {
            (Some(Step::Password), Flow::AdminUserPassword)
        }
        ("USER_SRP_AUTH", _) => (Some(Step::Srp), Flow::UserSrp),
        ("REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN", _) => (Some(Step::Refresh), Flow::Refresh),
        ("CUSTOM_AUTH", _) => (None, Flow::Custom),
        ("USER_AUTH", _) => (None, Flow::User),
        _ => {
            return Err(Error::invalid_parameter(
                "Initiate Auth method not supported.",
            ));
        }
    };
    // Where refresh tokens rotate, GetTokensFromRefreshToken alone exchanges them.
    let rotates = flow == Flow::Refresh && sign_in.client.rotation().is_some();
    if rotates || !sign_in.client.allows(flow) {
        return Err(not_enabled(name));
    }
    step.ok_or_else(|| {
        Error::not_built(if flow == Flow::Custom {
            "CUSTOM_AUTH"
        } else {
            "USER_AUTH"
        })
    })
}

/// Each flow has its own words at AWS.
fn not_enabled(name: &str) -> Error {
    Error::invalid_parameter(match name {
        "USER_PASSWORD_AUTH" | "USER_AUTH" => format!("{name} flow not enabled for this client"),
        "USER_SRP_AUTH" | "CUSTOM_AUTH" => format!("{name} is not enabled for the client."),
        _ => "Auth flow not enabled for this client".to_owned(),
    })
}
