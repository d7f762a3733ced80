//! What `cargo xtask codegen` writes: one module a service.

/// Cognito user pools (`cognito-idp`).
#[expect(missing_docs, reason = "AWS documents its shapes")]
pub mod idp;

/// Cognito identity pools (`cognito-identity`).
#[expect(missing_docs, reason = "AWS documents its shapes")]
pub mod identity;

/// Cognito Sync (`cognito-sync`).
#[expect(missing_docs, reason = "AWS documents its shapes")]
pub mod sync;

/// Security Token Service (`sts`).
#[expect(missing_docs, reason = "AWS documents its shapes")]
pub mod sts;

/// Verified Permissions (`verifiedpermissions`).
#[expect(missing_docs, reason = "AWS documents its shapes")]
pub mod permissions;
