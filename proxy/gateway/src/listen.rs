//! Listeners: bound by us, so that port 0 works and is known before the first request, and served by Pingora.
//!
//! Pingora's own server takes addresses, not sockets, and installs signal handlers and a pause at shutdown that do not
//! fit ours; its `Service::handle_event` is what it runs for each connection, and is what runs here.

mod chunks;
mod connections;
mod deadline;
mod ending;
mod gather;
mod head;
mod line;
mod progress;
mod proxy;
mod requests;
mod stalled;
mod stream;
mod tls;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::Clock;
use ipnet::IpNet;
use pingora::{
    apps::ServerApp,
    protocols::{GetSocketDigest as _, Stream, l4},
    services::listening::Service,
};
use prometheus::IntCounter;
use settings::Redirect;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::upstream::{KEEPALIVE, PROBE, PROBES};
pub(crate) use chunks::{BadChunk, check_chunks, is_token};
pub(crate) use connections::{Caps, Connections, Counted, Refused, client};
use deadline::Guarded;
pub(crate) use ending::{Ending, Over, end_with};
pub(crate) use line::{Body, Line, LineLimits, check_body, check_line};
use proxy::Behind;
pub(crate) use proxy::check_proxy_header;
pub(crate) use requests::Requests;
use stalled::Stalling;
pub(crate) use stream::is_answering;
pub(crate) use tls::{Outdated, Shown, Tls, TlsProblem, check_certificate};

/// A socket that is bound and listening, and how it speaks.
pub(crate) struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    senders: Option<Senders>,
    redirect: Option<Arc<Redirect>>,
}

/// The load balancers that may connect, each connection with a header of the PROXY protocol.
#[derive(Debug, Clone)]
pub(crate) struct Senders(Arc<[IpNet]>);

impl Senders {
    /// Those of the settings.
    pub(crate) fn of(settings: &settings::ProxyProtocol) -> Self {
        Self(settings.from.as_slice().into())
    }

    fn has(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

impl Bound {
    /// Of a socket that listens; with TLS it speaks nothing else, with senders nobody else may connect.
    pub(crate) fn of(
        socket: TcpListener,
        tls: Option<Arc<Tls>>,
        senders: Option<Senders>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            tls,
            senders,
            redirect: None,
        })
    }

    /// Sends callers without TLS elsewhere, if anywhere.
    pub(crate) fn redirecting(self, redirect: Option<Redirect>) -> Self {
        Self {
            redirect: redirect.map(Arc::new),
            ..self
        }
    }

    /// Where it listens; the port is the kernel's where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, once more.
    pub(crate) fn socket(&self) -> io::Result<TcpListener> {
        self.socket.try_clone()
    }

    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// A socket on which many may wait to be accepted. The standard library's lets 128, which a burst fills: what comes then is
/// dropped, and tried again by its caller a second later.
pub(crate) fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // As the standard library does: a restart need not wait for what the process before it has closed.
    socket.set_reuse_address(true)?;
    // Connections have it from their listener: of a peer that is gone without a word, nothing else would tell.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let keepalive = keepalive.with_interval(PROBE).with_retries(PROBES.into());
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

/// Which connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intake {
    /// All.
    Open,
    /// Another process takes new ones; those that are here end when they have been used.
    Handed,
    /// None, and those that wait for a request end.
    Closed,
}

/// What holds for all connections.
#[derive(Clone)]
pub(crate) struct Terms {
    /// For how long the head of a request may come, and the first one from when the connection was there.
    pub(crate) head: Duration,
    /// For how long they may bring nothing between two requests.
    pub(crate) idle: Duration,
    /// For how long they may take nothing of what is written to them.
    pub(crate) stall: Duration,
    /// What each may do in all.
    pub(crate) limits: Arc<LineLimits>,
    /// Of listeners behind load balancers.
    pub(crate) untold: Untold,
    /// By which certificates of callers end.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Counts connections that nobody vouches for, by why.
#[derive(Debug, Clone)]
pub(crate) struct Untold {
    /// Nobody but a load balancer may connect there.
    pub(crate) sender: IntCounter,
    /// A load balancer did not say for whom it connects.
    pub(crate) header: IntCounter,
}

/// One connection, from its listener to its end.
struct Accepted {
    stream: l4::stream::Stream,
    counted: Counted,
    line: Line,
}

/// Accepts connections for as long as the intake is open, then waits for those that are. One that wears out the patience is
/// closed.
///
/// INVARIANT: a connection's tasks are in the set of its listener, so none outlives this call.
pub(crate) async fn serve<A>(
    bound: Bound,
    app: Arc<A>,
    open: Arc<Connections>,
    terms: Terms,
    mut intake: watch::Receiver<Intake>,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let address = bound.address;
    let way = Arc::new(Way::of(&bound));
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
            _ = intake.wait_for(|intake| *intake != Intake::Open) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok(stream) => {
                let (retire, retired) = watch::channel(false);
                let (limits, redirect) = (terms.limits.clone(), way.redirect.clone());
                let line = Line::new(limits, redirect, retire.clone(), Instant::now());
                let Some(accepted) = admit(stream, line, &way, &terms, &open) else {
                    continue;
                };
                let guarded = accepted.line.clone();
                let (way, app) = (way.clone(), app.clone());
                let served = connection(accepted, way, app, terms.clone(), retired);
                let guarded = Guarded {
                    line: guarded,
                    patience: terms.head,
                    idle: terms.idle,
                    clock: terms.clock.clone(),
                    retire,
                    served: connections.spawn(served),
                };
                connections.spawn(deadline::guard(guarded, intake.clone()));
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

/// How a listener's connections come to speak HTTP, and where those are sent that are not served.
struct Way {
    tls: Option<Arc<Tls>>,
    senders: Option<Senders>,
    redirect: Option<Arc<Redirect>>,
}

impl Way {
    fn of(bound: &Bound) -> Self {
        Self {
            tls: bound.tls.clone(),
            senders: bound.senders.clone(),
            redirect: bound.redirect.clone(),
        }
    }
}

/// Counts a connection; one too many, or of nobody who may connect, is closed, by dropping it.
fn admit(
    mut stream: l4::stream::Stream,
    line: Line,
    way: &Way,
    terms: &Terms,
    open: &Arc<Connections>,
) -> Option<Accepted> {
    let digest = stream.get_socket_digest();
    let peer = digest.and_then(|digest| digest.peer_addr()?.as_inet().copied());
    // Listeners are TCP, so the address is there.
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let counted = match &way.senders {
        None => open.admit(peer),
        Some(senders) if senders.has(peer) => open.admit_sender(peer),
        Some(_) => {
            terms.untold.sender.inc();
            None
        }
    };
    let Some(counted) = counted else {
        tracing::debug!(%peer, "A connection that is not taken");
        return None;
    };
    // Head and body of an answer are two writes: held back for the first one's acknowledgement, the second would cost a
    // kept connection 40 ms a request.
    if let Err(error) = stream.set_nodelay() {
        tracing::debug!(%error, "A connection ended before it was served");
        return None;
    }
    if let Err(error) = line.mark(&mut stream) {
        tracing::error!(%error, "A connection cannot be followed");
        return None;
    }
    Some(Accepted {
        stream,
        counted,
        line,
    })
}

/// Serves a connection until there are to be no more requests.
async fn connection<A>(
    accepted: Accepted,
    way: Arc<Way>,
    app: Arc<A>,
    terms: Terms,
    retired: watch::Receiver<bool>,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let Accepted {
        mut stream,
        mut counted,
        line,
    } = accepted;
    if way.senders.is_some() && !is_told(&mut stream, &mut counted, &terms.untold).await {
        return;
    }
    let Some(stream) = secured(stream, way.tls.as_ref(), &line).await else {
        return;
    };
    line.open(tokio::time::Instant::now());
    let stream = Box::new(Stalling::new(stream, line, terms.stall));
    Service::handle_event(stream, app, retired).await;
    drop(counted);
}

/// Reads whose connection it is; whether there is such a header, and room for that client.
async fn is_told(stream: &mut l4::stream::Stream, counted: &mut Counted, untold: &Untold) -> bool {
    match proxy::receive(stream).await {
        Ok(Behind::Client(address)) => counted.is_of(address.ip()),
        Ok(Behind::Nobody) => true,
        Err(error) => {
            tracing::debug!(%error, "A connection that is not taken");
            untold.header.inc();
            false
        }
    }
}

/// The connection with its TLS, if it speaks that; `None` where the handshake failed.
async fn secured(
    stream: l4::stream::Stream,
    tls: Option<&Arc<Tls>>,
    line: &Line,
) -> Option<Stream> {
    let Some(tls) = tls else {
        return Some(Box::new(stream));
    };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok((stream, shown))) => {
            line.set_shown(shown);
            return Some(Box::new(stream));
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
    None
}

/// Connections that wait to be accepted; the system has a limit of its own (`net.core.somaxconn`).
const WAITING: i32 = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_burst_of_connections_waits_to_be_accepted() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = Bound::of(listening(any).unwrap(), None, None).unwrap();
        // Whoever finds no room waits for a second, and tries again.
        let patience = Duration::from_millis(700);
        let burst: Vec<_> = (0..400)
            .map_while(|_| TcpStream::connect_timeout(&bound.address(), patience).ok())
            .collect();
        assert_eq!(burst.len(), 400);
    }
}
