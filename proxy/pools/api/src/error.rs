//! What a call is refused with: an exception's name and public text, and private detail that is only logged.

use std::borrow::Cow;
use std::error::Error as StdError;

use engine::Refusal;
use http::StatusCode;

/// An operation's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An exception of AWS's.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// Where it is not what the service's model says of `code`, or 400.
    pub(crate) status: Option<StatusCode>,
    /// Logged once, never shown.
    #[source]
    pub(crate) detail: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// The exception of that name, such as `InvalidParameterException`.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            status: None,
            detail: None,
        }
    }

    /// A value that the rules do not allow.
    pub fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// What the caller asked for is not there.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    /// A failure of our own; `detail` is logged and the caller learns nothing of it.
    pub fn internal(detail: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            status: Some(StatusCode::INTERNAL_SERVER_ERROR),
            detail: Some(detail.into()),
            ..Self::new("InternalErrorException", INTERNAL)
        }
    }

    /// The exception's name.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// An operation of AWS's that is not built.
    pub(crate) fn not_built(operation: &str) -> Self {
        Self::new(
            "NotImplementedException",
            format!("{operation} is not implemented"),
        )
        .with_status(StatusCode::NOT_IMPLEMENTED)
    }

    /// Nothing that we could call an operation.
    pub(crate) fn unknown_operation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("UnknownOperationException", message)
    }

    /// The operator's rights do not reach so far.
    pub(crate) fn access_denied(message: String) -> Self {
        Self::new("AccessDeniedException", message)
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused { kind, message } => Self::new(exception(kind), message),
            engine::Error::NotBuilt(what) => Self::not_built(what),
            // A node that cannot learn of revocations must not believe tokens; the caller may try again.
            engine::Error::Stale => {
                Self::internal(error).with_status(StatusCode::SERVICE_UNAVAILABLE)
            }
            failure => Self::internal(failure),
        }
    }
}

impl From<sigv4::Refusal> for Error {
    fn from(refusal: sigv4::Refusal) -> Self {
        let code = match refusal {
            sigv4::Refusal::Missing => "MissingAuthenticationTokenException",
            sigv4::Refusal::Incomplete(_) => "IncompleteSignatureException",
            sigv4::Refusal::Invalid(_) | sigv4::Refusal::Mismatch => "InvalidSignatureException",
        };
        Self::new(code, refusal.to_string())
    }
}

/// The wire's name of a refusal.
fn exception(kind: Refusal) -> &'static str {
    match kind {
        Refusal::AliasExists => "AliasExistsException",
        Refusal::CodeDeliveryFailure => "CodeDeliveryFailureException",
        Refusal::CodeMismatch => "CodeMismatchException",
        Refusal::ConcurrentModification => "ConcurrentModificationException",
        Refusal::EnableSoftwareTokenMfa => "EnableSoftwareTokenMFAException",
        Refusal::ExpiredCode => "ExpiredCodeException",
        Refusal::FeatureUnavailableInTier => "FeatureUnavailableInTierException",
        Refusal::Forbidden => "ForbiddenException",
        Refusal::GroupExists => "GroupExistsException",
        Refusal::InvalidEmailRoleAccessPolicy => "InvalidEmailRoleAccessPolicyException",
        Refusal::InvalidOAuthFlow => "InvalidOAuthFlowException",
        Refusal::InvalidParameter => "InvalidParameterException",
        Refusal::InvalidPassword => "InvalidPasswordException",
        Refusal::InvalidSmsRoleAccessPolicy => "InvalidSmsRoleAccessPolicyException",
        Refusal::InvalidUserPoolConfiguration => "InvalidUserPoolConfigurationException",
        Refusal::LimitExceeded => "LimitExceededException",
        Refusal::MfaMethodNotFound => "MFAMethodNotFoundException",
        Refusal::NotAuthorized => "NotAuthorizedException",
        Refusal::PasswordHistoryPolicyViolation => "PasswordHistoryPolicyViolationException",
        Refusal::PasswordResetRequired => "PasswordResetRequiredException",
        Refusal::RefreshTokenReuse => "RefreshTokenReuseException",
        Refusal::ResourceNotFound => "ResourceNotFoundException",
        Refusal::ScopeDoesNotExist => "ScopeDoesNotExistException",
        Refusal::TooManyFailedAttempts => "TooManyFailedAttemptsException",
        Refusal::TooManyRequests => "TooManyRequestsException",
        Refusal::UnauthorizedClient => "UnauthorizedException",
        Refusal::UnsupportedIdentityProvider => "UnsupportedIdentityProviderException",
        Refusal::UnsupportedOperation => "UnsupportedOperationException",
        Refusal::UnsupportedTokenType => "UnsupportedTokenTypeException",
        Refusal::UnsupportedUserState => "UnsupportedUserStateException",
        Refusal::UserNotConfirmed => "UserNotConfirmedException",
        Refusal::UserNotFound => "UserNotFoundException",
        Refusal::UserPoolTagging => "UserPoolTaggingException",
        Refusal::UsernameExists => "UsernameExistsException",
    }
}

const INTERNAL: &str = "Internal server error";
