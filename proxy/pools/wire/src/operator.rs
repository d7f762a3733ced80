//! Our own operations, for what operators do and AWS has no call for. They travel as awsJson 1.1, signed for
//! `cognito-idp`, with the target prefix `PortcullisOperator`.

use serde::{Deserialize, Serialize};

use crate::operation::{ErrorShape, Protocol, Service, operations};
use crate::shape::{Kind, Location, Member, Pattern, Shape};

/// What the service is called on the wire.
pub static SERVICE: Service = Service {
    name: "portcullis-operator",
    protocol: Protocol::Json11,
    signing_name: "cognito-idp",
    target_prefix: Some("PortcullisOperator"),
    version: "1",
    xml_namespace: None,
    errors: &[
        ErrorShape {
            name: "AccessDeniedException",
            code: "AccessDeniedException",
            status: 400,
        },
        ErrorShape {
            name: "InternalErrorException",
            code: "InternalErrorException",
            status: 500,
        },
        ErrorShape {
            name: "InvalidParameterException",
            code: "InvalidParameterException",
            status: 400,
        },
        ErrorShape {
            name: "ReloadFailedException",
            code: "ReloadFailedException",
            status: 400,
        },
        ErrorShape {
            name: "ResourceNotFoundException",
            code: "ResourceNotFoundException",
            status: 400,
        },
    ],
};

operations! {
    /// The settings, and all they name, once more.
    Reload(ReloadRequest) -> ReloadResponse {
        signed: true, method: "POST", uri: "/", wrapper: None, input: RELOAD_REQUEST,
        errors: ["AccessDeniedException", "InternalErrorException", "InvalidParameterException", "ReloadFailedException"]
    }
    /// New signing keys for a pool.
    RotateSigningKeys(RotateSigningKeysRequest) -> RotateSigningKeysResponse {
        signed: true, method: "POST", uri: "/", wrapper: None, input: ROTATE_SIGNING_KEYS_REQUEST,
        errors: ["AccessDeniedException", "InternalErrorException", "InvalidParameterException", "ResourceNotFoundException"]
    }
}

/// Reads the settings and the policies, certificates, keys and secrets they name again, as `SIGHUP` does; what cannot be
/// read changes nothing. Of several processes it is about the one that answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReloadRequest {}

/// What is in force now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReloadResponse {
    /// Counts what was put in force since the process started; the first is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What has changed in the settings, and waits for a restart or an upgrade; as `listeners`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaiting_restart: Option<Vec<String>>,
}

/// Makes new signing keys for a pool; the earlier ones stay published while tokens of theirs live.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotateSigningKeysRequest {
    /// The pool.
    pub user_pool_id: String,
    /// Seconds for which the new keys are only published, before they sign; at once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activate_after_seconds: Option<i64>,
}

/// The keys that were made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotateSigningKeysResponse {
    /// The `kid`s of the new keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ids: Option<Vec<String>>,
}

static POOL_ID_PATTERN: Pattern = Pattern::new(r"[\w-]+_[0-9a-zA-Z]+");

static POOL_ID: Shape = Shape {
    sensitive: false,
    kind: Kind::Text {
        min: Some(1),
        max: Some(55),
        pattern: Some(&POOL_ID_PATTERN),
        values: &[],
    },
};

/// A week is longer than any key set is cached.
static DELAY: Shape = Shape {
    sensitive: false,
    kind: Kind::Integer {
        min: Some(0),
        max: Some(604_800),
    },
};

static RELOAD_REQUEST: Shape = Shape {
    sensitive: false,
    kind: Kind::Structure {
        union: false,
        members: &[],
    },
};

static ROTATE_SIGNING_KEYS_REQUEST: Shape = Shape {
    sensitive: false,
    kind: Kind::Structure {
        union: false,
        members: &[
            Member {
                name: "UserPoolId",
                required: true,
                location: Location::Body,
                shape: &POOL_ID,
            },
            Member {
                name: "ActivateAfterSeconds",
                required: false,
                location: Location::Body,
                shape: &DELAY,
            },
        ],
    },
};
