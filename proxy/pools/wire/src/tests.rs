//! Properties over all 226 operations: no bytes make a decoder panic, and what the tables accept the types accept.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::shape::{Kind, Shape};
use crate::{
    Request, Visitor, check, identity, idp, json, operator, permissions, query, rest, sts, sync,
    typed,
};

/// An operation of any service, by what these tests ask of it.
type Operation = (&'static crate::Spec, Box<dyn Fn(Value) -> bool>);

/// Whether a value is a request of the type.
struct Decodes(Value);

impl Visitor for Decodes {
    type Output = bool;

    fn visit<R: Request>(self) -> bool {
        typed::<R>(self.0).is_ok()
    }
}

macro_rules! operations_of {
    ($($module:ident),*) => {
        vec![$($module::Operation::ALL.iter().map(|operation| -> Operation {
            (operation.spec(), Box::new(move |value| operation.visit(Decodes(value))))
        }).collect::<Vec<_>>()),*]
    };
}

fn operations() -> Vec<Operation> {
    operations_of!(idp, identity, sync, sts, permissions, operator)
        .into_iter()
        .flatten()
        .collect()
}

/// Numbers drawn from a seed: enough to choose with.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's linear congruential generator.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// A value of the shape; limits are met where a text of [`TEXTS`] meets them.
fn sample(shape: &Shape, choices: &mut Choices, depth: usize) -> Value {
    match &shape.kind {
        Kind::Text { values, .. } if !values.is_empty() => {
            values[choices.below(values.len())].into()
        }
        Kind::Text { min, .. } => text(shape, usize::try_from(min.unwrap_or(1)).unwrap(), choices),
        Kind::Integer { min, max } => {
            let low = min.unwrap_or(-5);
            let width = max.unwrap_or(low + 1000).saturating_sub(low).min(1_000_000);
            json!(low + i64::try_from(choices.below(usize::try_from(width).unwrap() + 1)).unwrap())
        }
        Kind::Boolean => (choices.below(2) == 0).into(),
        Kind::Timestamp => json!(1_700_000_000.25),
        Kind::Blob { .. } => "AQID".into(),
        Kind::Document => json!({"any": [1, null]}),
        Kind::List { item, min, .. } => {
            let least = usize::try_from(min.unwrap_or(0)).unwrap();
            (0..least.max(choices.below(3)))
                .map(|_| sample(item, choices, depth + 1))
                .collect()
        }
        Kind::Map { key, value, .. } => {
            let name = sample(key, choices, depth + 1).as_str().unwrap().to_owned();
            json!({ name: sample(value, choices, depth + 1) })
        }
        Kind::Structure {
            union: true,
            members,
        } => {
            // A union that holds itself must end: its first member is never one.
            let member = &members[if depth > 6 {
                0
            } else {
                choices.below(members.len())
            }];
            json!({ member.name: sample(member.shape, choices, depth + 1) })
        }
        Kind::Structure { members, .. } => {
            let mut object = Map::new();
            for member in *members {
                if member.required || (depth < 6 && choices.below(2) == 0) {
                    object.insert(member.name.into(), sample(member.shape, choices, depth + 1));
                } else if choices.below(8) == 0 {
                    object.insert(member.name.into(), Value::Null);
                }
            }
            object.into()
        }
    }
}

/// One of [`TEXTS`], or the shortest text of one letter.
fn text(shape: &Shape, shortest: usize, choices: &mut Choices) -> Value {
    let start = choices.below(TEXTS.len());
    let texts = TEXTS
        .iter()
        .cycle()
        .skip(start)
        .take(TEXTS.len())
        .map(|text| Value::from(*text));
    let fitting = texts
        .chain([Value::from("a".repeat(shortest))])
        .find(|text| check(shape, text).is_ok());
    fitting.unwrap_or_else(|| panic!("no text fits {shape:?}"))
}

const TEXTS: &[&str] = &[
    "a",
    "abc",
    "ada@example.com",
    "us-east-1_Ab12",
    "us-east-1_1f",
    "us-east-1:0a1b2c3d-0000-4000-8000-000000000000",
    "0a1b2c3d-0000-4000-8000-000000000000",
    "https://app.example.com/callback",
    "arn:aws:iam::000000000000:role/reader",
    "arn:aws:s3:::bucket",
    "arn:aws:ses:us-east-1:000000000000:identity/a@example.com",
    "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_Ab12",
    "arn:aws:sns:us-east-1:000000000000:app/GCM/name",
    "{####}",
    "{##Click here##}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "123456",
    "Level1",
    "cognito:default",
    "terms-of-use",
    "privacy-policy",
    "tknabcdefghijklmnopqrstuvwxy",
    "import-1",
    "auth-example",
    "PetStore::User",
    "Action",
    "2024-10-15",
    "1d2h",
    "1.5",
    "aa.bb.cc",
    "authenticated",
    "10.0.0.1",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_the_tables_accept_the_types_accept(seed in any::<u64>()) {
        let mut choices = Choices(seed);
        for (spec, decodes) in operations() {
            let value = sample(spec.input, &mut choices, 0);
            // Sizes of lists and texts may still be wrong; types may not.
            let checked = check(spec.input, &value);
            prop_assert!(!matches!(checked, Err(crate::Rejected::Malformed(_))), "{}: {checked:?}", spec.name);
            prop_assert!(decodes(value.clone()), "{}: {value}", spec.name);
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z0-9.+-]{0,80}") {
        for (spec, _) in operations() {
            for body in [bytes.as_slice(), text.as_bytes()] {
                let _ = json::decode(spec.input, body);
                let _ = rest::decode(spec.input, &query::Parameters::new(), &text, &http::HeaderMap::new(), body);
                if let Ok(parameters) = query::parameters(body) {
                    let _ = query::decode(spec.input, &parameters);
                }
            }
            let _ = rest::matches(spec, &http::Method::GET, &text);
        }
    }

    #[test]
    fn no_value_makes_the_validator_panic(seed in any::<u64>(), at in any::<usize>(), other in ".{0,12}") {
        let mut choices = Choices(seed);
        for (spec, _) in operations() {
            let mut value = sample(spec.input, &mut choices, 0);
            if let Some(object) = value.as_object_mut().filter(|object| !object.is_empty()) {
                let name = object.keys().nth(at % object.len()).unwrap().clone();
                let replaced = [json!(other), json!(-1), json!([null]), json!({ other.clone(): null }), json!(1e300)];
                object.insert(name, replaced[at % replaced.len()].clone());
            }
            let _ = check(spec.input, &value);
        }
    }
}

#[test]
fn operations_are_sorted_and_found_by_name() {
    for operation in idp::Operation::ALL {
        assert_eq!(
            idp::Operation::from_name(operation.name()),
            Some(*operation)
        );
    }
    assert!(idp::Operation::ALL.is_sorted());
    assert_eq!(idp::Operation::from_name("SignIn"), None);
}

#[test]
fn facts_of_the_models_hold() {
    assert_eq!(idp::Operation::ALL.len(), 141);
    let unsigned = idp::Operation::ALL
        .iter()
        .filter(|operation| !operation.spec().signed);
    assert_eq!(unsigned.count(), 34);
    assert!(!idp::Operation::GetTokensFromRefreshToken.spec().signed);
    assert!(
        idp::Operation::SignUp
            .spec()
            .errors
            .contains(&"UsernameExistsException")
    );
}

#[test]
fn responses_leave_absent_members_out() {
    let response = idp::AdminGetUserResponse {
        username: Some("ada".into()),
        ..Default::default()
    };
    assert_eq!(json::encode(&response).unwrap(), br#"{"Username":"ada"}"#);
    assert_eq!(json::encode(&()).unwrap(), b"");
}
