//! Listeners: bound by us, so that port 0 works and is known before the first request, and served by Pingora.
//!
//! Pingora's own server takes addresses, not sockets, and installs signal handlers and a pause at shutdown that do not
//! fit ours; its `Service::handle_event` is what it runs for each connection, and is what runs here.

mod connections;
mod deadline;
mod progress;
mod stalled;
mod stream;
mod tls;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use pingora::{
    apps::ServerApp,
    listeners::tls::Acceptor,
    protocols::{GetSocketDigest as _, Stream, l4},
    services::listening::Service,
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use connections::Counted;
pub(crate) use connections::{Caps, Connections, Refused};
use deadline::Requested;
pub(crate) use deadline::{FIRST_REQUEST, HeaderDeadline, head_is_read};
use stalled::Stalling;
pub(crate) use stream::is_answering;
pub(crate) use tls::{Certificates, Pem};

/// A socket that is bound and listening, and how it speaks.
pub(crate) struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
}

impl Bound {
    /// Binds a socket; with certificates it speaks TLS only.
    pub(crate) fn bind(
        address: SocketAddr,
        certificates: Option<Arc<Certificates>>,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            certificates,
        })
    }

    /// Where it listens; the port is the kernel's where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.certificates.is_some()
    }
}

/// How long connections are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until they bring a request.
    pub(crate) first_request: Duration,
    /// While they take nothing of what is written to them.
    pub(crate) stall: Duration,
}

/// Accepts connections until `shutdown` turns true, then waits for those that are open. One that wears out the patience is
/// closed.
///
/// INVARIANT: a connection's task is in the set of its listener, so none outlives this call.
pub(crate) async fn serve<A>(
    bound: Bound,
    app: Arc<A>,
    open: Arc<Connections>,
    patience: Patience,
    mut shutdown: watch::Receiver<bool>,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let address = bound.address;
    let acceptor = bound
        .certificates
        .map(|certificates| Arc::new(Acceptor::from_server_config(certificates.server_config())));
    let listener = match tokio::net::TcpListener::from_std(bound.socket) {
        Ok(socket) => l4::listener::Listener::from(socket),
        Err(error) => {
            tracing::error!(%address, %error, "Listener cannot start");
            return;
        }
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|down| *down) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok(stream) => {
                let Some((stream, counted)) = admit(stream, &open) else {
                    continue;
                };
                let served = connection(
                    stream,
                    acceptor.clone(),
                    app.clone(),
                    patience,
                    shutdown.clone(),
                );
                connections.spawn(while_counted(counted, served));
            }
            Err(error) => {
                tracing::warn!(%address, %error, "Connection cannot be accepted");
                // Out of descriptors, most likely: `accept` would fail at once again.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Counts a connection; one too many is closed, by dropping it.
fn admit(
    mut stream: l4::stream::Stream,
    open: &Arc<Connections>,
) -> Option<(l4::stream::Stream, Counted)> {
    let digest = stream.get_socket_digest();
    let peer = digest.and_then(|digest| digest.peer_addr()?.as_inet().copied());
    // Listeners are TCP, so the address is there.
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let Some(counted) = open.admit(peer) else {
        tracing::debug!(%peer, "One connection too many");
        return None;
    };
    // Head and body of an answer are two writes: held back for the first one's acknowledgement, the second would cost a
    // kept connection 40 ms a request.
    if let Err(error) = stream.set_nodelay() {
        tracing::debug!(%error, "A connection ended before it was served");
        return None;
    }
    Some((stream, counted))
}

async fn while_counted(counted: Counted, connection: impl Future<Output = ()>) {
    connection.await;
    drop(counted);
}

async fn connection<A>(
    mut stream: l4::stream::Stream,
    acceptor: Option<Arc<Acceptor>>,
    app: Arc<A>,
    patience: Patience,
    shutdown: watch::Receiver<bool>,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let requested = match Requested::mark(&mut stream) {
        Ok(requested) => requested,
        Err(error) => {
            tracing::error!(%error, "A connection cannot be followed");
            return;
        }
    };
    let Some(stream) = secured(stream, acceptor).await else {
        return;
    };
    let stream = Box::new(Stalling::new(stream, patience.stall));
    let connection = Service::handle_event(stream, app, shutdown.clone());
    deadline::first_request(connection, &requested, patience.first_request, shutdown).await;
}

/// The connection with its TLS, if it speaks that; `None` where the handshake failed.
async fn secured(stream: l4::stream::Stream, acceptor: Option<Arc<Acceptor>>) -> Option<Stream> {
    let Some(acceptor) = acceptor else {
        return Some(Box::new(stream));
    };
    match timeout(HANDSHAKE, acceptor.tls_handshake(stream)).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
    None
}

const HANDSHAKE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
