//! Callers and groups named apart: where the same policies decide about callers of several issuers, no issuer may be able
//! to name one as another issuer does.
//!
//! Names are `<prefix>|<claim>`, and the claim is the issuer's to choose, bars included. So they differ for certain only
//! where each issuer has a prefix, no two alike, and none with a bar in it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use token::Naming;

use crate::{Issuer, Place, check::Check, written};

/// Callers of an issuer whom a policy set decides about.
#[derive(Clone, Copy)]
struct Reach<'r> {
    issuer: &'r Issuer,
    policies: &'r str,
    folder: &'r Path,
}

/// Reports issuers that share policies without names of their own; from what is written of each route, whatever else is
/// wrong with it.
pub(crate) fn check(
    routes: &[written::Route],
    issuers: &[Issuer],
    policies: &[(String, decision::Config)],
    check: &mut Check<'_>,
) {
    let folders: Vec<_> = policies
        .iter()
        .map(|(name, config)| (name.as_str(), folder(&config.path)))
        .collect();
    let reached = reached(routes, issuers, &folders);
    let mut told = HashSet::new();
    for (index, one) in reached.iter().enumerate() {
        for other in reached.iter().take(index) {
            if one.issuer.name() != other.issuer.name() && is_shared(one.folder, other.folder) {
                check_pair(*other, *one, &mut told, check);
            }
        }
    }
}

/// Each pair of issuer and policy set, once, in the order of the issuers.
fn reached<'r>(
    routes: &'r [written::Route],
    issuers: &'r [Issuer],
    folders: &'r [(&'r str, PathBuf)],
) -> Vec<Reach<'r>> {
    let asked: HashSet<(&str, &str)> = routes.iter().flat_map(asked).collect();
    let sets = |issuer: &'r Issuer| {
        folders.iter().map(move |(policies, folder)| Reach {
            issuer,
            policies,
            folder,
        })
    };
    issuers
        .iter()
        .flat_map(sets)
        .filter(|reach| asked.contains(&(reach.issuer.name(), reach.policies)))
        .collect()
}

/// The issuers of a route with its policy set; none where policies do not decide.
fn asked(route: &written::Route) -> impl Iterator<Item = (&str, &str)> {
    let both = match (&route.authenticate, &route.authorize) {
        (
            Some(written::Authenticate::Bearer(bearer)),
            Some(written::Authorize::Policies(policies)),
        ) => Some((bearer, policies)),
        _ => None,
    };
    both.into_iter().flat_map(|(bearer, policies)| {
        let issuers = bearer.issuers.iter();
        issuers.map(|issuer| (issuer.as_str(), policies.policies.as_str()))
    })
}

/// The folder whatever way it is written, as far as it exists.
fn folder(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether two policy sets have policies in common: folders are read with those in them.
fn is_shared(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn check_pair<'r>(
    one: Reach<'r>,
    other: Reach<'r>,
    told: &mut HashSet<&'r str>,
    check: &mut Check<'_>,
) {
    let (of_one, of_other) = (prefix(one.issuer), prefix(other.issuer));
    if of_one.is_empty() {
        report_missing(one, other, told, check);
    }
    if of_other.is_empty() {
        report_missing(other, one, told, check);
    }
    if !of_one.is_empty() && of_one == of_other && told.insert(other.issuer.name()) {
        let message = format!(
            "is `{of_one}` for `{}` too, and {} decide about callers of both; write another one",
            one.issuer.name(),
            policies(one, other)
        );
        check.report(&place(other.issuer), message);
    }
}

fn report_missing<'r>(
    without: Reach<'r>,
    other: Reach<'r>,
    told: &mut HashSet<&'r str>,
    check: &mut Check<'_>,
) {
    if told.insert(without.issuer.name()) {
        let message = format!(
            "is needed, since {} decide about callers of `{}` too: without one, `{}` could name its own callers as those",
            policies(other, without),
            other.issuer.name(),
            without.issuer.name()
        );
        check.report(&place(without.issuer), message);
    }
}

fn policies(one: Reach<'_>, other: Reach<'_>) -> String {
    if one.policies == other.policies {
        format!("the policies `{}`", one.policies)
    } else {
        format!(
            "the policies `{}` and `{}`, whose folders have files in common,",
            one.policies, other.policies
        )
    }
}

fn prefix(issuer: &Issuer) -> &str {
    let naming: &Naming = issuer.naming();
    naming.prefix.as_deref().unwrap_or_default()
}

fn place(issuer: &Issuer) -> Place {
    let issuer = Place::from("issuers").key(issuer.name());
    issuer.key("principal").key("prefix")
}
