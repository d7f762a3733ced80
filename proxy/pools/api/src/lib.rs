//! The operations of the AWS services, one file each, and the one way every call takes:
//!
//! ```text
//! POST / ─► dispatch: which operation ─► caller: SigV4 | access token | nobody ─► wire: decode, check
//!        ◄── respond: encode ◄── <service>::<operation> ─► engine
//! ```
//!
//! To build an operation: write `idp/<operation>.rs`, add its `mod` line and change its row in the table of `idp.rs` from
//! `not_built` to `<operation>(Admin)`. The first argument states the caller: [`Admin`] comes from a verified signature
//! alone, [`Bearer`] from a verified access token alone, so no operation can forget to authenticate.

mod caller;
mod dispatch;
mod error;
mod gate;
mod identity;
mod idp;
pub mod ledger;
mod observer;
mod operator;
mod operators;
mod permissions;
mod respond;
mod revocations;
mod sts;
mod sync;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::get;
use engine::Engine;

pub use caller::{Admin, Bearer, Call, Public};
pub use error::{Error, Result};
pub use gate::{Gate, Reloaded, Ungated};
pub use observer::{Observer, Unobserved};
pub use operators::{Operator, Operators, Scope};

/// What every call shares. Cheap to make anew when settings change.
pub struct Api {
    engine: Engine,
    operators: Operators,
    observer: Arc<dyn Observer>,
    gate: Arc<dyn Gate>,
}

/// The id of the request this call belongs to, put into its extensions by whoever mounts the service; without one the
/// service draws its own.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl Api {
    /// An API over `engine` for these operators, answered from `gate`.
    pub fn new(
        engine: Engine,
        operators: Operators,
        observer: Arc<dyn Observer>,
        gate: Arc<dyn Gate>,
    ) -> Self {
        Self {
            engine,
            operators,
            observer,
            gate,
        }
    }
}

/// The service: `POST /` and `OPTIONS /` for the JSON and query protocols, and Cognito Sync's paths. It answers every
/// path that reaches it; what is no operation is told so.
/// Beside them stands the feed of each pool's revocations.
pub fn service(api: Api) -> Router {
    Router::new()
        .route("/{pool}/revocations", get(revocations::answer))
        .fallback(call)
        .with_state(Arc::new(api))
}

async fn call(State(api): State<Arc<Api>>, request: Request) -> axum::response::Response {
    dispatch::answer(&api, request).await
}

#[cfg(test)]
mod tests;
