//! The gate.

pub(crate) mod admit;
pub(crate) mod head;
pub(crate) mod record;
pub(crate) mod refuse;
