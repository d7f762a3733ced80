//! What `traces` is checked for.

use http::header;

use super::{Folder, GOOD};
use crate::{TrustParent, traces::Traces};

fn with(traces: &str) -> String {
    format!("{GOOD}traces: {traces}\n")
}

fn load(folder: &Folder, traces: &str) -> Traces {
    let loaded = folder.load(&with(traces));
    loaded
        .unwrap_or_else(|found| panic!("{found}"))
        .traces
        .unwrap()
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    let folder = Folder::new();
    assert!(folder.load(GOOD).unwrap().traces.is_none());
    let traces = load(&folder, "{otlp: 'http://127.0.0.1:4318'}");
    assert_eq!(traces.url.as_str(), "http://127.0.0.1:4318/v1/traces");
    assert!((traces.sample - 1.0).abs() < f64::EPSILON);
    assert_eq!(traces.service_name, "portcullis");
    assert_eq!(traces.trust_parent, TrustParent::TraceId);
    assert!(traces.headers.is_empty());
}

#[test]
fn secrets_are_read_compared_and_never_shown() {
    let folder = Folder::new();
    folder.write("otlp.key", "Bearer hunter2\n");
    let text = "{otlp: 'https://c.test', headers: {authorization: {file: otlp.key}, X-Tenant: {value: hunter2}}, sample: 0, \
                trust_parent: trusted_peers}";
    let traces = load(&folder, text);
    let (name, value) = &traces.headers[1];
    assert_eq!(
        (name, value.as_bytes()),
        (&header::AUTHORIZATION, &b"Bearer hunter2"[..])
    );
    let settings = folder.load(&with(text)).unwrap();
    let written: crate::written::Traces = serde_saphyr::from_str(text).unwrap();
    for shown in [
        format!("{settings:?}"),
        format!("{traces:?} {:?}", traces.headers),
        format!("{written:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let files: Vec<_> = settings
        .files
        .iter()
        .filter_map(|file| file.file_name())
        .collect();
    assert!(
        files.contains(&"otlp.key".as_ref()),
        "a changed secret is noticed"
    );
    assert_eq!(Some(traces.clone()), settings.traces);
    folder.write("otlp.key", "Bearer hunter3\n");
    assert_ne!(traces, load(&folder, text));
}

#[test]
fn traces_must_make_sense() {
    let folder = Folder::new();
    folder.write("torn.key", "a\nb");
    folder.write("ca.pem", "nothing");
    for (traces, expected) in [
        ("{}", &["traces: `otlp` is missing"][..]),
        ("{otlp: '127.0.0.1:4318'}", &["traces.otlp: is not a URL"]),
        (
            "{otlp: 'http://c.test?a'}",
            &["traces.otlp: must be without"],
        ),
        (
            "{otlp: 'http://c.test', sample: 1.1}",
            &["traces.sample: must be between"],
        ),
        (
            "{otlp: 'http://c.test', sample: -0.1}",
            &["traces.sample: "],
        ),
        (
            "{otlp: 'http://c.test', sample: much}",
            &["traces.sample: "],
        ),
        (
            "{otlp: 'http://c.test', service_name: ''}",
            &["traces.service_name: must have"],
        ),
        (
            "{otlp: 'http://c.test', trust_parent: nobody}",
            &["traces.trust_parent: expected `trace_id`"],
        ),
        (
            "{otlp: 'http://c.test', ca: ca.pem}",
            &[
                "traces.ca: says nothing about",
                "traces.ca: holds no certificate",
            ],
        ),
        ("{otlp: 'https://c.test', ca: gone.pem}", &["traces.ca: `"]),
        (
            "{otlp: 'http://c.test', headers: {'a b': {value: c}, Host: {value: c}, x-a: {file: gone.key}, x-b: {file: torn.key}, \
             x-c: c, x-d: {value: c}, X-D: {value: c}}}",
            &[
                "traces.headers.a b: is not the name",
                "traces.headers.Host: is a header that the gate writes",
                "traces.headers.x-a.file: `",
                "traces.headers.x-b: is not the value",
                "traces.headers.x-c: expected `file` or `env` or `value`",
                "traces.headers.x-d: `x-d` is there twice",
            ],
        ),
    ] {
        folder.expect(&with(traces), expected);
    }
}

#[test]
fn secrets_without_tls_are_warned_of() {
    let folder = Folder::new();
    folder.write("otlp.key", "hunter2");
    for (url, header, expected) in [
        ("http://c.test", "{file: otlp.key}", 1),
        ("http://c.test", "{value: a}", 0),
        ("http://127.0.0.1:4318", "{file: otlp.key}", 0),
        ("https://c.test", "{file: otlp.key}", 0),
    ] {
        let text = with(&format!("{{otlp: '{url}', headers: {{x-key: {header}}}}}"));
        let warnings = folder.load(&text).unwrap().warnings;
        assert_eq!(warnings.len(), expected, "{url} {header}: {warnings:?}");
    }
}
