//! Pools and app clients on the wire: the settings documents that the engine keeps, and back.

use engine::Engine;
use engine::client::Client;
use engine::pool::{Document, Pool};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::EpochSeconds;
use wire::idp::{ClientTypeType, UserPoolClientType, UserPoolType};

use crate::{Error, Result};

/// A request's members without those that are no settings.
pub(super) fn of_request(request: &impl Serialize, others: &[&str]) -> Result<Document> {
    match serde_json::to_value(request).map_err(Error::internal)? {
        Value::Object(mut document) => {
            document.retain(|name, _| !others.contains(&name.as_str()));
            Ok(document)
        }
        _ => Err(Error::internal("a request is not an object")),
    }
}

/// A pool as `DescribeUserPool` shows it.
pub(super) async fn pool(engine: &Engine, pool: &Pool) -> Result<UserPoolType> {
    let users = engine::pool::count_users(engine, pool.id()).await?;
    Ok(UserPoolType {
        id: Some(pool.id().to_owned()),
        name: Some(pool.name().to_owned()),
        arn: Some(engine.pool_arn(pool.id())),
        creation_date: Some(EpochSeconds(pool.created_ms())),
        last_modified_date: Some(EpochSeconds(pool.modified_ms())),
        estimated_number_of_users: Some(users),
        ..typed(pool.document())?
    })
}

/// An app client as `DescribeUserPoolClient` shows it, its secret included.
pub(super) fn client(client: &Client) -> Result<UserPoolClientType> {
    Ok(UserPoolClientType {
        user_pool_id: Some(client.pool_id().to_owned()),
        client_id: Some(client.id().to_owned()),
        client_name: Some(client.name().to_owned()),
        client_secret: client
            .secrets()
            .first()
            .map(|secret| secret.expose().to_owned()),
        creation_date: Some(EpochSeconds(client.created_ms())),
        last_modified_date: Some(EpochSeconds(client.modified_ms())),
        client_type: Some(ClientTypeType::Regular),
        ..typed(client.document())?
    })
}

fn typed<T: DeserializeOwned>(document: &Document) -> Result<T> {
    T::deserialize(Value::Object(document.clone())).map_err(Error::internal)
}
