use proptest::prelude::*;
use serde_json::json;

use super::*;

fn packed(value: &Value) -> Packed {
    Packed::read(value.to_string().as_bytes()).unwrap()
}

/// JSON of any form, names of all kinds included.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(".{0,4}", inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_what_was_written(members in prop::collection::hash_map(".{0,40}", any_json(), 0..80)) {
        // `serde_json` reads some fractions as their neighbours, so it reads the other side too.
        let map: Map<String, Value> = members.into_iter().collect();
        let text = Value::Object(map).to_string();
        let map: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let packed = Packed::read(text.as_bytes()).unwrap();
        for (name, value) in &map {
            let found = packed.object().get(name).map(Claim::to_value);
            prop_assert_eq!(found.as_ref(), Some(value));
        }
        let names: Vec<_> = packed.object().iter().map(|(name, _)| name.to_owned()).collect();
        prop_assert_eq!(names, map.keys().cloned().collect::<Vec<_>>());
        prop_assert!(packed.object().get("no name of forty characters or fewer as above").is_none());
    }
}

#[test]
fn values_have_their_types() {
    let packed = packed(&json!({
        "s": "ü\"\n", "u": 7, "i": -7, "f": 1.5, "t": true, "n": null, "l": ["a", 1], "o": {"s": "x"}, "": "empty",
    }));
    let get = |name| packed.object().get(name);
    assert_eq!(get("s").and_then(Claim::as_str), Some("ü\"\n"));
    assert_eq!(get("").and_then(Claim::as_str), Some("empty"));
    assert_eq!(get("u").and_then(Claim::as_u64), Some(7));
    assert_eq!(get("u").and_then(Claim::as_f64), Some(7.0));
    assert_eq!(get("i").and_then(Claim::as_u64), None);
    assert_eq!(get("i").and_then(Claim::as_f64), Some(-7.0));
    assert_eq!(get("f").and_then(Claim::as_u64), None);
    assert!(get("t") == Some(Claim::Bool(true)) && get("n") == Some(Claim::Null));
    let Some(Claim::Object(object)) = get("o") else {
        panic!("no object")
    };
    assert_eq!(object.get("s").and_then(Claim::as_str), Some("x"));
    let Some(Claim::List(list)) = get("l") else {
        panic!("no list")
    };
    assert_eq!(list.iter().count(), 2);
    // Of the object within, not of the one around it.
    assert!(object.get("u").is_none());
}

#[test]
fn a_repeated_name_is_refused_at_any_depth() {
    let reads = |document: &str| Packed::read(document.as_bytes()).is_some();
    assert!(reads(r#"{"a":1,"b":{"a":2}}"#));
    assert!(!reads(r#"{"a":1,"a":1}"#));
    assert!(!reads(r#"{"a":[{"b":1,"b":2}]}"#));
    // The same name, once escaped.
    assert!(!reads(r#"{"iss":"x","\u0069ss":"y"}"#));
}

#[test]
fn a_repeated_name_is_refused_among_many() {
    for count in [1, 31, 32, 33, 34, 400] {
        let mut members: Vec<_> = (0..count).map(|name| format!(r#""{name}":0"#)).collect();
        let text = |members: &[String]| format!("{{{}}}", members.join(","));
        assert!(Packed::read(text(&members).as_bytes()).is_some(), "{count}");
        for twice in [0, count / 2, count - 1] {
            members.push(format!(r#""{twice}":0"#));
            let found = Packed::read(text(&members).as_bytes());
            assert!(found.is_none(), "{twice} of {count}");
            members.pop();
        }
    }
}

#[test]
fn only_a_whole_object_is_read() {
    for document in [
        "[]",
        "{} {}",
        "{\"a\":1e999}",
        "{",
        "\"a\"",
        "1",
        "",
        "{\"a\"}",
    ] {
        assert!(Packed::read(document.as_bytes()).is_none(), "{document}");
    }
    assert!(Packed::read("{\"a\":".repeat(100_000).as_bytes()).is_none());
    assert!(Packed::read(b"{\"a\":\"\xff\"}").is_none());
    assert!(Packed::read(b" {} ").is_some());
}

#[test]
fn it_is_about_as_long_as_its_text() {
    let text = json!({"sub": "7f1c3f5e-4b0a-4000-8000-000000000001", "exp": 1_800_000_000, "groups": ["readers"]}).to_string();
    let packed = Packed::read(text.as_bytes()).unwrap();
    assert!(packed.object().as_str().len() < text.len() + 8);
}

#[test]
fn what_is_too_long_to_be_written_is_refused() {
    let text = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
    assert!(Packed::read(text((1 << 21) - 1).as_bytes()).is_some());
    assert!(Packed::read(text(1 << 21).as_bytes()).is_none());
}
