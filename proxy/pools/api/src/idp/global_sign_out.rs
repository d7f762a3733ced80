use engine::auth::refresh;
use wire::idp::{GlobalSignOutRequest, GlobalSignOutResponse};

use crate::{Bearer, Result};

/// `GlobalSignOut`: ends all of the user's sign-ins, this one included.
pub(super) async fn global_sign_out(
    cx: Bearer<'_>,
    _req: GlobalSignOutRequest,
) -> Result<GlobalSignOutResponse> {
    let token = cx.token();
    refresh::sign_out(cx.engine(), token.pool.id(), &token.user.sub).await?;
    Ok(GlobalSignOutResponse {})
}
