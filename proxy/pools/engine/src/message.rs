//! Messages to users: what they say, where they go, and how a caller is told of it.

pub(crate) mod mask;
mod outbox;
mod template;

use std::future::Future;
use std::io;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use outbox::Outbox;
use template::Text;

use crate::pool::Pool;
use crate::user::User;
use crate::{Engine, Error, Refusal, Result};

/// A message to one user, ready to be sent. It holds a secret and has no `Debug`.
#[derive(Clone, Serialize)]
pub(crate) struct Message {
    #[serde(serialize_with = "rfc3339")]
    pub(crate) time: OffsetDateTime,
    pub(crate) user_pool: String,
    /// As the caller sent it.
    pub(crate) username: String,
    pub(crate) sub: String,
    pub(crate) purpose: Purpose,
    pub(crate) medium: Medium,
    /// Unmasked.
    pub(crate) destination: String,
    /// A code or a temporary password.
    pub(crate) code: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To confirm a sign-up.
    SignUp,
    /// The same once more.
    ResendCode,
    /// To prove an address that was changed.
    UpdateUserAttribute,
    /// To prove an address when the user asks for it.
    VerifyUserAttribute,
    /// To set a new password.
    ForgotPassword,
    /// The temporary password of a new user.
    AdminCreateUser,
}

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Medium {
    /// To the `email` attribute.
    Email,
    /// To the `phone_number` attribute.
    Sms,
}

impl Medium {
    /// As in AWS's `DeliveryMedium`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Sms => "SMS",
        }
    }

    /// The attribute that holds the destination.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "phone_number",
        }
    }

    /// The medium that reaches an attribute's value.
    pub fn of(attribute: &str) -> Option<Self> {
        match attribute {
            "email" => Some(Self::Email),
            "phone_number" => Some(Self::Sms),
            _ => None,
        }
    }

    /// A destination as shown to callers.
    pub fn mask(self, destination: &str) -> String {
        match self {
            Self::Email => mask::email(destination),
            Self::Sms => mask::phone(destination),
        }
    }
}

/// `CodeDeliveryDetails`: where a code went, masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Masked.
    pub destination: String,
    /// How.
    pub medium: Medium,
}

impl Delivery {
    /// What a caller is told about a message to `destination`.
    pub fn to(medium: Medium, destination: &str) -> Self {
        Self {
            destination: medium.mask(destination),
            medium,
        }
    }
}

/// To whom a message goes, where, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address<'a> {
    pub(crate) user: &'a User,
    /// As the caller named the user.
    pub(crate) named: &'a str,
    pub(crate) purpose: Purpose,
    pub(crate) medium: Medium,
    /// Unmasked.
    pub(crate) destination: &'a str,
}

/// Sends a code, in the pool's words; answers what the caller is told of it.
pub(crate) async fn send_code(
    engine: &Engine,
    pool: &Pool,
    to: Address<'_>,
    code: &str,
) -> Result<Delivery> {
    send(
        engine,
        to,
        code,
        template::verification(pool, to.medium, code),
    )
    .await?;
    Ok(Delivery::to(to.medium, to.destination))
}

/// Sends a temporary password, in the pool's words.
pub(crate) async fn send_invitation(
    engine: &Engine,
    pool: &Pool,
    to: Address<'_>,
    password: &str,
) -> Result<()> {
    send(
        engine,
        to,
        password,
        template::invitation(pool, to.medium, to.named, password),
    )
    .await
}

async fn send(engine: &Engine, to: Address<'_>, code: &str, text: Text) -> Result<()> {
    let message = Message {
        time: OffsetDateTime::from(engine.clock().now()),
        user_pool: to.user.pool_id.clone(),
        username: to.named.to_owned(),
        sub: to.user.sub.clone(),
        purpose: to.purpose,
        medium: to.medium,
        destination: to.destination.to_owned(),
        code: code.to_owned(),
        subject: text.subject,
        body: text.body,
    };
    engine.outbox().deliver(&message).await
}

/// Runs to its end even if the caller leaves meanwhile: what was committed is also sent.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let end = tokio::spawn(work).await;
    end.unwrap_or_else(|source| {
        Err(Error::Io {
            what: "sending a message",
            source: io::Error::other(source),
        })
    })
}

/// The refusal when a message cannot leave; what was to be told stays changed, as in AWS.
pub(crate) fn undeliverable() -> Error {
    Error::refused(
        Refusal::CodeDeliveryFailure,
        "Unable to deliver the message: no way of delivery is configured.",
    )
}

/// The refusal when a message could not be written; the operator reads why, the caller does not.
fn not_delivered(source: &io::Error) -> Error {
    tracing::error!(error = %source, "A message cannot be written to the outbox");
    Error::refused(
        Refusal::CodeDeliveryFailure,
        "Unable to deliver the message.",
    )
}

fn rfc3339<S: Serializer>(time: &OffsetDateTime, out: S) -> std::result::Result<S::Ok, S::Error> {
    out.serialize_str(&time.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
}
