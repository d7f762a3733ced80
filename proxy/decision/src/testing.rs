//! `policy test`: tests of policies, in YAML files beside them.
//!
//! A file is a list of tests, or a map: `prefix` stands before the bar in ids, `group_claim` names the claim with the groups
//! (`cognito:groups` when absent), `routes` are the gate's routes, as `{match: GET /pets/{petId}, resource: …}`, and `tests`
//! the tests. Without `routes`, the actions that are named as the gate names them by default are the routes.

mod file;
mod probe;

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::{
    file::{Case, Common, Expect, Route, Suite},
    probe::{Probe, Who},
};
use crate::{
    Ask, Basis, Config, Decided, Policies, Problem, Problems, default_action, load::Files,
};

/// How the tests of a directory came out.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Every test that could be read, in the order of files and lines.
    pub tests: Vec<Test>,
    /// What is wrong with the test files themselves.
    pub problems: Vec<Problem>,
}

/// How one test came out.
#[derive(Debug, Clone)]
pub struct Test {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Runs all tests of a directory; fails where its policies do not load.
pub fn test(config: &Config) -> Result<Tested, Problems> {
    let policies = Policies::load(config, 0)?;
    let files = Files::read(&config.path)?;
    let mut tested = Tested {
        tests: Vec::new(),
        problems: Vec::new(),
    };
    for file in &files.tests {
        let mut suite = Suite::read(file, &mut tested.problems);
        if suite.routes.is_empty() {
            suite.routes = policies
                .actions()
                .into_iter()
                .filter_map(default_route)
                .collect();
        }
        for (line, case) in &suite.cases {
            let failure = run(&policies, &suite, case).err();
            tested.tests.push(Test {
                file: file.path.clone(),
                line: *line,
                name: case.name.clone(),
                failure,
            });
        }
    }
    if tested.tests.is_empty() && tested.problems.is_empty() {
        tested.problems.push(Problem::of_file(
            &config.path,
            "no tests: files named `….yaml` have them",
        ));
    }
    Ok(tested)
}

impl Tested {
    /// Whether there were tests and all of them passed.
    pub fn passed(&self) -> bool {
        self.problems.is_empty() && self.tests.iter().all(|test| test.failure.is_none())
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        let mut failed = 0;
        for test in &self.tests {
            if let Some(failure) = &test.failure {
                failed += 1;
                writeln!(
                    f,
                    "{}:{}: test `{}` failed: {failure}",
                    test.file.display(),
                    test.line,
                    test.name
                )?;
            }
        }
        write!(f, "{} passed, {failed} failed", self.tests.len() - failed)
    }
}

/// The route of an action that is named by method and path.
fn default_route(action: &str) -> Option<Route> {
    let (method, template) = action
        .split_once(' ')
        .filter(|(_, template)| template.starts_with('/'))?;
    let action = Some(action.to_owned());
    Some(Route {
        r#match: format!("{} {template}", method.to_ascii_uppercase()),
        action,
        resource: None,
        headers: None,
    })
}

fn run(policies: &Policies, suite: &Suite, case: &Case) -> Result<(), String> {
    let unknown = case
        .by
        .iter()
        .flatten()
        .filter(|id| !policies.ids().contains(id));
    let unknown: Vec<_> = unknown
        .map(|id| format!("there is no policy `{id}`"))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown.join("; "));
    }
    compare(case, &decide(policies, &suite.common, &suite.routes, case)?)
}

fn decide(
    policies: &Policies,
    common: &Common,
    routes: &[Route],
    case: &Case,
) -> Result<Decided, String> {
    let (probe, route) = Probe::new(case, routes)?;
    let action = match case
        .action
        .as_ref()
        .or(route.and_then(|route| route.action.as_ref()))
    {
        Some(action) => action.clone(),
        None => route
            .and_then(|route| route.r#match.split_once(' '))
            .map(|(method, path)| default_action(method, path))
            .ok_or_else(|| format!("no route takes `{}`", case.request))?,
    };
    let headers = match route.and_then(|route| route.headers.clone()) {
        Some(headers) => headers,
        None => policies.declared_headers(&action),
    };
    let resource = case
        .resource
        .as_deref()
        .or(route.and_then(|route| route.resource.as_deref()));
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let ask = Ask {
        action: &action,
        resource,
        parameters: &probe.names(),
        headers: &headers,
    };
    let guard = policies
        .guard(&ask)
        .map_err(|problems| problems.to_string())?;
    if guard.reads_client_ip() && case.client_ip.is_none() {
        return Err(
            "the policies read the caller's address, so the test must say `client_ip`".to_owned(),
        );
    }
    let now = now(case, guard.reads_time())?;
    match guard.decide_afresh(probe, &Who::new(case, common)?, now) {
        Err(denied) => Ok(*denied.decided),
        Ok(permit) => match permit.into_parts().1 {
            Basis::Policies(decided) => Ok(*decided),
            Basis::Unguarded | Basis::Authenticated => Err("no policy was asked".to_owned()),
        },
    }
}

fn now(case: &Case, needed: bool) -> Result<SystemTime, String> {
    match &case.time {
        Some(text) => OffsetDateTime::parse(text, &Rfc3339)
            .map(SystemTime::from)
            .map_err(|_| format!("time `{text}` is not of the form `2026-01-01T12:00:00Z`")),
        None if needed => Err("the policies read the time, so the test must say `time`".to_owned()),
        None => Ok(UNIX_EPOCH),
    }
}

fn compare(case: &Case, decided: &Decided) -> Result<(), String> {
    let outcome = decided.outcome();
    let policies: Vec<&str> = outcome.policies().collect();
    let mut found = format!(
        "{} ({})",
        if outcome.is_permit() { "allow" } else { "deny" },
        outcome.code()
    );
    if !policies.is_empty() {
        found.extend([" by ", &policies.join(", ")]);
    }
    found.extend(
        outcome
            .detail()
            .into_iter()
            .flat_map(|detail| [": ", detail]),
    );
    for error in outcome.errors() {
        found.extend(["; policy `", &error.policy, "`: ", &error.message]);
    }
    if outcome.is_permit() != (case.expect == Expect::Allow) {
        return Err(format!("it is {found}"));
    }
    if case
        .code
        .as_ref()
        .is_some_and(|code| code != outcome.code().as_str())
    {
        return Err(format!("the code is another one: it is {found}"));
    }
    let expected: Option<BTreeSet<&str>> = case
        .by
        .as_ref()
        .map(|by| by.iter().map(String::as_str).collect());
    if expected.is_some_and(|expected| !expected.iter().eq(&policies)) {
        return Err(format!("other policies determine it: it is {found}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
