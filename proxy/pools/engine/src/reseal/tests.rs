use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::harness::{Harness, document};
use crate::pool::Pool;
use crate::user::{self, Invitation};
use crate::{Refusal, client, pool, seal, signing_key};

const PASSWORDS: [&str; 3] = ["First-Horse-1", "Second-Horse-2", "Third-Horse-3"];

/// One row of everything this crate seals, beside what the pool brings.
async fn fill(harness: &Harness, pool: &Arc<Pool>) {
    let engine = &harness.engine;
    let invitation = Invitation {
        username: "ada".to_owned(),
        password: Some(PASSWORDS[0].to_owned().into()),
        suppress: true,
        ..Invitation::default()
    };
    user::admin_create(engine, pool, invitation).await.unwrap();
    for password in &PASSWORDS[1..] {
        user::admin_set_password(engine, pool, "ada", password, true)
            .await
            .unwrap();
    }
    let place = place("derivation_keys", "sealed", &["n"]);
    let key = engine
        .sealer()
        .seal(engine.rng(), &place, b"secret")
        .unwrap();
    engine
        .db()
        .write_with(args![key], move |tx, of_key| {
            Box::pin(async move {
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
    let policy = json!({"MinimumLength": 8, "PasswordHistorySize": 3});
    let settings = document(json!({"Policies": {"PasswordPolicy": policy}}));
    let pool = pool::create(&harness.engine, "staff", settings)
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
    fill(&harness, &pool).await;

    let both = harness.open_with(&["2", "1"]).await.unwrap();
    // The first pass seals again, the second finds nothing and retires the key.
    run(&both).await.unwrap();
    run(&both).await.unwrap();
    assert!(older_keys(&both).await.unwrap().is_empty());

    let alone = harness.open_with(&["2"]).await.unwrap();
    signing_key::jwks(&alone, pool.id()).await.unwrap();
    let (_, found) = client::load(&alone, client.id()).await.unwrap();
    assert_eq!(found.secrets()[0].expose(), client.secrets()[0].expose());
    for known in PASSWORDS {
        let again = user::admin_set_password(&alone, &pool, "ada", known, true).await;
        let refused = again.unwrap_err().refusal();
        assert_eq!(refused, Some(Refusal::PasswordHistoryPolicyViolation));
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
