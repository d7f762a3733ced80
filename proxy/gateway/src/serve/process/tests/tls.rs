//! TLS listeners: certificates by name, HTTP/2 by ALPN, and new certificates without a restart.

use std::{net::SocketAddr, path::Path, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::{
    forward::drop_blocking,
    harness::{Gate, Origin, replace, until},
};
use crate::status::Status;

pub(super) const SETTINGS: &str = "
listeners:
  - address: 127.0.0.1:0
    tls: {certificates: [{cert: a.crt, key: a.key}, {cert: b.crt, key: b.key}]}
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
routes:
  - {name: all, match: {}, authenticate: none, authorize: none, upstream: {to: origin}}
";

/// Writes a certificate of its own for a name, and gives it back.
pub(super) fn certificate(dir: &Path, file: &str, name: &str) -> reqwest::Certificate {
    certificate_with(dir, file, name, |_| ())
}

fn certificate_with(
    dir: &Path,
    file: &str,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> reqwest::Certificate {
    use std::os::unix::fs::PermissionsExt as _;
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let signing_key = KeyPair::generate().unwrap();
    let made = rcgen::CertifiedKey {
        cert: params.self_signed(&signing_key).unwrap(),
        signing_key,
    };
    let (cert, key) = (
        dir.join(format!("{file}.crt")),
        dir.join(format!("{file}.key")),
    );
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

pub(super) fn client(
    trusted: reqwest::Certificate,
    name: &str,
    address: SocketAddr,
) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_certs_only([trusted])
        .resolve(name, address)
        .build()
        .unwrap()
}

/// A gate with two certificates, which come with it.
async fn run() -> (Gate, Origin, reqwest::Certificate, reqwest::Certificate) {
    let run = || {
        let dir: TempDir = tempfile::tempdir().unwrap();
        let a = certificate(dir.path(), "a", "a.example");
        let b = certificate(dir.path(), "b", "b.example");
        let origin = Origin::run();
        (Gate::run_in(dir, SETTINGS, &origin), origin, a, b)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_chosen_by_name_and_replaced_by_reloads() {
    let (gate, origin, a, b) = run().await;
    let address = gate.addresses[0];
    let url = |name: &str| format!("https://{name}:{}/x", address.port());
    for (name, trusted) in [("a.example", a.clone()), ("b.example", b)] {
        let answer = client(trusted, name, address)
            .get(url(name))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        let saw: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(saw["headers"]["x-forwarded-proto"], "https");
        assert_eq!(saw["headers"]["host"], format!("{name}:{}", address.port()));
    }
    let wrong = client(a, "b.example", address)
        .get(url("b.example"))
        .send()
        .await;
    assert!(wrong.is_err());
    let fresh = certificate(gate.dir.path(), "a", "a.example");
    gate.reload();
    until("the new certificate", async || {
        let client = client(fresh.clone(), "a.example", address);
        client.get(url("a.example")).send().await.is_ok()
    })
    .await;
    drop_blocking((gate, origin)).await;
}

/// Waits until the listener shows this certificate of a.example.
async fn is_shown(certificate: &reqwest::Certificate, address: SocketAddr) {
    until("the new certificate", async || {
        let client = client(certificate.clone(), "a.example", address);
        let url = format!("https://a.example:{}/x", address.port());
        client.get(url).send().await.is_ok()
    })
    .await;
}

/// Waits until it is told that something is not well, and why.
async fn is_degraded(health: &Status, why: &str) {
    until(why, async || {
        let mut degraded = health.degraded().into_iter();
        degraded.any(|one| one.why.contains(why))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_nobody_may_take_do_not_come_in_force() {
    let (gate, origin, a, _) = run().await;
    let (address, health, dir) = (gate.addresses[0], gate.status(), gate.dir.path().to_owned());
    let is_told = async |why: &str| {
        is_degraded(&health, why).await;
        // The one from before serves on.
        let client = client(a.clone(), "a.example", address);
        let url = format!("https://a.example:{}/x", address.port());
        client.get(url).send().await.unwrap();
    };
    let with = |change: fn(&mut CertificateParams)| {
        certificate_with(&dir, "a", "a.example", change);
        gate.reload();
    };
    with(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    is_told("a.crt: the certificate expired at 2020-01-02T00:00:00Z").await;
    with(|params| params.not_before = rcgen::date_time_ymd(3020, 1, 2));
    is_told("a.crt: the certificate is not valid before 3020-01-02T00:00:00Z").await;
    with(|params| {
        params.not_before = rcgen::date_time_ymd(1951, 1, 2);
        params.not_after = rcgen::date_time_ymd(1969, 1, 2);
    });
    is_told("a.crt: the certificate expired at 1970-01-01T00:00:00Z").await;
    // Of another key.
    std::fs::copy(dir.join("b.crt"), dir.join("a.crt")).unwrap();
    gate.reload();
    is_told("certificate and key cannot be used together").await;
    let fresh = certificate(&dir, "a", "a.example");
    gate.reload();
    is_shown(&fresh, address).await;
    until("all is well", async || health.degraded().is_empty()).await;
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_comes_in_force_when_it_is_valid() {
    let (gate, origin, _, _) = run().await;
    let (address, health, dir) = (gate.addresses[0], gate.status(), gate.dir.path().to_owned());
    let fresh = certificate_with(&dir, "a", "a.example", |params| {
        params.not_before = time::OffsetDateTime::now_utc() + Duration::from_secs(2);
    });
    gate.reload();
    is_degraded(&health, "is not valid before").await;
    is_shown(&fresh, address).await;
    until("all is well", async || health.degraded().is_empty()).await;
    drop_blocking((gate, origin)).await;
}

/// One that expires while it is in force holds up nothing, and does not come to be another's place either.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_stays_where_it_is() {
    let run = || {
        let dir = tempfile::tempdir().unwrap();
        let a = certificate_with(dir.path(), "a", "a.example", |params| {
            params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        });
        let b = certificate(dir.path(), "b", "b.example");
        let origin = Origin::run();
        (Gate::run_in(dir, SETTINGS, &origin), origin, a, b)
    };
    let (gate, origin, _, b) = tokio::task::spawn_blocking(run).await.unwrap();
    let (address, health) = (gate.addresses[0], gate.status());
    replace(&gate.settings(), "match: {}", "match: {path: /y}");
    let status = async || {
        let client = client(b.clone(), "b.example", address);
        let url = format!("https://b.example:{}/x", address.port());
        client.get(url).send().await.unwrap().status()
    };
    gate.reload();
    until("the change is in force", async || status().await == 404).await;
    assert_eq!(health.degraded(), []);
    let (one, other) = ("{cert: a.crt, key: a.key}", "{cert: b.crt, key: b.key}");
    let (before, after) = (format!("{one}, {other}"), format!("{other}, {one}"));
    replace(&gate.settings(), &before, &after);
    gate.reload();
    is_degraded(&health, "a.crt: the certificate expired").await;
    assert_eq!(status().await, 404, "the good one serves on");
    drop_blocking((gate, origin)).await;
}

/// A listener that is added takes a restart, and so do its certificates.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_keeps_its_certificates_where_another_is_put_before_it() {
    let (gate, origin, a, _) = run().await;
    let health = gate.status();
    replace(
        &gate.settings(),
        "  - address: 127.0.0.1:0\n",
        "  - address: 127.0.0.2:0\n    tls: {certificates: [{cert: b.crt, key: b.key}]}\n  - address: 127.0.0.1:0\n",
    );
    until("a restart is awaited", async || {
        let mut degraded = health.degraded().into_iter();
        degraded.any(|one| one.what == "listeners")
    })
    .await;
    let address = gate.addresses[0];
    let client = client(a, "a.example", address);
    let url = format!("https://a.example:{}/x", address.port());
    let answer = client.get(url).send().await;
    drop_blocking((gate, origin)).await;
    assert!(answer.is_ok(), "{answer:?}");
}
