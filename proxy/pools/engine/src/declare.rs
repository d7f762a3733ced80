//! Pools, clients and groups that the settings declare: made if they are absent, left alone if they are there.

mod check;

use serde_json::json;

pub use check::{DeclaredPlace, DeclaredStep, Misdeclared};

use crate::client;
use crate::config::{DeclaredClient, DeclaredPool};
use crate::group::{self, Group};
use crate::pool::{self, Document, Pool};
use crate::{Engine, Error, Result, signing_key};

/// Makes what is absent, each pool in one transaction; several processes may do so at once.
pub(crate) async fn declare(engine: &Engine) -> Result<()> {
    let declared = &engine.config().declare;
    if let Some(problem) = DeclaredPool::misdeclared(declared).into_iter().next() {
        return Err(Error::Declared {
            place: format!("pools.declare{}", problem.place),
            problem: problem.message,
        });
    }
    for (index, pool) in declared.iter().enumerate() {
        declare_pool(engine, pool, &format!("pools.declare[{index}]")).await?;
    }
    Ok(())
}

async fn declare_pool(engine: &Engine, declared: &DeclaredPool, place: &str) -> Result<()> {
    let in_place = |source: Error| match source {
        Error::Refused { message, .. } => Error::Declared {
            place: place.to_owned(),
            problem: message.into_owned(),
        },
        other => other,
    };
    let (pool, keys) = if let Some(pool) = pool::find(engine, &declared.id).await? {
        (pool, Vec::new())
    } else {
        let pool = new_pool(engine, declared).map_err(in_place)?;
        let keys = signing_key::prepare(engine, &declared.id, engine.now_ms()).await?;
        (pool.into(), keys)
    };
    let clients = declared
        .clients
        .iter()
        .map(|client| new_client(engine, &pool, client));
    let rows = clients.collect::<Result<Vec<_>>>().map_err(in_place)?;
    let groups: Vec<_> = declared
        .groups
        .iter()
        .map(|name| new_group(engine, &pool, name))
        .collect();
    engine
        .db()
        .write_with(
            (pool, keys, rows, groups),
            |tx, (pool, keys, rows, groups)| {
                Box::pin(async move {
                    // Another process may have made the pool meanwhile, with keys of its own.
                    if !keys.is_empty() && pool::insert_if_absent(tx, pool).await? {
                        signing_key::insert(tx, pool.id(), keys).await?;
                    }
                    for client in rows {
                        client.insert_if_absent(tx).await?;
                    }
                    for group in groups {
                        group::insert_if_absent(tx, group).await?;
                    }
                    Ok(())
                })
            },
        )
        .await
}

fn new_pool(engine: &Engine, declared: &DeclaredPool) -> Result<Pool> {
    let mut settings = Document::new();
    if !declared.auto_verified_attributes.is_empty() {
        settings.insert(
            "AutoVerifiedAttributes".into(),
            json!(declared.auto_verified_attributes),
        );
    }
    let name = declared.name.as_deref().unwrap_or(&declared.id);
    pool::prepare(declared.id.clone(), name, settings, engine.now_ms())
}

fn new_client(engine: &Engine, pool: &Pool, declared: &DeclaredClient) -> Result<client::Rows> {
    let mut settings = Document::new();
    settings.insert("ExplicitAuthFlows".into(), json!(flow_names(declared)));
    settings.insert(
        "PreventUserExistenceErrors".into(),
        json!(declared.prevent_user_existence_errors.as_str()),
    );
    let name = declared.name.as_deref().unwrap_or(&declared.id);
    client::Rows::of(
        engine,
        &client::prepare(engine, pool, declared.id.clone(), name, settings)?,
    )
}

fn new_group(engine: &Engine, pool: &Pool, name: &str) -> Group {
    let now_ms = engine.now_ms();
    Group {
        pool_id: pool.id().to_owned(),
        name: name.to_owned(),
        description: None,
        role_arn: None,
        precedence: None,
        created_ms: now_ms,
        modified_ms: now_ms,
    }
}

/// Whoever names flows may always refresh.
fn flow_names(client: &DeclaredClient) -> Vec<String> {
    let mut names: Vec<String> = client.flows.iter().map(|flow| flow_name(flow)).collect();
    let refresh = "ALLOW_REFRESH_TOKEN_AUTH";
    if !names.is_empty() && !names.iter().any(|name| name == refresh) {
        names.push(refresh.into());
    }
    names
}

/// Short names (`USER_SRP_AUTH`) are the `ALLOW_` forms without their prefix, never the older values of the same name.
fn flow_name(flow: &str) -> String {
    if flow.starts_with("ALLOW_") {
        flow.to_owned()
    } else {
        format!("ALLOW_{flow}")
    }
}

#[cfg(test)]
mod tests;
