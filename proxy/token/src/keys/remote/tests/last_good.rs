//! The last good set on disk.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

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
