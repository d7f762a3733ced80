//! The store: one SQL text over embedded SQLite or PostgreSQL, migrations, and the only place that names sqlx.
