//! Files of policy tests.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::{Certificate, Problem, load::File};

/// A file of tests. It is a list of tests, or a map with the tests and what they have in common.
#[derive(Debug, Default)]
pub(super) struct Suite {
    pub(super) common: Common,
    pub(super) routes: Vec<Route>,
    pub(super) cases: Vec<(usize, Case)>,
}

/// What the callers of all tests of a file have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) prefix: Option<String>,
    pub(super) group_claim: Option<String>,
}

/// A route, as the settings of the gate would have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// Method and path template, as `GET /pets/{petId}`.
    pub(super) r#match: String,
    pub(super) action: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) headers: Option<Vec<String>>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// Claims of the verified token.
    pub(super) claims: Map<String, Value>,
    #[serde(default)]
    pub(super) token_use: TokenUse,
    /// Method, path and perhaps a query, as `GET /pets/1?limit=5`.
    pub(super) request: String,
    pub(super) host: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) client_ip: Option<IpAddr>,
    /// What the caller's certificate says; absent where none is shown.
    pub(super) certificate: Option<Certificate>,
    /// RFC 3339.
    pub(super) time: Option<String>,
    pub(super) action: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) expect: Expect,
    /// The reason's code.
    pub(super) code: Option<String>,
    /// `@id`s of exactly the policies that determine the decision.
    pub(super) by: Option<Vec<String>>,
}

/// Which token a test's claims are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenUse {
    #[default]
    Access,
    Id,
}

/// What a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    Allow,
    Deny,
}

impl Suite {
    /// Reads a file; what is wrong in one test does not hide what is wrong in another.
    pub(super) fn read(file: &File, problems: &mut Vec<Problem>) -> Self {
        let is_list = file
            .text
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with(['#', ' ']) && *line != "---");
        let document = if is_list.is_some_and(|line| line.starts_with(['-', '['])) {
            serde_saphyr::from_str(&file.text).map(|tests| Document {
                tests,
                ..Document::default()
            })
        } else {
            serde_saphyr::from_str(&file.text)
        };
        let document: Document = match document {
            Ok(document) => document,
            Err(error) => {
                let line = error
                    .location()
                    .map(|location| usize::try_from(location.line()).unwrap_or_default());
                problems.push(Problem {
                    file: Some(file.path.clone()),
                    line,
                    message: error.to_string(),
                });
                return Self::default();
            }
        };
        Self {
            common: Common {
                prefix: document.prefix,
                group_claim: document.group_claim,
            },
            routes: each(file, document.routes, problems)
                .into_iter()
                .map(|(_, route)| route)
                .collect(),
            cases: each(file, document.tests, problems),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// What stands before the bar in the ids of callers and groups.
    prefix: Option<String>,
    /// The claim with the groups; `cognito:groups` when absent.
    group_claim: Option<String>,
    #[serde(default)]
    routes: Vec<Spanned<Value>>,
    #[serde(default)]
    tests: Vec<Spanned<Value>>,
}

/// Reads each item on its own, with its line.
fn each<T: DeserializeOwned>(
    file: &File,
    items: Vec<Spanned<Value>>,
    problems: &mut Vec<Problem>,
) -> Vec<(usize, T)> {
    let items = items.into_iter().filter_map(|item| {
        let line = usize::try_from(item.referenced.line()).unwrap_or_default();
        let name = item
            .value
            .get("name")
            .and_then(Value::as_str)
            .map(|name| format!("test `{name}`: "))
            .unwrap_or_default();
        let problem = |error: serde_json::Error| Problem {
            file: Some(file.path.clone()),
            line: Some(line),
            message: format!("{name}{error}"),
        };
        serde_json::from_value(item.value.clone())
            .map_err(|error| problems.push(problem(error)))
            .ok()
            .map(|item| (line, item))
    });
    items.collect()
}
