//! The store: one SQL text over embedded SQLite or PostgreSQL, migrations, and the only place that names their
//! drivers.
//!
//! It is the last stage of an API call: `api::<operation>` asks `engine::<noun>`, whose SQL runs here.
//!
//! ```no_run
//! # async fn example() -> Result<(), store::Error> {
//! # const MIGRATIONS: &[store::Migration] = &[];
//! use store::{Db, args};
//!
//! let db = Db::open("sqlite:pools.db", MIGRATIONS).await?;
//! let name = "readers".to_owned();
//! db.write_with(name, |tx, name| Box::pin(async move {
//!     tx.execute("INSERT INTO groups (name, size) VALUES ($1, $2)", args![name, 0_i64]).await
//! })).await?;
//! let size = db.row("SELECT size FROM groups WHERE name = $1", args!["readers"]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What both databases promise alike:
//! - parameters are `$1`, `$2` …; a column is TEXT or BIGINT; text is compared bytewise;
//! - a write is serialisable and, once answered, survives a crash of the process or the machine;
//! - after one statement of a transaction failed, the transaction is lost: say `ON CONFLICT` where a conflict is
//!   expected, and look at the number of rows.

mod blocking;
mod db;
mod error;
mod job;
mod migrate;
mod observe;
mod postgres;
mod row;
mod sqlite;
mod target;
mod tx;
mod value;

pub use blocking::may_block_here;
pub use db::Db;
pub use error::{Error, Result, Violation};
pub use job::BoxFuture;
pub use migrate::Migration;
pub use observe::{Kind, Observer};
pub use row::Row;
pub use tx::Tx;
pub use value::{Argument, Sql, Value};

/// Above the number of different statements in the engine, so that none is ever prepared twice on a connection.
const STATEMENTS: usize = 512;
