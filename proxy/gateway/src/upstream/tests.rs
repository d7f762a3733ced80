use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Waker},
};

use settings::{Address, Eject, UpstreamLimits, UpstreamTls};

use super::*;
use crate::logs::Captured;

/// An upstream of these servers, with what else is said of it.
fn upstream_with(
    servers: &[(&str, u16)],
    change: impl FnOnce(&mut settings::Upstream),
) -> Upstream {
    let servers = servers.iter().map(|(host, port)| settings::Server {
        scheme: Scheme::Http,
        address: Address::Network {
            host: (*host).to_owned(),
            port: *port,
        },
    });
    let mut upstream = settings::Upstream {
        name: "u".into(),
        servers: servers.collect(),
        protocol: None,
        balance: Balance::RoundRobin,
        health: None,
        eject: Eject::default(),
        slow_start_seconds: 0,
        limits: UpstreamLimits::default(),
        tls: UpstreamTls::default(),
    };
    change(&mut upstream);
    Upstream::new(&upstream, &Metrics::new().unwrap(), None)
}

fn upstream(servers: &[(&str, u16)]) -> Upstream {
    upstream_with(servers, |_| ())
}

const THREE: [(&str, u16); 3] = [("10.0.0.1", 1), ("10.0.0.2", 2), ("::1", 3)];

async fn chosen(upstream: &Upstream, turn: Turn, tried: &[Arc<Endpoint>]) -> Arc<Endpoint> {
    let in_use = upstream.choose(turn, tried).await.unwrap();
    in_use.endpoint().clone()
}

/// The labels of those that a request is tried on.
async fn walk(upstream: &Upstream, number: u64) -> Vec<String> {
    let mut tried = Vec::new();
    while let Ok(in_use) = upstream.choose(Turn::Number(number), &tried).await {
        tried.push(in_use.endpoint().clone());
    }
    tried.iter().map(|it| it.label().to_owned()).collect()
}

fn fail(upstream: &Upstream, endpoint: &Arc<Endpoint>, times: usize) {
    for _ in 0..times {
        upstream.failed(endpoint);
    }
}

#[tokio::test]
async fn tries_walk_all_servers_and_those_that_are_ill_come_last() {
    let upstream = upstream(&THREE);
    let [one, two, three] = ["http://10.0.0.1:1", "http://10.0.0.2:2", "http://[::1]:3"];
    assert_eq!(walk(&upstream, 0).await, [one, two, three]);
    assert_eq!(walk(&upstream, 4).await, [two, three, one]);
    upstream.endpoints.load()[1].set_health(Err("it answers 500".into()));
    assert_eq!(walk(&upstream, 4).await, [three, one, two]);
}

#[tokio::test]
async fn the_fewest_requests_choose() {
    let upstream = upstream_with(&THREE, |it| it.balance = Balance::LeastConnections);
    let first = upstream.choose(upstream.turn(), &[]).await.unwrap();
    let second = upstream.choose(upstream.turn(), &[]).await.unwrap();
    let third = upstream.choose(upstream.turn(), &[]).await.unwrap();
    let labels = [&first, &second, &third].map(|it| it.endpoint().label().to_owned());
    let unlike: std::collections::HashSet<_> = labels.iter().collect();
    assert_eq!(unlike.len(), 3, "{labels:?}");
    drop(second);
    for _ in 0..4 {
        let again = upstream.choose(upstream.turn(), &[]).await.unwrap();
        assert_eq!(again.endpoint().label(), labels[1]);
    }
}

#[tokio::test]
async fn a_key_keeps_its_server_and_few_move() {
    let key = Balance::Hash(HashKey::Path);
    let three = upstream_with(&THREE, |it| it.balance = key.clone());
    let two = upstream_with(&THREE[..2], |it| it.balance = key);
    let mut of = HashMap::<String, usize>::new();
    for number in 0..3000 {
        let turn = Turn::of(format!("/{number}"));
        let label = chosen(&three, turn, &[]).await.label().to_owned();
        assert_eq!(chosen(&three, turn, &[]).await.label(), label);
        if !label.contains("::1") {
            assert_eq!(chosen(&two, turn, &[]).await.label(), label, "it stays");
        }
        *of.entry(label).or_default() += 1;
    }
    assert_eq!(of.len(), 3);
    assert!(
        of.values().all(|count| (800..1200).contains(count)),
        "{of:?}"
    );
    let turn = Turn::of("/1");
    let first = chosen(&three, turn, &[]).await;
    first.set_health(Err("it answers 500".into()));
    let second = chosen(&three, turn, &[]).await;
    assert_ne!(first.label(), second.label());
    first.set_health(Ok(()));
    assert_eq!(chosen(&three, turn, &[]).await.label(), first.label());
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_limit_waits_in_turn_and_not_for_ever() {
    let upstream = upstream_with(&THREE[..1], |it| {
        it.limits = UpstreamLimits {
            connections: Some(1),
            pending: 1,
            pending_seconds: 5,
        };
    });
    let upstream = Arc::new(upstream);
    let first = upstream.choose(upstream.turn(), &[]).await.unwrap();
    let waiting = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.choose(upstream.turn(), &[]).await }
    });
    while upstream.view().pending == 0 {
        tokio::task::yield_now().await;
    }
    let refused = upstream.choose(upstream.turn(), &[]).await;
    assert_eq!(refused.unwrap_err(), Unavailable::Overloaded);
    drop(first);
    let second = waiting.await.unwrap().unwrap();
    let before = tokio::time::Instant::now();
    let late = upstream.choose(upstream.turn(), &[]).await;
    assert_eq!(late.unwrap_err(), Unavailable::Overloaded);
    assert_eq!(before.elapsed().as_secs(), 5);
    drop(second);
    assert!(upstream.choose(upstream.turn(), &[]).await.is_ok());
    assert_eq!(upstream.view().connections, 0);
}

/// Whether it has not come to its end yet.
fn waits(future: Pin<&mut impl Future>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    future.poll(&mut context).is_pending()
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_longest_comes_first() {
    let upstream = upstream_with(&THREE[..1], |it| {
        it.limits = UpstreamLimits {
            connections: Some(1),
            pending: 3,
            pending_seconds: 5,
        };
    });
    let taken = upstream.choose(upstream.turn(), &[]).await.unwrap();
    let choose = || Box::pin(upstream.choose(upstream.turn(), &[]));
    let (mut first, mut second) = (choose(), choose());
    assert!(waits(first.as_mut()) && waits(second.as_mut()));
    drop(taken);
    let mut newcomer = choose();
    assert!(waits(newcomer.as_mut()) && waits(second.as_mut()));
    drop(first.await.unwrap());
    assert!(waits(newcomer.as_mut()));
    drop(second.await.unwrap());
    drop(newcomer.await.unwrap());
    assert_eq!(
        (upstream.view().pending, upstream.view().connections),
        (0, 0)
    );
}

#[tokio::test]
async fn one_that_fails_is_left_alone_but_never_all() {
    let upstream = upstream_with(&THREE[..2], |it| {
        it.eject.failures = 3;
        it.eject.statuses = vec![503];
    });
    let (first, second) = {
        let list = upstream.endpoints.load();
        (list[0].clone(), list[1].clone())
    };
    fail(&upstream, &first, 2);
    upstream.answered(&first, StatusCode::OK);
    fail(&upstream, &first, 2);
    assert!(first.is_well(), "an answer ends a row");
    upstream.answered(&first, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!first.is_well());
    for number in 0..4 {
        assert!(Arc::ptr_eq(
            &chosen(&upstream, Turn::Number(number), &[]).await,
            &second
        ));
    }
    fail(&upstream, &second, 9);
    assert!(second.is_well(), "somebody must serve");
    assert!(upstream.degraded().unwrap().why.contains("is left alone"));
}

#[test]
fn who_is_left_alone_again_is_so_for_longer() {
    let upstream = upstream(&THREE[..2]);
    let first = upstream.endpoints.load()[0].clone();
    let now = Instant::now();
    for expected in [1, 2, 3] {
        assert_eq!(first.eject(Duration::ZERO, now), expected);
        assert!(!first.is_ejected(), "it is over at once");
    }
    first.has_answered();
    assert_eq!(first.eject(Duration::from_secs(9), now), 1);
    assert!(first.is_ejected());
}

#[tokio::test]
async fn one_that_became_well_begins_slowly() {
    let upstream = upstream_with(&THREE[..2], |it| it.slow_start_seconds = 3600);
    let first = upstream.endpoints.load()[0].clone();
    first.set_health(Err("it answers 500".into()));
    first.set_health(Ok(()));
    let mut count = 0;
    for number in 0..2000 {
        let chosen = chosen(&upstream, Turn::Number(number), &[]).await;
        count += usize::from(Arc::ptr_eq(&chosen, &first));
    }
    assert!((50..200).contains(&count), "a tenth of its half: {count}");
}

#[test]
fn an_address_that_stays_keeps_what_is_known_of_it() {
    let upstream = upstream(&[("10.0.0.1", 1), ("pets.example", 2)]);
    let named = upstream.servers[1].clone();
    let addresses = |last: &[u8]| -> Vec<std::net::SocketAddr> {
        let of = last.iter().map(|last| ([10, 0, 1, *last], 2).into());
        of.collect()
    };
    upstream.endpoints.replace(&named, &addresses(&[1, 2]));
    let before = upstream.endpoints.of(&named);
    upstream.endpoints.replace(&named, &addresses(&[2, 3]));
    let after = upstream.endpoints.of(&named);
    assert!(Arc::ptr_eq(&before[1], &after[0]));
    assert_eq!(after[1].address().to_string(), "10.0.1.3:2");
    assert_eq!(upstream.endpoints.load().len(), 3);
}

#[test]
fn an_upstream_is_kept_only_if_all_of_it_is_said_again() {
    let upstream = upstream(&THREE[..1]);
    let said = upstream.settings.clone();
    assert!(upstream.is_made_of(&said));
    let with_health = settings::Upstream {
        health: Some(String::from("/healthz").into()),
        ..said.clone()
    };
    let renamed = settings::Upstream {
        name: "v".into(),
        ..said.clone()
    };
    let emptied = settings::Upstream {
        servers: Vec::new(),
        ..said
    };
    for other in [with_health, renamed, emptied] {
        assert!(!upstream.is_made_of(&other));
    }
}

#[tokio::test]
async fn operators_see_how_servers_stand() {
    let upstream = upstream(&[("10.0.0.1", 1), ("pets.example", 2)]);
    let _in_use = upstream.choose(Turn::Number(0), &[]).await.unwrap();
    upstream.endpoints.load()[0].set_health(Err("it answers 500".into()));
    assert_eq!(
        serde_json::to_value(upstream.view()).unwrap(),
        serde_json::json!({
            "name": "u",
            "connections": 1,
            "pending": 0,
            "servers": [
                {
                    "url": "http://10.0.0.1:1",
                    "healthy": false,
                    "addresses": [
                        {"address": "10.0.0.1:1", "healthy": false, "ejected": false, "requests": 1},
                    ],
                },
                {"url": "http://pets.example:2", "healthy": false, "addresses": []},
            ],
        })
    );
}

#[test]
fn operators_are_told_of_servers_that_are_not_well() {
    let upstream = upstream(&[("10.0.0.1", 1), ("pets.example", 2)]);
    let why = || upstream.degraded().map_or(String::new(), |entry| entry.why);
    let named = upstream.servers[1].clone();
    assert_eq!(upstream.degraded().unwrap().what, "upstreams.u");
    let name = "the name of `http://pets.example:2`";
    assert_eq!(why(), format!("{name} has not been resolved yet"));
    named.resolved(Ok(Vec::new()));
    assert_eq!(
        why(),
        format!("{name} does not resolve: it has no addresses")
    );
    let found = named.resolved(Ok(vec![([10, 0, 0, 9], 2).into()])).unwrap();
    upstream.endpoints.replace(&named, &found);
    assert_eq!(why(), "");
    named.resolved(Err(std::io::Error::other("gone")));
    assert_eq!(
        why(),
        format!("{name} does not resolve any more, its last addresses are in use: gone")
    );
    named.resolved(Ok(found));
    upstream.endpoints.load()[0].set_health(Err("it answers 500".into()));
    assert_eq!(
        why(),
        "`http://10.0.0.1:1` fails its health check: it answers 500"
    );
}

#[test]
fn what_goes_on_is_said_once() {
    let upstream = upstream(&[("pets.example", 2)]);
    let server = &upstream.servers[0];
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone());
    tracing::subscriber::with_default(subscriber.finish(), || {
        for _ in 0..3 {
            server.resolved(Err(std::io::Error::other("no answer")));
        }
        server.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
        server.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
        server.resolved(Ok(Vec::new()));
    });
    let said = log.text();
    assert_eq!(said.matches("name does not resolve").count(), 2, "{said}");
    assert_eq!(said.matches("resolves again").count(), 1, "{said}");
}

#[tokio::test]
async fn a_name_has_no_peer_until_it_resolves() {
    let upstream = upstream_with(&[("pets.example", 443)], |it| {
        it.servers[0].scheme = Scheme::Https;
    });
    let unreachable = upstream.choose(upstream.turn(), &[]).await;
    assert_eq!(unreachable.unwrap_err(), Unavailable::Unreachable);
    let named = upstream.servers[0].clone();
    upstream
        .endpoints
        .replace(&named, &[([10, 0, 0, 9], 443).into()]);
    let peer = chosen(&upstream, upstream.turn(), &[]).await.peer();
    assert_eq!(peer.sni, "pets.example");
}

/// Pingora takes it for the wish to verify nothing.
#[tokio::test]
async fn whom_tls_speaks_to_is_never_left_out() {
    let upstream = upstream_with(&[("10.0.0.9", 443)], |it| {
        it.servers[0].scheme = Scheme::Https;
        it.tls.name = Some("pets.internal".into());
    });
    let peer = chosen(&upstream, upstream.turn(), &[]).await.peer();
    assert_eq!(
        (&*peer.sni, peer.options.verify_cert),
        ("pets.internal", true)
    );
}
