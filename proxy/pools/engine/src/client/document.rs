//! A client's settings in AWS's shape: defaults filled in, rules checked, the rest kept to the letter.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Flow, Flows, Lifetimes, Secret, oauth};
use crate::pool::{Document, Pool};
use crate::rng::{self, Rng};
use crate::{Error, Result};

/// The settings that have effect.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct View {
    #[serde(default)]
    explicit_auth_flows: Vec<String>,
    access_token_validity: Option<u64>,
    id_token_validity: Option<u64>,
    refresh_token_validity: Option<u64>,
    #[serde(default)]
    token_validity_units: Units,
    auth_session_validity: Option<u64>,
    pub(super) read_attributes: Option<Vec<String>>,
    pub(super) write_attributes: Option<Vec<String>>,
    prevent_user_existence_errors: Option<String>,
    enable_token_revocation: Option<bool>,
    refresh_token_rotation: Option<Rotation>,
    enable_propagate_additional_user_context_data: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct Units {
    #[serde(rename = "AccessToken")]
    access: Option<String>,
    #[serde(rename = "IdToken")]
    id: Option<String>,
    #[serde(rename = "RefreshToken")]
    refresh: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rotation {
    feature: String,
    retry_grace_period_seconds: Option<u64>,
}

impl View {
    pub(super) fn read(document: &Document) -> Result<Self> {
        Self::deserialize(&Value::Object(document.clone()))
            .map_err(|source| Error::corrupt("client", source))
    }

    pub(super) fn flows(&self) -> Result<Flows> {
        Flows::read(&self.explicit_auth_flows)
    }

    pub(super) fn lifetimes(&self) -> Lifetimes {
        let units = &self.token_validity_units;
        Lifetimes {
            access: span(
                self.access_token_validity.unwrap_or(0),
                units.access.as_deref(),
                HOUR,
            ),
            id: span(
                self.id_token_validity.unwrap_or(0),
                units.id.as_deref(),
                HOUR,
            ),
            refresh: span(
                self.refresh_token_validity.unwrap_or(0),
                units.refresh.as_deref(),
                DAY,
            ),
        }
        .or_defaults()
    }

    pub(super) fn session(&self) -> Duration {
        Duration::from_mins(self.auth_session_validity.unwrap_or(SESSION_MINUTES))
    }

    pub(super) fn hides_absent_users(&self) -> bool {
        self.prevent_user_existence_errors.as_deref() == Some("ENABLED")
    }

    pub(super) fn revocation(&self) -> bool {
        self.enable_token_revocation.unwrap_or(true)
    }

    pub(super) fn rotation(&self) -> Option<Duration> {
        let rotation = self
            .refresh_token_rotation
            .as_ref()
            .filter(|rotation| rotation.feature == "ENABLED")?;
        Some(Duration::from_secs(
            rotation.retry_grace_period_seconds.unwrap_or(0),
        ))
    }

    pub(super) fn has_origin(&self) -> bool {
        self.revocation() || self.rotation().is_some()
    }

    fn check(&self, pool: &Pool, has_secret: bool) -> Result<()> {
        let flows = self.flows()?;
        if self.rotation().is_some()
            && flows.contains(Flow::Refresh)
            && !self.explicit_auth_flows.is_empty()
        {
            return Err(Error::invalid_parameter(
                "ALLOW_REFRESH_TOKEN_AUTH cannot be enabled together with refresh token rotation.",
            ));
        }
        if self.enable_propagate_additional_user_context_data == Some(true) && !has_secret {
            return Err(Error::invalid_parameter(
                "EnablePropagateAdditionalUserContextData can only be enabled for a client with a client secret.",
            ));
        }
        check_lifetimes(self.lifetimes())?;
        self.check_attributes(pool)
    }

    fn check_attributes(&self, pool: &Pool) -> Result<()> {
        let known = |name: &String| pool.schema().attribute(name).is_some();
        if !self.read_attributes.iter().flatten().all(known) {
            return Err(Error::invalid_parameter(
                "Invalid read attributes specified while creating a client",
            ));
        }
        let Some(write) = &self.write_attributes else {
            return Ok(());
        };
        let complete = pool
            .schema()
            .required()
            .all(|required| write.iter().any(|name| name == required));
        if !complete || !write.iter().all(|name| known(name) && !is_read_only(name)) {
            return Err(Error::invalid_parameter(
                "Invalid write attributes specified while creating a client",
            ));
        }
        Ok(())
    }
}

impl Lifetimes {
    /// Zero stands for the default.
    fn or_defaults(self) -> Self {
        let or = |given: Duration, default| if given.is_zero() { default } else { given };
        Self {
            access: or(self.access, HOUR),
            id: or(self.id, HOUR),
            refresh: or(self.refresh, DAY * 30),
        }
    }
}

/// The complete settings of a client that has a secret or has none.
pub(super) fn complete(pool: &Pool, mut document: Document, has_secret: bool) -> Result<Document> {
    for list in ["ReadAttributes", "WriteAttributes", "ExplicitAuthFlows"] {
        // An empty list is the same as none.
        if document
            .get(list)
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
        {
            document.remove(list);
        }
    }
    if document
        .get("RefreshTokenValidity")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        == 0
    {
        document.insert("RefreshTokenValidity".into(), 30.into());
        if let Some(Value::Object(units)) = document.get_mut("TokenValidityUnits") {
            units.remove("RefreshToken");
        }
    }
    for (key, default) in [
        ("TokenValidityUnits", json!({})),
        ("AllowedOAuthFlowsUserPoolClient", false.into()),
        ("EnableTokenRevocation", true.into()),
        ("EnablePropagateAdditionalUserContextData", false.into()),
        ("AuthSessionValidity", SESSION_MINUTES.into()),
    ] {
        document.entry(key).or_insert(default);
    }
    View::deserialize(&Value::Object(document.clone()))
        .map_err(|_| Error::invalid_parameter("Invalid app client settings."))?
        .check(pool, has_secret)?;
    oauth::check(pool, &document, has_secret)?;
    Ok(document)
}

/// Takes `GenerateSecret` and `ClientSecret` out of a new client's settings and gives the secret they ask for.
pub(super) fn take_secret(settings: &mut Document, rng: &dyn Rng) -> Result<Option<Secret>> {
    let generate = settings.remove("GenerateSecret") == Some(Value::Bool(true));
    let text = match (generate, settings.remove("ClientSecret")) {
        (true, Some(_)) => {
            return Err(Error::invalid_parameter(
                "GenerateSecret and ClientSecret cannot be specified together.",
            ));
        }
        (false, Some(Value::String(given))) => Zeroizing::new(given),
        (true, None) => Zeroizing::new(rng::text(rng, rng::LOWER_ALPHANUMERIC, SECRET_LENGTH)),
        (false, _) => return Ok(None),
    };
    Ok(Some(Secret::new(rng::uuid(rng), text, None)))
}

/// What no client writes: facts that only the pool establishes.
pub(super) fn is_read_only(attribute: &str) -> bool {
    matches!(
        attribute,
        "sub" | "email_verified" | "phone_number_verified" | "identities"
    ) || attribute.starts_with("dev:")
}

fn check_lifetimes(lifetimes: Lifetimes) -> Result<()> {
    let short = MINUTE * 5..=DAY;
    let fits = short.contains(&lifetimes.access)
        && short.contains(&lifetimes.id)
        && (HOUR..=DAY * 3650).contains(&lifetimes.refresh)
        && lifetimes.access <= lifetimes.refresh
        && lifetimes.id <= lifetimes.refresh;
    if fits {
        Ok(())
    } else {
        Err(Error::invalid_parameter(
            "Invalid range for token validity.",
        ))
    }
}

fn span(count: u64, unit: Option<&str>, default: Duration) -> Duration {
    let unit = match unit {
        Some("seconds") => Duration::from_secs(1),
        Some("minutes") => MINUTE,
        Some("hours") => HOUR,
        Some("days") => DAY,
        _ => default,
    };
    // Saturates: the limits refuse what is too long.
    Duration::from_secs(unit.as_secs().saturating_mul(count))
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const SESSION_MINUTES: u64 = 3;
/// More than 256 bits, and as long as AWS's.
const SECRET_LENGTH: usize = 51;
