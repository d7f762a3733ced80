//! Ways to sign in, `ExplicitAuthFlows`.

use crate::{Error, Result};

/// One way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// `USER_SRP_AUTH`
    UserSrp,
    /// `USER_PASSWORD_AUTH`
    UserPassword,
    /// `ADMIN_USER_PASSWORD_AUTH`, once `ADMIN_NO_SRP_AUTH`
    AdminUserPassword,
    /// `CUSTOM_AUTH`
    Custom,
    /// `USER_AUTH`
    User,
    /// `REFRESH_TOKEN_AUTH`
    Refresh,
}

/// The ways a client allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flows(u8);

impl Flow {
    const fn bit(self) -> u8 {
        match self {
            Self::UserSrp => 1,
            Self::UserPassword => 2,
            Self::AdminUserPassword => 4,
            Self::Custom => 8,
            Self::User => 16,
            Self::Refresh => 32,
        }
    }
}

impl Flows {
    /// What AWS allows where nothing is said.
    pub(crate) const DEFAULT: Self =
        Self(Flow::Refresh.bit() | Flow::UserSrp.bit() | Flow::Custom.bit());

    /// Whether the flow is among them.
    pub fn contains(self, flow: Flow) -> bool {
        self.0 & flow.bit() != 0
    }

    /// Reads the values of `ExplicitAuthFlows`; those before and after `ALLOW_` came do not mix.
    pub(crate) fn read(values: &[String]) -> Result<Self> {
        if values.is_empty() {
            return Ok(Self::DEFAULT);
        }
        let modern = values
            .iter()
            .filter(|value| value.starts_with("ALLOW_"))
            .count();
        if modern != 0 && modern != values.len() {
            return Err(Error::invalid_parameter(
                "You cannot mix ExplicitAuthFlows values with and without the ALLOW_ prefix.",
            ));
        }
        // Before `ALLOW_`, SRP and refresh needed no mention, and one value switched all but custom flows off.
        let legacy = |value: &String| matches!(value.as_str(), "CUSTOM_AUTH_FLOW_ONLY");
        let implied = match (modern, values.iter().any(legacy)) {
            (0, false) => Self::DEFAULT.0,
            (0, true) => Flow::Refresh.bit() | Flow::Custom.bit(),
            _ => 0,
        };
        values.iter().try_fold(Self(implied), |flows, value| {
            Ok(Self(flows.0 | bit(value)?))
        })
    }
}

fn bit(value: &str) -> Result<u8> {
    match value {
        "ALLOW_USER_SRP_AUTH" => Ok(Flow::UserSrp.bit()),
        "ALLOW_USER_PASSWORD_AUTH" | "USER_PASSWORD_AUTH" => Ok(Flow::UserPassword.bit()),
        "ALLOW_ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH" => Ok(Flow::AdminUserPassword.bit()),
        "ALLOW_CUSTOM_AUTH" | "CUSTOM_AUTH_FLOW_ONLY" => Ok(Flow::Custom.bit()),
        "ALLOW_USER_AUTH" => Ok(Flow::User.bit()),
        "ALLOW_REFRESH_TOKEN_AUTH" => Ok(Flow::Refresh.bit()),
        other => Err(Error::invalid_parameter(format!(
            "Invalid ExplicitAuthFlows value `{other}`."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Flows> {
        Flows::read(
            &values
                .iter()
                .map(|value| (*value).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn nothing_said_means_srp_custom_and_refresh() {
        let flows = read(&[]).unwrap();
        assert!(
            flows.contains(Flow::UserSrp)
                && flows.contains(Flow::Custom)
                && flows.contains(Flow::Refresh)
        );
        assert!(!flows.contains(Flow::UserPassword) && !flows.contains(Flow::AdminUserPassword));
    }

    #[test]
    fn prefixed_values_allow_only_themselves() {
        let flows = read(&["ALLOW_USER_PASSWORD_AUTH"]).unwrap();
        assert!(flows.contains(Flow::UserPassword));
        assert!(!flows.contains(Flow::UserSrp) && !flows.contains(Flow::Refresh));
    }

    #[test]
    fn older_values_imply_srp_and_refresh() {
        let flows = read(&["ADMIN_NO_SRP_AUTH"]).unwrap();
        assert!(flows.contains(Flow::AdminUserPassword) && flows.contains(Flow::UserSrp));
        assert!(flows.contains(Flow::Refresh));
        assert!(
            !read(&["CUSTOM_AUTH_FLOW_ONLY"])
                .unwrap()
                .contains(Flow::UserSrp)
        );
    }

    #[test]
    fn the_two_forms_do_not_mix() {
        read(&["ALLOW_USER_SRP_AUTH", "USER_PASSWORD_AUTH"]).unwrap_err();
        read(&["ALLOW_EVERYTHING"]).unwrap_err();
    }
}
