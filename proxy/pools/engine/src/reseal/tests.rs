use serde_json::json;

use super::*;
use crate::harness::{Harness, document};
use crate::{client, pool, seal, signing_key};

/// One row of everything this crate seals, beside what the pool brings.
async fn fill(harness: &Harness, pool_id: &str) {
    let engine = &harness.engine;
    let seal = |table, column, key: &[&str]| {
        engine
            .sealer()
            .seal(engine.rng(), &place(table, column, key), b"secret")
            .unwrap()
    };
    let hash = seal("users", "password_hash", &[pool_id, "u"]);
    let history = serde_json::to_string(&[&hash, &hash]).unwrap();
    let verifier = seal("users", "srp_verifier", &[pool_id, "u"]);
    let key = seal("derivation_keys", "sealed", &["n"]);
    let user = "INSERT INTO users (pool_id, sub, username, username_key, status, enabled, created_ms, modified_ms,
        attributes, password_hash, srp_verifier, password_history)
        VALUES ($1, 'u', 'u', 'u', 'CONFIRMED', 1, 0, 0, '{}', $2, $3, $4)";
    let input = (args![pool_id, hash, verifier, history], args![key]);
    engine
        .db()
        .write_with(input, move |tx, (of_user, of_key)| {
            Box::pin(async move {
                tx.execute(user, of_user.clone()).await?;
                tx.execute(
                    "INSERT INTO derivation_keys (name, sealed) VALUES ('n', $1)",
                    of_key.clone(),
                )
                .await?;
                Ok::<_, Error>(())
            })
        })
        .await
        .unwrap();
}

async fn a_key_is_retired_when_nothing_needs_it(harness: Harness) {
    let pool = pool::create(&harness.engine, "staff", document(json!({})))
        .await
        .unwrap();
    let client = client::create(
        &harness.engine,
        &pool,
        "web",
        document(json!({"GenerateSecret": true})),
    )
    .await
    .unwrap();
    fill(&harness, pool.id()).await;

    let both = harness.open_with(&["2", "1"]).await.unwrap();
    // The first pass seals again, the second finds nothing and retires the key.
    run(&both).await.unwrap();
    run(&both).await.unwrap();
    assert!(older_keys(&both).await.unwrap().is_empty());

    let alone = harness.open_with(&["2"]).await.unwrap();
    signing_key::jwks(&alone, pool.id()).await.unwrap();
    let (_, found) = client::load(&alone, client.id()).await.unwrap();
    assert_eq!(found.secrets()[0].expose(), client.secrets()[0].expose());
    let row = alone
        .db()
        .row("SELECT password_history FROM users", args![])
        .await
        .unwrap()
        .unwrap();
    let history: Vec<String> =
        serde_json::from_str(&row.text("password_history").unwrap()).unwrap();
    for sealed in history {
        alone
            .sealer()
            .open(&place("users", "password_hash", &[pool.id(), "u"]), &sealed)
            .unwrap();
    }
}

async fn a_wrong_key_is_refused_at_the_start(harness: Harness) {
    let error = harness.open_with(&["2"]).await.unwrap_err();
    assert!(
        matches!(error, Error::Seal(seal::Error::WrongKey(_))),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with("the store is sealed with key `"),
        "{error}"
    );
}

async fn a_forged_check_value_is_refused_at_the_start(harness: Harness) {
    harness
        .engine
        .db()
        .write_with((), |tx, ()| {
            Box::pin(async move {
                tx.execute("UPDATE seal_checks SET sealed = 's1.x.y'", args![])
                    .await
            })
        })
        .await
        .unwrap();
    let error = harness.second_refused().await;
    assert!(
        matches!(error, Error::Seal(seal::Error::BadCheck(_))),
        "{error}"
    );
}

/// What seals must be resealed: every column that a migration calls sealed is in the list, and no other.
#[test]
fn every_sealed_column_is_known() {
    let mut found = Vec::new();
    for migration in crate::migrations::ALL {
        let mut table = "";
        for line in migration.sql.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = rest.split([' ', '(']).next().unwrap();
            }
            let mut words = line.split_whitespace();
            if let (Some(column), Some("TEXT")) = (
                words.next(),
                words.next().map(|word| word.trim_end_matches(',')),
            ) && (column == "sealed" || line.contains("sealed"))
                && table != "seal_checks"
            {
                found.push((table.to_owned(), column.to_owned()));
            }
        }
    }
    let mut known: Vec<_> = SEALED
        .iter()
        .map(|one| (one.table.to_owned(), one.name.to_owned()))
        .collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

crate::harness::on_both_stores! {
    a_key_is_retired_when_nothing_needs_it,
    a_wrong_key_is_refused_at_the_start,
    a_forged_check_value_is_refused_at_the_start,
}
