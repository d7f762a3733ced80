//! What tests stand on: databases of their own.

mod postgres;
mod sqlite;

pub use postgres::PostgresCluster;
pub use sqlite::SqliteFile;
