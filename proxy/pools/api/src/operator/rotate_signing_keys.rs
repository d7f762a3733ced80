//! `RotateSigningKeys`: new signing keys for a pool, at once or after a time of being published.

use wire::operator::{RotateSigningKeysRequest, RotateSigningKeysResponse};

use crate::{Admin, Result};

pub(super) async fn rotate_signing_keys(
    cx: Admin<'_>,
    req: RotateSigningKeysRequest,
) -> Result<RotateSigningKeysResponse> {
    let pool = cx.pool(&req.user_pool_id).await?;
    let delay_ms = req.activate_after_seconds.unwrap_or_default() * 1000;
    let active_ms = cx.engine().now_ms() + delay_ms;
    let key_ids = engine::signing_key::rotate(cx.engine(), pool.id(), active_ms).await?;
    Ok(RotateSigningKeysResponse {
        key_ids: Some(key_ids),
    })
}
