//! Folders of policies, as files behind lines `=== NAME`: decisions against Cedar's own authoriser over the whole set, and
//! remembered ones against fresh ones.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher as _},
    path::Path,
};

use decision::{Ask, Basis, Config, Decided, Guard, Policies};

mod cases;
mod cedar;

use cases::{Asked, CALLERS, Who};

pub(super) fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (config, files) = written(text, folder.path());
    let is_default = files.iter().any(|(_, content)| *content == SCHEMA);
    match Policies::load(&config, 1) {
        Err(problems) => {
            assert!(problems.iter().count() > 0, "refused for nothing");
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
        Ok(policies) => {
            let whole = is_default.then(|| cedar::Whole::read(&files));
            decide(&policies, whole.as_ref(), data);
            // What a test finds is its own affair; that it runs is ours.
            drop(decision::test(&config));
        }
    }
}

/// Writes the files, with a schema if there is none.
fn written<'t>(text: &'t str, folder: &Path) -> (Config, Vec<(String, &'t str)>) {
    let mut files = files(text);
    let is_schema = |name: &str| name.contains(".cedarschema");
    if !files.iter().any(|(name, _)| is_schema(name)) {
        files.push(("default.cedarschema".to_owned(), SCHEMA));
    }
    for (name, content) in &files {
        fs::write(folder.join(name), content).unwrap();
    }
    let (namespace, group) = if text.contains("PetStore") {
        ("PetStore", "UserGroup")
    } else {
        ("Pets", "Group")
    };
    let config = Config {
        path: folder.to_owned(),
        principal: format!("{namespace}::User"),
        group: Some(format!("{namespace}::{group}")),
        remembered_bytes: Config::REMEMBERED_BYTES,
    };
    (config, files)
}

/// Files by their names, where JSON is a schema; of two with one name the last.
fn files(text: &str) -> Vec<(String, &str)> {
    let pieces = text
        .split("=== ")
        .filter_map(|piece| piece.split_once('\n'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    pieces
        .map(|(name, content)| {
            let name: String = name.chars().filter(|c| plain(*c)).take(64).collect();
            match name.strip_suffix(".json") {
                Some(name) => (format!("{name}.cedarschema.json"), content),
                None => (name, content),
            }
        })
        .filter(|(name, _)| !name.starts_with('.') && !name.is_empty())
        .fold(Vec::new(), |mut files, file| {
            files.retain(|(name, _)| *name != file.0);
            files.push(file);
            files
        })
}

/// Decides one request of one caller for each action: which ones is the data's to choose, so that a mutation asks others, and
/// cases go by ten times as fast as with all of them in each.
fn decide(policies: &Policies, whole: Option<&cedar::Whole>, data: &[u8]) {
    for action in policies.actions() {
        let asks = action.contains("{petId}");
        let resource = (whole.is_some() && asks).then_some("Pets::Pet::\"{petId}\"");
        let parameters: &[&str] = if asks { &["petId"] } else { &[] };
        let ask = Ask {
            action,
            resource,
            parameters,
            headers: &["x-tenant"],
        };
        let Ok(guard) = policies.guard(&ask) else {
            continue;
        };
        let request = chosen(&cases::requests(parameters), ("request", action, data)).clone();
        let caller = chosen(CALLERS, ("caller", action, data));
        let decided = hold(&guard, &request, caller);
        if let Some(whole) = whole {
            whole.check(&decided, &request, caller, (action, resource.is_some()));
        }
    }
}

/// One of these, the same for the same reason.
fn chosen<T>(all: &[T], reason: impl Hash) -> &T {
    let mut hasher = DefaultHasher::new();
    reason.hash(&mut hasher);
    let count = all.len() as u64;
    &all[usize::try_from(hasher.finish() % count).unwrap()]
}

/// The decision, which is the same however often it is asked for.
fn hold(guard: &Guard, request: &Asked, caller: &Who) -> Decided {
    let claims = caller.claims();
    let now = cases::now();
    let fresh = settled(guard.decide_afresh(request.clone(), &claims, now));
    for _ in 0..2 {
        let again = settled(guard.decide(request.clone(), &claims, now));
        assert_eq!(again.outcome(), fresh.outcome(), "remembered otherwise");
        assert_eq!(
            (again.principal(), again.action(), again.resource()),
            (fresh.principal(), fresh.action(), fresh.resource())
        );
    }
    fresh
}

fn settled<H>(found: Result<decision::Permit<H>, decision::Denied<H>>) -> Decided {
    match found {
        Err(denied) => {
            assert!(
                !denied.decided.outcome().is_permit(),
                "a denial that permits"
            );
            *denied.decided
        }
        Ok(permit) => match permit.into_parts().1 {
            Basis::Policies(decided) => *decided,
            other => panic!("a permit by {other:?}"),
        },
    }
}

/// What the corpus talks about.
const SCHEMA: &str = include_str!("policies/default.cedarschema");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_caller_and_request_is_asked_about() {
        let asked = |of: &str, count: usize| {
            let all: Vec<_> = (0..count).collect();
            let of = |number: usize| *chosen(&all, (of, "action", number.to_string().as_bytes()));
            (0..100).map(of).collect::<BTreeSet<_>>().len()
        };
        assert_eq!((asked("request", 3), asked("caller", 3)), (3, 3));
    }

    /// Else nothing would be decided.
    #[test]
    fn the_corpus_loads() {
        for text in [
            include_str!("../../corpus/policies/conditions"),
            include_str!("../../corpus/policies/failing"),
            include_str!("../../corpus/policies/json"),
            include_str!("../../corpus/policies/petstore"),
            include_str!("../../corpus/policies/readers"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (config, _) = written(text, folder.path());
            let found = Policies::load(&config, 1);
            assert!(found.is_ok(), "{found:?}");
        }
    }
}
