//! The store's versions, in order; a released one never changes.

use store::Migration;

/// All migrations.
pub(crate) const ALL: &[Migration] = &[
    Migration {
        version: 1,
        name: "pool",
        sql: include_str!("../migrations/0001_pool.sql"),
    },
    Migration {
        version: 2,
        name: "user",
        sql: include_str!("../migrations/0002_user.sql"),
    },
    Migration {
        version: 3,
        name: "auth",
        sql: include_str!("../migrations/0003_auth.sql"),
    },
    Migration {
        version: 4,
        name: "name_allowances",
        sql: include_str!("../migrations/0004_name_allowances.sql"),
    },
    Migration {
        version: 5,
        name: "refresh_token_indexes",
        sql: include_str!("../migrations/0005_refresh_token_indexes.sql"),
    },
];
