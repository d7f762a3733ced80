//! Threads that serve no calls but do one thing after another: on these, what blocks is done in place.

use std::cell::Cell;

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Says of this thread that it may block, from now on: reads of SQLite are done in place. For a thread that serves nobody
/// else, as it cannot be taken back.
pub fn may_block_here() {
    MAY_BLOCK.set(true);
}

/// Whether this thread may block. Where it may not, such work goes to one that may, and comes back.
pub(crate) fn may_block() -> bool {
    MAY_BLOCK.get()
}
