//! What the store promises, held on SQLite and on PostgreSQL by the same tests.

#[path = "suite/place.rs"]
mod place;

#[path = "suite/backup.rs"]
mod backup;
#[path = "suite/migrations.rs"]
mod migrations;
#[path = "suite/moved.rs"]
mod moved;
#[path = "suite/reads.rs"]
mod reads;
#[path = "suite/text.rs"]
mod text;
#[path = "suite/writes.rs"]
mod writes;
