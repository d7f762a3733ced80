//! Our own operations for operators, with the target prefix `PortcullisOperator`.

mod reload;
mod rotate_signing_keys;

use wire::operator::Operation;

use crate::table::table;

table! { Operation;
    Reload => reload(Admin),
    RotateSigningKeys => rotate_signing_keys(Admin),
}
