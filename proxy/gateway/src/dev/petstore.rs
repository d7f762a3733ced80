//! The demo upstream: a small HTTP service of its own, reached over TCP like any other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Serves pets until the process ends.
pub(super) async fn serve(socket: std::net::TcpListener) {
    let served = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => axum::serve(listener, router()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "The pet store failed");
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pet {
    name: String,
    kind: String,
    /// Who brought it in.
    #[serde(default, skip_deserializing)]
    owner: Option<String>,
}

type Pets = Arc<Mutex<BTreeMap<u32, Pet>>>;

fn router() -> Router {
    let pet = |name: &str, kind: &str| Pet {
        name: name.into(),
        kind: kind.into(),
        owner: None,
    };
    let pets = BTreeMap::from([(1, pet("Rex", "dog")), (2, pet("Mia", "cat"))]);
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/pets", get(list).post(add))
        .route("/pets/{id}", get(one).put(change).delete(remove))
        .route("/owners/{owner}/pets", get(owned))
        .with_state(Arc::new(Mutex::new(pets)))
}

async fn list(State(pets): State<Pets>, headers: HeaderMap) -> impl IntoResponse {
    let pets: Vec<_> = lock(&pets)
        .iter()
        .map(|(id, pet)| shown(*id, pet))
        .collect();
    Json(json!({"pets": pets, "you": you(&headers)}))
}

async fn one(State(pets): State<Pets>, Path(id): Path<u32>) -> Response {
    match lock(&pets).get(&id) {
        Some(pet) => Json(shown(id, pet)).into_response(),
        None => no_such_pet(),
    }
}

async fn owned(State(pets): State<Pets>, Path(owner): Path<String>) -> impl IntoResponse {
    let pets = lock(&pets);
    let theirs = pets
        .iter()
        .filter(|(_, pet)| pet.owner.as_ref() == Some(&owner))
        .map(|(id, pet)| shown(*id, pet));
    Json(json!({"pets": theirs.collect::<Vec<_>>()}))
}

async fn change(
    State(pets): State<Pets>,
    Path(id): Path<u32>,
    Json(changed): Json<Pet>,
) -> Response {
    match lock(&pets).get_mut(&id) {
        Some(pet) => {
            pet.name = changed.name;
            pet.kind = changed.kind;
            Json(shown(id, pet)).into_response()
        }
        None => no_such_pet(),
    }
}

async fn add(State(pets): State<Pets>, headers: HeaderMap, Json(mut pet): Json<Pet>) -> Response {
    pet.owner = you(&headers).map(str::to_owned);
    let mut pets = lock(&pets);
    if pets.len() >= MOST {
        return (StatusCode::INSUFFICIENT_STORAGE, "the store is full\n").into_response();
    }
    let id = pets
        .last_key_value()
        .map_or(1, |(last, _)| last.saturating_add(1));
    let answer = Json(shown(id, &pet));
    pets.insert(id, pet);
    (StatusCode::CREATED, answer).into_response()
}

async fn remove(State(pets): State<Pets>, Path(id): Path<u32>) -> Response {
    match lock(&pets).remove(&id) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => no_such_pet(),
    }
}

fn shown(id: u32, pet: &Pet) -> serde_json::Value {
    json!({"id": id, "name": pet.name, "kind": pet.kind})
}

/// Who asks, as the gate says; nobody else can set this header.
fn you(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-user")?.to_str().ok()
}

fn no_such_pet() -> Response {
    (StatusCode::NOT_FOUND, "no such pet\n").into_response()
}

fn lock(pets: &Pets) -> MutexGuard<'_, BTreeMap<u32, Pet>> {
    pets.lock().unwrap_or_else(PoisonError::into_inner)
}

const MOST: usize = 1000;
