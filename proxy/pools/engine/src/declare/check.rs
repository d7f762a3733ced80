//! What keeps declarations from being made. The settings ask the same, so that `check` tells what the start would refuse.

use std::collections::HashSet;
use std::fmt;

use super::flow_name;
use crate::client::Flows;
use crate::config::{DeclaredClient, DeclaredPool};
use crate::pool;

/// One thing that keeps a declaration from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misdeclared {
    /// Where in the declarations.
    pub place: DeclaredPlace,
    /// What is wrong, with the value it is about.
    pub message: String,
}

/// A place in the declarations, as `[0].clients[1].id`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredPlace(Vec<DeclaredStep>);

/// One step of a [`DeclaredPlace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredStep {
    /// Into a list, by the position in what was read.
    Index(usize),
    /// Into a mapping.
    Key(&'static str),
}

impl DeclaredPool {
    /// Everything that keeps declarations from being made, in their order.
    pub fn misdeclared(declared: &[Self]) -> Vec<Misdeclared> {
        let mut check = Check::default();
        for (index, pool) in declared.iter().enumerate() {
            check.pool(
                pool,
                &DeclaredPlace::default().step(DeclaredStep::Index(index)),
            );
        }
        check.problems
    }
}

impl DeclaredPlace {
    /// The steps from the list of pools.
    pub fn steps(&self) -> &[DeclaredStep] {
        &self.0
    }

    fn step(&self, step: DeclaredStep) -> Self {
        Self([&*self.0, &[step]].concat())
    }

    fn key(&self, key: &'static str) -> Self {
        self.step(DeclaredStep::Key(key))
    }

    fn items<'i, T>(
        &self,
        key: &'static str,
        items: &'i [T],
    ) -> impl Iterator<Item = (Self, &'i T)> + use<'i, T> {
        let list = self.key(key);
        let place = move |(index, item)| (list.step(DeclaredStep::Index(index)), item);
        items.iter().enumerate().map(place)
    }
}

impl fmt::Display for DeclaredPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            DeclaredStep::Index(index) => write!(f, "[{index}]"),
            DeclaredStep::Key(key) => write!(f, ".{key}"),
        })
    }
}

/// What was seen so far.
#[derive(Default)]
struct Check<'d> {
    pools: HashSet<&'d str>,
    clients: HashSet<&'d str>,
    problems: Vec<Misdeclared>,
}

impl<'d> Check<'d> {
    fn pool(&mut self, pool: &'d DeclaredPool, place: &DeclaredPlace) {
        let id = &pool.id;
        if !pool::is_id(id) {
            let message = format!("`{id}` is not a pool id as `us-east-1_Staff0001`");
            self.report(place.key("id"), message);
        }
        if !self.pools.insert(id) {
            self.report(place.key("id"), format!("`{id}` is there twice"));
        }
        let verified = &pool.auto_verified_attributes;
        for (place, name) in place.items("auto_verified_attributes", verified) {
            if !matches!(name.as_str(), "email" | "phone_number") {
                let message =
                    format!("`{name}` cannot be verified; there are: email, phone_number");
                self.report(place, message);
            }
        }
        for (place, client) in place.items("clients", &pool.clients) {
            self.client(client, &place);
        }
        self.groups(&pool.groups, place);
    }

    fn client(&mut self, client: &'d DeclaredClient, place: &DeclaredPlace) {
        let id = &client.id;
        if !is_client_id(id) {
            let message =
                format!("`{id}` is not a client id: 1 to 128 letters, digits, `_` and `+`");
            self.report(place.key("id"), message);
        }
        if !self.clients.insert(id) {
            let message = format!("`{id}` is there twice; ids are one for all pools");
            self.report(place.key("id"), message);
        }
        for (place, flow) in place.items("flows", &client.flows) {
            if Flows::read(&[flow_name(flow)]).is_err() {
                let message = format!("`{flow}` is not a flow; there are: {}", FLOWS.join(", "));
                self.report(place, message);
            }
        }
    }

    fn groups(&mut self, groups: &[String], place: &DeclaredPlace) {
        let mut seen = HashSet::new();
        for (place, name) in place.items("groups", groups) {
            if !is_group_name(name) {
                let message =
                    format!("`{name}` is not a group name: 1 to 128 characters without spaces");
                self.report(place.clone(), message);
            }
            if !seen.insert(name) {
                self.report(place, format!("`{name}` is there twice"));
            }
        }
    }

    fn report(&mut self, place: DeclaredPlace, message: String) {
        self.problems.push(Misdeclared { place, message });
    }
}

/// `[\w+]+`, at most 128 characters, as AWS's model has it.
fn is_client_id(id: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '+';
    (1..=128).contains(&id.len()) && id.chars().all(is_word)
}

fn is_group_name(name: &str) -> bool {
    (1..=128).contains(&name.chars().count())
        && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// `ExplicitAuthFlows` of an app client, without `ALLOW_`; which are taken, [`Flows::read`] says.
const FLOWS: [&str; 6] = [
    "ADMIN_USER_PASSWORD_AUTH",
    "CUSTOM_AUTH",
    "REFRESH_TOKEN_AUTH",
    "USER_AUTH",
    "USER_PASSWORD_AUTH",
    "USER_SRP_AUTH",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flows_that_are_told_are_those_that_are_taken() {
        for flow in FLOWS {
            assert!(Flows::read(&[flow_name(flow)]).is_ok(), "{flow}");
        }
    }

    #[test]
    fn every_problem_is_told_with_its_place_and_value() {
        let declared: Vec<DeclaredPool> = serde_json::from_value(serde_json::json!([
            {"id": "Staff", "auto_verified_attributes": ["email", "name"], "groups": ["a b", "c\u{7}", "d", "d"],
             "clients": [{"id": "w-e-b", "flows": ["ALLOW_USER_AUTH", "ANYTHING"]}, {"id": "same"}]},
            {"id": "us-east-1_A", "clients": [{"id": "same"}]},
            {"id": "us-east-1_A"},
        ]))
        .unwrap();
        let found = DeclaredPool::misdeclared(&declared);
        let expected = [
            "[0].id: `Staff` is not",
            "[0].auto_verified_attributes[1]: `name` cannot",
            "[0].clients[0].id: `w-e-b` is not",
            "[0].clients[0].flows[1]: `ANYTHING` is not",
            "[0].groups[0]: `a b` is not",
            "[0].groups[1]: `c\u{7}` is not",
            "[0].groups[3]: `d` is there twice",
            "[1].clients[0].id: `same` is there twice",
            "[2].id: `us-east-1_A` is there twice",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (problem, expected) in found.iter().zip(expected) {
            let text = format!("{}: {}", problem.place, problem.message);
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
