//! The password policy of a pool.

use serde::Deserialize;

use crate::{Error, Result};

/// `Policies.PasswordPolicy`, with AWS's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "AWS's shape")]
pub struct PasswordPolicy {
    #[serde(default = "minimum_length")]
    minimum_length: usize,
    #[serde(default)]
    require_uppercase: bool,
    #[serde(default)]
    require_lowercase: bool,
    #[serde(default)]
    require_numbers: bool,
    #[serde(default)]
    require_symbols: bool,
    #[serde(default)]
    password_history_size: usize,
    #[serde(default)]
    temporary_password_validity_days: u16,
}

impl PasswordPolicy {
    /// Refuses a password that does not meet the policy; says of the first rule it breaks.
    pub fn check(&self, password: &str) -> Result<()> {
        let has = |wanted: fn(char) -> bool| password.chars().any(wanted);
        let problem = if password.chars().count() < self.minimum_length {
            "Password not long enough"
        } else if password.chars().count() > MAX_LENGTH {
            "Password must be no longer than 256 characters"
        } else if self.require_uppercase && !has(char::is_uppercase) {
            "Password must have uppercase characters"
        } else if self.require_lowercase && !has(char::is_lowercase) {
            "Password must have lowercase characters"
        } else if self.require_numbers && !has(|c| c.is_ascii_digit()) {
            "Password must have numeric characters"
        } else if self.require_symbols && !has_symbol(password) {
            "Password must have symbol characters"
        } else {
            return Ok(());
        };
        Err(Error::password_policy(problem))
    }

    /// Characters a password has at least.
    pub fn minimum_length(&self) -> usize {
        self.minimum_length
    }

    /// Earlier passwords that must not come again, 0 to 24.
    pub fn history_size(&self) -> usize {
        self.password_history_size
    }

    /// How long a temporary password works, in days; 0 in the settings means 7.
    pub fn temporary_days(&self) -> u16 {
        if self.temporary_password_validity_days == 0 {
            TEMPORARY_DAYS
        } else {
            self.temporary_password_validity_days
        }
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            minimum_length: minimum_length(),
            require_uppercase: true,
            require_lowercase: true,
            require_numbers: true,
            require_symbols: true,
            password_history_size: 0,
            temporary_password_validity_days: TEMPORARY_DAYS,
        }
    }
}

/// AWS's set; a space counts inside the password, not at its ends.
fn has_symbol(password: &str) -> bool {
    password.contains(|c| SYMBOLS.contains(c)) || password.trim_matches(' ').contains(' ')
}

fn minimum_length() -> usize {
    8
}

const MAX_LENGTH: usize = 256;
const SYMBOLS: &str = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-";
/// Days a temporary password works when nothing is said.
pub(crate) const TEMPORARY_DAYS: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_broken_rule_is_told() {
        let policy = PasswordPolicy::default();
        for (password, problem) in [
            ("Aa1!", "Password not long enough"),
            ("abcdef1!", "Password must have uppercase characters"),
            ("ABCDEF1!", "Password must have lowercase characters"),
            ("Abcdefg!", "Password must have numeric characters"),
            ("Abcdefg1", "Password must have symbol characters"),
            (" Abcdefg1 ", "Password must have symbol characters"),
        ] {
            let message = policy.check(password).unwrap_err().to_string();
            assert_eq!(
                message,
                format!("Password did not conform with policy: {problem}")
            );
        }
        policy.check("Abcdef1!").unwrap();
        policy.check("Abcd ef1").unwrap();
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded() {
        let policy: PasswordPolicy = serde_json::from_str(r#"{"MinimumLength":6}"#).unwrap();
        policy.check("éééééé").unwrap();
        policy.check("ééééé").unwrap_err();
        policy.check(&"a".repeat(256)).unwrap();
        policy.check(&"a".repeat(257)).unwrap_err();
    }

    #[test]
    fn zero_days_mean_the_default() {
        let policy: PasswordPolicy =
            serde_json::from_str(r#"{"TemporaryPasswordValidityDays":0}"#).unwrap();
        assert_eq!(policy.temporary_days(), 7);
    }
}
