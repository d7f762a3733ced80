//! Rows of clients and their secrets.

use store::{Db, Row, Tx, args};
use zeroize::Zeroizing;

use super::document::View;
use super::{Client, Document, Identity, Secret, Summary};
use crate::{Engine, Error, Result, page, seal};

/// What an insertion writes: sealing is not done within a transaction.
pub(crate) struct Rows {
    id: String,
    pool_id: String,
    name: String,
    settings: String,
    created_ms: i64,
    secrets: Vec<(String, String)>,
}

impl Rows {
    pub(crate) fn of(engine: &Engine, client: &Client) -> Result<Self> {
        let seal = |secret: &Secret| {
            let place = seal::place("client_secrets", "sealed", &[&client.id, secret.id()]);
            Ok((
                secret.id().to_owned(),
                engine
                    .sealer()
                    .seal(engine.rng(), &place, secret.expose().as_bytes())?,
            ))
        };
        Ok(Self {
            id: client.id.clone(),
            pool_id: client.pool_id.clone(),
            name: client.name.clone(),
            settings: settings(client)?,
            created_ms: client.created_ms,
            secrets: client.secrets.iter().map(seal).collect::<Result<_>>()?,
        })
    }

    /// `false` if a client of that id is there.
    pub(crate) async fn insert_if_absent(&self, tx: &mut Tx) -> Result<bool> {
        let args = args![
            self.id,
            self.pool_id,
            self.name,
            self.settings,
            self.created_ms
        ];
        if tx.execute(INSERT, args).await? == 0 {
            return Ok(false);
        }
        for (id, sealed) in &self.secrets {
            tx.execute(INSERT_SECRET, args![self.id, id, sealed, self.created_ms])
                .await?;
        }
        Ok(true)
    }
}

/// The client with its secrets opened; one statement.
pub(super) async fn find(engine: &Engine, id: &str) -> Result<Option<Client>> {
    read(engine, id, &engine.db().rows(FIND, args![id]).await?)
}

/// Likewise, in a transaction: opening the secrets takes microseconds.
pub(super) async fn find_in(tx: &mut Tx, engine: &Engine, id: &str) -> Result<Option<Client>> {
    read(engine, id, &tx.rows(FIND, args![id]).await?)
}

fn read(engine: &Engine, id: &str, rows: &[Row]) -> Result<Option<Client>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let secrets = rows
        .iter()
        .filter_map(|row| open(engine, id, row).transpose())
        .collect::<Result<_>>()?;
    let document: Document = serde_json::from_str(&first.text("settings")?)
        .map_err(|source| Error::corrupt("client", source))?;
    let identity = Identity {
        id: first.text("id")?,
        pool_id: first.text("pool_id")?,
        name: first.text("name")?,
    };
    Client::build(
        identity,
        document,
        secrets,
        first.int("created_ms")?,
        first.int("modified_ms")?,
    )
    .map(Some)
}

/// Whether all tokens that the client got since then carry `origin_jti`; `false` if the client is gone.
///
/// Its settings tell it of now alone: where they changed since, they may have been others.
pub(crate) async fn named_sign_ins_since(tx: &mut Tx, id: &str, since_ms: i64) -> Result<bool> {
    let sql = "SELECT settings, created_ms, modified_ms FROM clients WHERE id = $1";
    let Some(row) = tx.row(sql, args![id]).await? else {
        return Ok(false);
    };
    let modified_ms = row.int("modified_ms")?;
    if modified_ms >= since_ms && modified_ms != row.int("created_ms")? {
        return Ok(false);
    }
    let document: Document = serde_json::from_str(&row.text("settings")?)
        .map_err(|source| Error::corrupt("client", source))?;
    Ok(View::read(&document)?.has_origin())
}

/// Writes the settings of a client that was found in this transaction.
pub(super) async fn update(tx: &mut Tx, client: &Client) -> Result<()> {
    let settings = settings(client)?;
    tx.execute(
        UPDATE,
        args![client.id, client.name, settings, client.modified_ms],
    )
    .await?;
    Ok(())
}

/// `false` if the client is gone.
pub(super) async fn delete(tx: &mut Tx, pool_id: &str, id: &str) -> Result<bool> {
    Ok(tx
        .execute(
            "DELETE FROM clients WHERE pool_id = $1 AND id = $2",
            args![pool_id, id],
        )
        .await?
        == 1)
}

pub(super) async fn list(
    db: &Db,
    pool_id: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Summary>> {
    let rows = db
        .rows(LIST, args![pool_id, after, page::one_more(limit)])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Summary {
                id: row.text("id")?,
                pool_id: row.text("pool_id")?,
                name: row.text("name")?,
            })
        })
        .collect()
}

fn open(engine: &Engine, client_id: &str, row: &Row) -> Result<Option<Secret>> {
    let Some(id) = row.opt_text("secret_id")? else {
        return Ok(None);
    };
    let place = seal::place("client_secrets", "sealed", &[client_id, &id]);
    let bytes = engine.sealer().open(&place, &row.text("sealed")?)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|source| Error::corrupt("client secret", source))?;
    Ok(Some(Secret::new(
        id,
        Zeroizing::new(text.to_owned()),
        row.opt_int("secret_ms")?,
    )))
}

fn settings(client: &Client) -> Result<String> {
    serde_json::to_string(&client.document).map_err(|source| Error::corrupt("client", source))
}

const FIND: &str =
    "SELECT clients.*, client_secrets.id AS secret_id, client_secrets.sealed AS sealed,
        client_secrets.created_ms AS secret_ms
    FROM clients LEFT JOIN client_secrets ON client_secrets.client_id = clients.id
    WHERE clients.id = $1 ORDER BY client_secrets.created_ms";
const INSERT: &str = "INSERT INTO clients (id, pool_id, name, settings, created_ms, modified_ms)
    VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (id) DO NOTHING";
const INSERT_SECRET: &str =
    "INSERT INTO client_secrets (client_id, id, sealed, created_ms) VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE clients SET name = $2, settings = $3, modified_ms = $4 WHERE id = $1";
const LIST: &str =
    "SELECT id, pool_id, name FROM clients WHERE pool_id = $1 AND id > $2 ORDER BY id LIMIT $3";
