//! An identity provider that answers what it is told.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::super::*;
use crate::Transport;

/// An identity provider on a loopback port of the kernel's choice, which answers what it is told.
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    pub(super) requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Provider {
    pub(super) async fn start() -> Self {
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

    pub(super) fn issuer(&self) -> String {
        format!("http://{}/pool", self.address)
    }

    pub(super) fn say(&self, path: &str, status: u16, body: impl fmt::Display) {
        self.answers
            .lock()
            .unwrap()
            .insert(path.to_owned(), (status, body.to_string()));
    }

    pub(super) fn discovery(&self) {
        let jwks_uri = format!("http://{}/keys", self.address);
        let document = json!({"issuer": self.issuer(), "jwks_uri": jwks_uri});
        self.say("/pool/.well-known/openid-configuration", 200, document);
    }

    pub(super) fn keys(&self, keys: &[Value]) {
        self.say("/keys", 200, json!({"keys": keys}));
    }

    pub(super) fn source(&self) -> Source {
        Source {
            name: "aws".into(),
            issuer: self.issuer(),
            jwks_uri: None,
            dir: None,
            transport: Transport::default(),
            limits: FetchLimits::default(),
        }
    }

    pub(super) async fn error(&self) -> String {
        let keys = start(self.source());
        keys.fetched().await;
        assert!(!keys.current().is_loaded());
        keys.status().last_error.unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn start(source: Source) -> RemoteKeys {
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
