use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::fixture::{OTHER_RSA, RSA, rsa_jwk};
use crate::{Proxy, Transport};

/// An identity provider on a loopback port of the kernel's choice, which answers what it is told.
struct Provider {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    async fn start() -> Self {
        static CRYPTO: Once = Once::new();
        CRYPTO.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let requests = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, Arc::clone(&answers), Arc::clone(&requests)));
                }
            }
        });
        Self {
            address,
            answers,
            requests,
            task,
        }
    }

    fn issuer(&self) -> String {
        format!("http://{}/pool", self.address)
    }

    fn say(&self, path: &str, status: u16, body: impl fmt::Display) {
        self.answers
            .lock()
            .unwrap()
            .insert(path.to_owned(), (status, body.to_string()));
    }

    fn discovery(&self) {
        let jwks_uri = format!("http://{}/keys", self.address);
        let document = json!({"issuer": self.issuer(), "jwks_uri": jwks_uri});
        self.say("/pool/.well-known/openid-configuration", 200, document);
    }

    fn keys(&self, keys: &[Value]) {
        self.say("/keys", 200, json!({"keys": keys}));
    }

    fn source(&self) -> Source {
        Source {
            name: "aws".into(),
            issuer: self.issuer(),
            jwks_uri: None,
            dir: None,
            transport: Transport::default(),
            limits: FetchLimits::default(),
        }
    }

    async fn error(&self) -> String {
        let keys = start(self.source());
        keys.fetched().await;
        assert!(!keys.current().is_loaded());
        keys.status().last_error.unwrap()
    }
}

fn start(source: Source) -> RemoteKeys {
    RemoteKeys::start(source, None, &Handle::current()).unwrap()
}

async fn answer(
    mut stream: TcpStream,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    requests: Arc<AtomicUsize>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 512];
        let read = stream.read(&mut byte).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        request.extend_from_slice(&byte[..read]);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let (status, body) = answers
        .lock()
        .unwrap()
        .get(path)
        .cloned()
        .unwrap_or((404, String::new()));
    let location = if status == 302 {
        format!("location: {body}\r\n")
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

#[tokio::test]
async fn keys_are_found_by_discovery() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let keys = start(provider.source());
    assert!(!keys.current().is_loaded());
    keys.fetched().await;
    let status = keys.status();
    assert_eq!(
        (
            keys.current().keys().len(),
            status.keys,
            status.succeeded,
            status.failed
        ),
        (1, 1, 1, 0)
    );
    assert!(status.age.unwrap() < Duration::from_mins(1));
    assert!(status.next_refresh > Duration::from_secs(200));
    assert_eq!(status.last_error, None);
}

#[tokio::test]
async fn keys_are_fetched_from_a_given_url() {
    let provider = Provider::start().await;
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let jwks_uri = Some(format!("http://{}/keys", provider.address).parse().unwrap());
    let keys = start(Source {
        jwks_uri,
        ..provider.source()
    });
    keys.fetched().await;
    assert!(keys.current().is_loaded());
    assert_eq!(provider.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn discovery_of_another_issuer_is_refused() {
    let provider = Provider::start().await;
    provider.say(
        "/pool/.well-known/openid-configuration",
        200,
        json!({"issuer": "https://evil.test", "jwks_uri": format!("http://{}/keys", provider.address)}),
    );
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let error = provider.error().await;
    let url = format!("`{}/.well-known/openid-configuration`", provider.issuer());
    assert!(
        error.contains("another issuer") && error.contains(&url),
        "{error}"
    );
}

#[tokio::test]
async fn bad_answers_are_told_and_load_nothing() {
    let provider = Provider::start().await;
    provider.discovery();
    let bodies = [
        (404, String::new(), "answered 404"),
        (
            302,
            format!("http://{}/elsewhere", provider.address),
            "answered 302",
        ),
        (200, "<html>".into(), "not a JWK set"),
        (200, r#"{"keys":[]}"#.into(), "no key that can be used"),
        (
            200,
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.into(),
            "no key that can be used",
        ),
        (
            200,
            json!({"keys": vec![rsa_jwk(&RSA, "k1"); 101]}).to_string(),
            "has 101 keys, more than the limit of 100",
        ),
        (200, r#"{"keys":{}}"#.into(), "not a JWK set"),
        (
            200,
            format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(150 * 1024)),
            "more than the limit",
        ),
    ];
    provider.say("/elsewhere", 200, json!({"keys": [rsa_jwk(&RSA, "k1")]}));
    for (status, body, expected) in bodies {
        provider.say("/keys", status, body);
        let error = provider.error().await;
        let url = format!("`http://{}/keys`", provider.address);
        assert!(error.contains(expected) && error.contains(&url), "{error}");
    }
}

#[tokio::test]
async fn an_error_names_the_url_without_what_may_be_secret() {
    let provider = Provider::start().await;
    let error = async |url: String| {
        let keys = start(Source {
            jwks_uri: Some(url.parse().unwrap()),
            ..provider.source()
        });
        keys.fetched().await;
        keys.status().last_error.unwrap()
    };
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    provider.say("/text?key=hunter2", 200, "text");
    for (address, path) in [
        (provider.address, "text"),
        (provider.address, "absent"),
        (nobody, "keys"),
    ] {
        let error = error(format!("http://{address}/{path}?key=hunter2#hunter2")).await;
        let shown = format!("`http://{address}/{path}`");
        assert!(
            error.contains(&shown) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn plain_http_is_only_for_loopback() {
    let provider = Provider::start().await;
    for bad in [
        "http://issuer.test/x",
        "ftp://127.0.0.1/x",
        "https://user:pass@issuer.test/x",
        "issuer",
    ] {
        let source = Source {
            issuer: bad.into(),
            ..provider.source()
        };
        let error = RemoteKeys::start(source, None, &Handle::current())
            .unwrap_err()
            .to_string();
        assert!(!error.contains("pass@"), "{error}");
    }
}

#[tokio::test]
async fn what_never_loaded_recovers_alone() {
    let provider = Provider::start().await;
    let keys = start(provider.source());
    keys.fetched().await;
    assert!(!keys.current().is_loaded());
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let mut finished = keys.shared.finished.subscribe();
    finished.wait_for(|count| *count > 1).await.unwrap();
    assert!(keys.current().is_loaded());
    assert_eq!(keys.status().last_error, None);
}

#[tokio::test]
async fn an_outage_keeps_the_last_good_set() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let limits = FetchLimits {
        refresh: Duration::from_millis(5),
        ..FetchLimits::default()
    };
    let keys = start(Source {
        limits,
        ..provider.source()
    });
    keys.fetched().await;
    provider.say("/keys", 500, "");
    let mut finished = keys.shared.finished.subscribe();
    let soon = *finished.borrow_and_update() + 3;
    finished.wait_for(|count| *count >= soon).await.unwrap();
    assert!(keys.status().failed > 0);
    assert_eq!(
        (keys.current().keys().len(), keys.current().generation()),
        (1, 1)
    );
}

#[tokio::test]
async fn the_generation_changes_with_the_keys_alone() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let limits = FetchLimits {
        refresh: Duration::from_millis(5),
        ..FetchLimits::default()
    };
    let keys = start(Source {
        limits,
        ..provider.source()
    });
    let mut finished = keys.shared.finished.subscribe();
    finished.wait_for(|count| *count >= 3).await.unwrap();
    assert_eq!(keys.current().generation(), 1);
    provider.keys(&[rsa_jwk(&OTHER_RSA, "k2")]);
    let soon = *finished.borrow_and_update() + 2;
    finished.wait_for(|count| *count >= soon).await.unwrap();
    assert_eq!(keys.current().generation(), 2);
    assert_eq!(keys.current().keys()[0].kid(), Some("k2"));
}

#[tokio::test]
async fn many_who_ask_for_an_unknown_key_share_one_fetch() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let keys = Arc::new(start(provider.source()));
    keys.fetched().await;
    provider.keys(&[rsa_jwk(&RSA, "k1"), rsa_jwk(&OTHER_RSA, "k2")]);
    let before = provider.requests.load(Ordering::SeqCst);
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.fetch_unknown(Some("k2")).await.keys().len() })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), 2);
    }
    assert_eq!(provider.requests.load(Ordering::SeqCst) - before, 1);
}

#[tokio::test]
async fn unknown_keys_cause_few_fetches() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let keys = start(provider.source());
    keys.fetched().await;
    let before = provider.requests.load(Ordering::SeqCst);
    for kid in 0..100 {
        keys.fetch_unknown(Some(&format!("hostile{kid}"))).await;
    }
    assert_eq!(provider.requests.load(Ordering::SeqCst) - before, 1);
}

/// Whoever sends made-up key ids chooses when a fetch is made, and must not choose how many.
#[tokio::test]
async fn a_fetch_that_was_asked_for_and_fails_brings_no_others() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let keys = start(provider.source());
    keys.fetched().await;
    provider.say("/keys", 500, "");
    keys.fetch_unknown(Some("hostile")).await;
    let after = keys.status();
    assert_eq!((after.succeeded, after.failed), (1, 1));
    assert!(after.last_error.is_some());
    // In turn: minutes away, not the second after which a failed refresh is tried again.
    assert!(after.next_refresh > Duration::from_mins(3));
}

#[tokio::test]
async fn a_changed_way_keeps_the_keys_at_hand() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let before = start(provider.source());
    before.fetched().await;
    provider.say("/keys", 500, "");
    let renamed = Source {
        name: "renamed".into(),
        ..provider.source()
    };
    let after = RemoteKeys::start(renamed, Some(&before), &Handle::current()).unwrap();
    assert_eq!(after.current().keys().len(), 1);
    assert!(after.status().age.is_some());
    let moved = Source {
        jwks_uri: Some(format!("http://{}/keys", provider.address).parse().unwrap()),
        ..provider.source()
    };
    let moved = RemoteKeys::start(moved, Some(&before), &Handle::current()).unwrap();
    assert!(!moved.current().is_loaded());
}

#[tokio::test]
async fn what_cannot_be_kept_on_disk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let source = Source {
        dir: Some(dir.path().to_owned()),
        ..provider.source()
    };
    std::fs::write(dir.path().join("keys"), "in the way").unwrap();
    let keys = start(source.clone());
    keys.fetched().await;
    assert!(keys.current().is_loaded());
    let why = keys.status().kept_error.unwrap();
    assert!(why.contains("aws.json` cannot be written"), "{why}");

    std::fs::remove_file(dir.path().join("keys")).unwrap();
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    std::fs::write(dir.path().join("keys/aws.json"), "{").unwrap();
    let keys = start(source);
    let why = keys.status().kept_error.unwrap();
    assert!(why.contains("aws.json` is damaged"), "{why}");
    keys.fetched().await;
    assert_eq!(keys.status().kept_error, None);
}

#[tokio::test]
async fn plain_http_goes_through_no_proxy() {
    let provider = Provider::start().await;
    let proxy = Proxy {
        url: "http://127.0.0.1:9".parse().unwrap(),
        credentials: None,
    };
    let source = Source {
        transport: Transport::new(None, Some(proxy)).unwrap(),
        ..provider.source()
    };
    let refused = RemoteKeys::start(source, None, &Handle::current()).unwrap_err();
    assert!(refused.to_string().contains("https is required"));
}

#[tokio::test]
async fn the_last_good_set_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let source = Source {
        dir: Some(dir.path().to_owned()),
        ..provider.source()
    };
    let keys = start(source.clone());
    keys.fetched().await;
    drop(keys);
    let file = dir.path().join("keys/aws.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // Fetched longer ago than this machine has been up.
    let file_handle = std::fs::File::options().write(true).open(&file).unwrap();
    file_handle.set_modified(std::time::UNIX_EPOCH).unwrap();
    provider.say("/keys", 500, "");
    let keys = start(source.clone());
    assert_eq!(keys.current().keys().len(), 1);
    assert!(keys.status().age.unwrap() > Duration::from_hours(24 * 365));

    // Other settings, or a damaged file: not used.
    let other = Source {
        jwks_uri: Some("https://elsewhere.test/keys".parse().unwrap()),
        ..source.clone()
    };
    assert!(!start(other).current().is_loaded());
    std::fs::write(&file, "{").unwrap();
    assert!(!start(source).current().is_loaded());
}

#[tokio::test]
async fn nothing_is_fetched_once_the_keys_are_dropped() {
    let provider = Provider::start().await;
    let keys = start(provider.source());
    let shared = Arc::downgrade(&keys.shared);
    drop(keys);
    while shared.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
