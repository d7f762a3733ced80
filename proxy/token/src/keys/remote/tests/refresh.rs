//! Fetches one after the other: in turn, out of turn, through outages.

use super::*;

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
async fn nothing_is_fetched_once_the_keys_are_dropped() {
    let provider = Provider::start().await;
    let keys = start(provider.source());
    let shared = Arc::downgrade(&keys.shared);
    drop(keys);
    while shared.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
