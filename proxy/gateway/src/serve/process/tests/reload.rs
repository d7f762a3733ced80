//! Reloads: all or nothing, and everybody is told.

use super::{
    forward::drop_blocking,
    harness::{Gate, Origin, client, folder, replace, until, write_secret},
};
use crate::status::Degraded;

const SETTINGS: &str = "
listeners: [{address: 127.0.0.1:0}]
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
routes:
  - {name: one, match: {path: /one}, authenticate: none, authorize: none, upstream: {to: origin}}
";

async fn run() -> (Gate, Origin) {
    let run = || {
        let origin = Origin::run();
        (Gate::run(SETTINGS, &origin), origin)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_put_in_force() {
    let (gate, origin) = run().await;
    let client = client();
    let status = async |path: &str| {
        let answer = client.get(gate.url(path)).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!((status("/one").await, status("/two").await), (200, 404));
    replace(&gate.settings(), "path: /one", "path: /two");
    until("the new route", async || status("/two").await == 200).await;
    assert_eq!(status("/one").await, 404);
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reload_changes_nothing_and_recovers() {
    let (gate, origin) = run().await;
    let health = gate.status();
    let client = client();
    let status = async || {
        let answer = client.get(gate.url("/one")).send().await.unwrap();
        answer.status().as_u16()
    };
    replace(&gate.settings(), "to: origin", "to: nowhere");
    gate.reload();
    until("degraded", async || !health.degraded().is_empty()).await;
    let degraded = health.degraded();
    assert_eq!(degraded[0].what, "settings");
    assert!(degraded[0].why.contains("nowhere"), "{degraded:?}");
    assert_eq!(status().await, 200);
    replace(&gate.settings(), "to: nowhere", "to: origin");
    until("well again", async || health.degraded().is_empty()).await;
    assert_eq!(status().await, 200);
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_said() {
    let (gate, origin) = run().await;
    let health = gate.status();
    replace(&gate.settings(), "127.0.0.1:0", "127.0.0.2:0");
    until("degraded", async || !health.degraded().is_empty()).await;
    assert_eq!(health.degraded()[0].what, "listeners");
    drop_blocking((gate, origin)).await;
}

const POOLS: &str = "
listeners: [{address: 127.0.0.1:0}]
pools: {store: 'sqlite:pools.db', seal: {file: seal.key}, public_url: 'http://127.0.0.1:1'}
routes:
  - {name: pools, match: {}, serve: pools}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_only_refused_settings_name_is_followed() {
    let run = || {
        let origin = Origin::run();
        let gate = Gate::run_with(folder(), POOLS, &origin, |_| ());
        (gate, origin)
    };
    let (gate, origin) = tokio::task::spawn_blocking(run).await.unwrap();
    let health = gate.status();
    let secret = gate.settings().with_file_name("operator.key");
    replace(
        &gate.settings(),
        "pools: {",
        "pools: {operators: [{access_key_id: A, secret: {file: operator.key}, pools: ['*']}], ",
    );
    let names_it = |degraded: &Degraded| degraded.why.contains("operator.key` cannot be read");
    until("refused", async || health.degraded().iter().any(names_it)).await;
    write_secret(&secret, "0123456789abcdef");
    until("well again", async || health.degraded().is_empty()).await;
    drop_blocking((gate, origin)).await;
}
