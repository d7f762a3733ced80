//! Our own operations for operators, with the target prefix `PortcullisOperator`.

mod rotate_signing_keys;

use wire::operator::Operation;

use crate::table::table;

table! { Operation;
    RotateSigningKeys => rotate_signing_keys(Admin),
}
