//! `Reload`: the settings, and all they name, once more.

use wire::operator::{ReloadRequest, ReloadResponse};

use crate::{Admin, Error, Result};

pub(super) async fn reload(cx: Admin<'_>, _: ReloadRequest) -> Result<ReloadResponse> {
    // Settings are about all pools.
    cx.allow_all()?;
    let reloaded = cx.gate().reload().await;
    let reloaded = reloaded.map_err(|why| Error::new("ReloadFailedException", why.join("\n")))?;
    Ok(ReloadResponse {
        generation: Some(reloaded.generation),
        awaiting_restart: Some(reloaded.awaiting_restart),
    })
}
