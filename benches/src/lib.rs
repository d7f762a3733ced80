//! What the benches measure: a pool, a token it issued, routes and the pet store's policies, as the gate has them.
//!
//! Stands beside the product; nothing of it ships.

mod bare;
mod budget;
pub mod callgrind;
mod crowd;
mod gate;
mod many;
mod measure;
mod pool;

pub use bare::{BareDecision, BareSigner, BareVerifier, openssl_sign_seconds};
pub use budget::{Budgets, Finding, Verdict};
pub use callgrind::Stage;
pub use crowd::{Crowd, resident};
pub use gate::{Gate, Head, Who};
pub use many::guard_among;
pub use measure::{Cost, Lane, Single, at_once, duel, race};
pub use pool::Pool;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
