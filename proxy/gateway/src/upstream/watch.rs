//! Following servers: where their names lead, and whether they pass their health checks.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use http::{Method, header};
use pingora::{
    connectors::http::Connector, http::RequestHeader, protocols::http::client::HttpSession,
};
use settings::HealthCheck;
use tokio::{net::lookup_host, task::JoinSet, time};

use super::{Endpoint, Server, list::Endpoints};

/// Looks again and again where a server's name leads.
pub(super) async fn resolve(server: Arc<Server>, endpoints: Arc<Endpoints>) {
    let Some(name) = server.name() else {
        return;
    };
    let mut known = Vec::new();
    let mut pace = time::interval(PACE);
    loop {
        pace.tick().await;
        // Resolvers give them in another order each time.
        let found = lookup_host(name).await;
        let found = found.map(|it| it.collect::<BTreeSet<_>>().into_iter().collect());
        if let Some(found) = server.resolved(found)
            && found != known
        {
            endpoints.replace(&server, &found);
            known = found;
        }
    }
}

/// Asks all servers again and again whether they are well.
pub(super) async fn check(endpoints: Arc<Endpoints>, health: HealthCheck) {
    let mut rows: Vec<(Weak<Endpoint>, Row)> = Vec::new();
    let mut pace = time::interval(Duration::from_secs(health.every_seconds.into()));
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let mut probes = JoinSet::new();
        let mut asked = HashMap::new();
        for endpoint in endpoints.load().iter().cloned() {
            let (health, of) = (health.clone(), endpoint.clone());
            let probe = probes.spawn(async move { probe(&of, &health).await });
            asked.insert(probe.id(), endpoint);
        }
        let mut now = Vec::new();
        while let Some(ended) = probes.join_next_with_id().await {
            let (id, answer) = match ended {
                Ok(answered) => answered,
                // Pingora panics at a certificate that it cannot read.
                Err(error) => (error.id(), Err("it cannot be asked".to_owned())),
            };
            let Some(endpoint) = asked.remove(&id) else {
                continue;
            };
            let is_of = |(of, _): &(Weak<Endpoint>, Row)| of.as_ptr() == Arc::as_ptr(&endpoint);
            let row = rows.iter().find(|row| is_of(row)).map(|(_, row)| *row);
            let row = row.unwrap_or_default().and(answer.is_ok());
            if row.is_long(&health) {
                endpoint.set_health(answer);
            }
            now.push((Arc::downgrade(&endpoint), row));
        }
        rows = now;
    }
}

/// Answers of one kind in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    passed: bool,
    count: u32,
}

impl Row {
    fn and(self, passed: bool) -> Self {
        let count = if passed == self.passed { self.count } else { 0 };
        Self {
            passed,
            count: count.saturating_add(1),
        }
    }

    /// Whether it counts.
    fn is_long(self, health: &HealthCheck) -> bool {
        let enough = if self.passed {
            health.rise
        } else {
            health.fall
        };
        self.count >= enough.into()
    }
}

/// Asks one server, by the way that requests to it go; says what is wrong with it.
async fn probe(endpoint: &Endpoint, health: &HealthCheck) -> Result<(), String> {
    let patience = Duration::from_secs(health.timeout_seconds.into());
    match time::timeout(patience, status(endpoint, &health.path)).await {
        Ok(Ok(status)) if (200..300).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err(format!("it answers {status}")),
        Ok(Err(error)) => Err(error.etype().as_str().to_owned()),
        Err(_) => Err(format!(
            "it does not answer within {} s",
            patience.as_secs()
        )),
    }
}

async fn status(endpoint: &Endpoint, path: &str) -> pingora::Result<u16> {
    let mut peer = endpoint.peer();
    // Whether it takes connections is part of the question: none is kept for the next one.
    peer.options.max_h2_streams = 1;
    let (mut session, _) = CONNECTOR.get_http_session(&*peer).await?;
    let mut request = RequestHeader::build(Method::GET, path.as_bytes(), Some(3))?;
    request.insert_header(header::HOST, endpoint.server().authority())?;
    request.insert_header(header::USER_AGENT, "portcullis")?;
    if matches!(session, HttpSession::H1(_)) {
        request.insert_header(header::CONNECTION, "close")?;
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    loop {
        session.read_response_header().await?;
        let status = session
            .response_header()
            .map_or(0, |head| head.status.as_u16());
        if !(100..200).contains(&status) {
            session.shutdown().await;
            return Ok(status);
        }
    }
}

/// For health checks alone: nothing that they open is used for requests.
static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| Connector::new(None));
const PACE: Duration = Duration::from_secs(5);
