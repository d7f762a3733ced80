//! What goes wrong, in two kinds: a refusal the caller is told of, and a failure whose detail stays with us.

use std::borrow::Cow;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller is told: a kind and a message of AWS's.
    #[error("{message}")]
    Refused {
        /// The exception's kind.
        kind: Refusal,
        /// Public text.
        message: Cow<'static, str>,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// A sealed value could not be opened, or the given keys do not fit the store.
    #[error(transparent)]
    Seal(#[from] crate::seal::Error),
    /// What the store holds is not what this version writes.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// The kind of record.
        what: &'static str,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The cryptographic library refused.
    #[error("{0} failed")]
    Crypto(&'static str),
    /// Part of AWS's behaviour that is not there yet; callers are told so.
    #[error("{0} is not built")]
    NotBuilt(&'static str),
    /// What was revoked elsewhere is not known freshly enough to tell.
    #[error("revocations are not known at the moment")]
    Stale,
    /// A declared pool, client or group is not valid.
    #[error("{place}: {problem}")]
    Declared {
        /// Where in the settings.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// The operating system refused.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// The exceptions of the user pools' API, without their suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "AWS's names, explained in its API reference")]
pub enum Refusal {
    AliasExists,
    CodeDeliveryFailure,
    CodeMismatch,
    ConcurrentModification,
    EnableSoftwareTokenMfa,
    ExpiredCode,
    FeatureUnavailableInTier,
    Forbidden,
    GroupExists,
    InvalidEmailRoleAccessPolicy,
    InvalidOAuthFlow,
    InvalidParameter,
    InvalidPassword,
    InvalidSmsRoleAccessPolicy,
    InvalidUserPoolConfiguration,
    LimitExceeded,
    MfaMethodNotFound,
    NotAuthorized,
    PasswordHistoryPolicyViolation,
    PasswordResetRequired,
    RefreshTokenReuse,
    ResourceNotFound,
    ScopeDoesNotExist,
    TooManyFailedAttempts,
    TooManyRequests,
    UnauthorizedClient,
    UnsupportedIdentityProvider,
    UnsupportedOperation,
    UnsupportedTokenType,
    UnsupportedUserState,
    UserNotConfirmed,
    UserNotFound,
    UserPoolTagging,
    UsernameExists,
}

impl Error {
    /// A refusal with a public message.
    pub fn refused(kind: Refusal, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused {
            kind,
            message: message.into(),
        }
    }

    /// The refusal's kind; `None` for failures of our own.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// A stored record that cannot be read.
    pub(crate) fn corrupt(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            what,
            source: Some(source.into()),
        }
    }

    /// Part of AWS's behaviour that is not there yet, by its name.
    pub fn not_built(what: &'static str) -> Self {
        Self::NotBuilt(what)
    }

    // The messages that clients match, verbatim. AWS's texts are not documented; those that its SDKs and emulators
    // match on are the reference.

    /// A parameter that the model allows and the rules do not.
    pub fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused(Refusal::InvalidParameter, message)
    }

    /// A member beyond a limit that only the rules know, in the words of the model's own limits; its value is not shown.
    pub fn beyond_limit(member: &str, limit: &str) -> Self {
        Self::invalid_parameter(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {limit}"
        ))
    }

    /// An authentication that failed, with a message of its own.
    pub fn not_authorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused(Refusal::NotAuthorized, message)
    }

    /// Wrong user name or password, without saying which.
    pub fn incorrect_credentials() -> Self {
        Self::not_authorized("Incorrect username or password.")
    }

    /// The user is disabled.
    pub fn user_disabled() -> Self {
        Self::not_authorized("User is disabled.")
    }

    /// The user is not there.
    pub fn user_not_found() -> Self {
        Self::refused(Refusal::UserNotFound, "User does not exist.")
    }

    /// The user has not confirmed the sign-up.
    pub fn user_not_confirmed() -> Self {
        Self::refused(Refusal::UserNotConfirmed, "User is not confirmed.")
    }

    /// The user must set a new password first.
    pub fn password_reset_required() -> Self {
        Self::refused(
            Refusal::PasswordResetRequired,
            "Password reset required for the user",
        )
    }

    /// The user name is taken.
    pub fn username_exists() -> Self {
        Self::refused(Refusal::UsernameExists, "User already exists")
    }

    /// An alias (`email`, `phone_number`, `preferred_username`) is taken.
    pub fn alias_exists(attribute: &str) -> Self {
        Self::refused(
            Refusal::AliasExists,
            format!("An account with the {attribute} already exists."),
        )
    }

    /// The code is not the one that was sent.
    pub fn code_mismatch() -> Self {
        Self::refused(
            Refusal::CodeMismatch,
            "Invalid verification code provided, please try again.",
        )
    }

    /// The code is too old, or none was sent.
    pub fn expired_code() -> Self {
        Self::refused(
            Refusal::ExpiredCode,
            "Invalid code provided, please request a code again.",
        )
    }

    /// Too many attempts in a time.
    pub fn attempt_limit() -> Self {
        Self::refused(
            Refusal::LimitExceeded,
            "Attempt limit exceeded, please try after some time.",
        )
    }

    /// More at once than this engine takes.
    pub fn too_many_requests() -> Self {
        Self::refused(Refusal::TooManyRequests, "Too many requests")
    }

    /// A password against the pool's policy.
    pub fn password_policy(problem: &str) -> Self {
        Self::refused(
            Refusal::InvalidPassword,
            format!("Password did not conform with policy: {problem}"),
        )
    }

    /// The pool is not there.
    pub fn pool_not_found(id: &str) -> Self {
        Self::refused(
            Refusal::ResourceNotFound,
            format!("User pool {id} does not exist."),
        )
    }

    /// The app client is not there.
    pub fn client_not_found(id: &str) -> Self {
        Self::refused(
            Refusal::ResourceNotFound,
            format!("User pool client {id} does not exist."),
        )
    }

    /// The group is not there.
    pub fn group_not_found() -> Self {
        Self::refused(Refusal::ResourceNotFound, "Group not found.")
    }

    /// The access token is not one of ours, or not a token.
    pub fn invalid_access_token() -> Self {
        Self::not_authorized("Invalid Access Token")
    }
}
