//! What tests stand on: databases of their own and, with the feature `engine`, an engine that holds still.

#[cfg(feature = "engine")]
mod engine;
mod postgres;
mod sqlite;

#[cfg(feature = "engine")]
pub use self::engine::TestEngine;
pub use postgres::PostgresCluster;
pub use sqlite::SqliteFile;
