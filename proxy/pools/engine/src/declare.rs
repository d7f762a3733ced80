//! Pools, clients and groups that the settings declare: made if they are absent, left alone if they are there.

use serde_json::json;

use crate::client::{self, Flows};
use crate::config::{DeclaredClient, DeclaredPool};
use crate::group::{self, Group};
use crate::pool::{self, Document, Pool};
use crate::{Engine, Error, Result, signing_key};

/// Makes what is absent, each pool in one transaction; several processes may do so at once.
pub(crate) async fn declare(engine: &Engine) -> Result<()> {
    let declared = &engine.config().declare;
    if let Some((place, problem)) = problems(declared).into_iter().next() {
        return Err(Error::Declared {
            place: format!("pools.{place}"),
            problem,
        });
    }
    for (index, pool) in declared.iter().enumerate() {
        declare_pool(engine, pool, &format!("pools.declare[{index}]")).await?;
    }
    Ok(())
}

/// What keeps declarations from being made, each with its place below `pools`.
fn problems(declared: &[DeclaredPool]) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for (index, pool) in declared.iter().enumerate() {
        let place = format!("declare[{index}]");
        if !is_pool_id(&pool.id) {
            let problem = format!(
                "`{}` is not a pool id: `<region>_<letters and digits>`, at most 55 characters",
                pool.id
            );
            problems.push((format!("{place}.id"), problem));
        }
        if declared
            .iter()
            .take(index)
            .any(|earlier| earlier.id == pool.id)
        {
            problems.push((
                format!("{place}.id"),
                format!("pool `{}` is declared twice", pool.id),
            ));
        }
        for (at, name) in pool.auto_verified_attributes.iter().enumerate() {
            if !matches!(name.as_str(), "email" | "phone_number") {
                let problem =
                    format!("`{name}` cannot be verified: give `email` or `phone_number`");
                problems.push((format!("{place}.auto_verified_attributes[{at}]"), problem));
            }
        }
        for (at, client) in pool.clients.iter().enumerate() {
            client_problems(client, &format!("{place}.clients[{at}]"), &mut problems);
        }
        for (at, name) in pool.groups.iter().enumerate() {
            if !(1..=128).contains(&name.chars().count()) || name.contains(char::is_whitespace) {
                let problem =
                    format!("`{name}` is not a group name: 1 to 128 characters without spaces");
                problems.push((format!("{place}.groups[{at}]"), problem));
            }
        }
    }
    let ids: Vec<_> = declared
        .iter()
        .flat_map(|pool| &pool.clients)
        .map(|client| client.id.as_str())
        .collect();
    for (index, id) in ids.iter().enumerate() {
        if ids.iter().take(index).any(|earlier| earlier == id) {
            problems.push(("declare".into(), format!("client `{id}` is declared twice")));
        }
    }
    problems
}

fn client_problems(client: &DeclaredClient, place: &str, problems: &mut Vec<(String, String)>) {
    if !is_client_id(&client.id) {
        let problem = format!(
            "`{}` is not a client id: letters, digits, `_` and `+`, at most 128 characters",
            client.id
        );
        problems.push((format!("{place}.id"), problem));
    }
    if let Err(error) = Flows::read(&flow_names(client)) {
        problems.push((format!("{place}.flows"), error.to_string()));
    }
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

/// Short names (`USER_SRP_AUTH`) are the `ALLOW_` forms without their prefix, never the older values of the same name;
/// whoever names flows may always refresh.
fn flow_names(client: &DeclaredClient) -> Vec<String> {
    let mut names: Vec<String> = client
        .flows
        .iter()
        .map(|flow| {
            if flow.starts_with("ALLOW_") {
                flow.clone()
            } else {
                format!("ALLOW_{flow}")
            }
        })
        .collect();
    let refresh = "ALLOW_REFRESH_TOKEN_AUTH";
    if !names.is_empty() && !names.iter().any(|name| name == refresh) {
        names.push(refresh.into());
    }
    names
}

fn is_pool_id(id: &str) -> bool {
    let Some((region, name)) = id.rsplit_once('_') else {
        return false;
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    id.len() <= 55
        && !region.is_empty()
        && region.chars().all(word)
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_client_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '+')
}

#[cfg(test)]
mod tests;
