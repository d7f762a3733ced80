use std::path::Path;

use super::infer;
use crate::{Config, Policies};

const SCHEMA: &str = "
entity Group;
entity User in [Group] = { email?: String };
entity Application;
action \"get /pets\" appliesTo { principal: User, resource: Application };
";

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn config(dir: &Path) -> Config {
    Config {
        path: dir.to_owned(),
        principal: "User".into(),
        group: Some("Group".into()),
        remembered_bytes: 0,
    }
}

/// The problems, without the directory's name.
fn problems(files: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Vec<String> {
    let dir = dir(files);
    let mut config = config(dir.path());
    change(&mut config);
    let problems = Policies::load(&config, 1).unwrap_err();
    let root = format!("{}", dir.path().display());
    problems
        .iter()
        .map(|problem| problem.to_string().replace(&root, ""))
        .collect()
}

const OK: &str = "// A comment.\n@id(\"a\")\npermit(principal, action, resource);\n";

#[test]
fn every_problem_is_reported_with_its_place() {
    let files = [
        ("x.cedarschema", SCHEMA),
        ("a.cedar", OK),
        (
            "b.cedar",
            "permit(principal, action, resource);\n\n@id(\"a\")\nforbid(principal, action, resource);",
        ),
        (
            "c/d.cedar",
            "@id(\"d\")\npermit(principal, action, resource)\nwhen { principal.emial == \"x\" };\n",
        ),
        ("e.cedar", "@id(\"e\")\npermit(principal, action, resurce);"),
        (
            "f.cedar",
            "@id(\"f\")\npermit(principal, action == Action::\"get /pets\", resource == User::\"x\");",
        ),
        (
            "g.cedar",
            "@id(\"g\")\npermit(principal == ?principal, action, resource);",
        ),
        (".hidden/h.cedar", "nonsense"),
        ("README.md", "nonsense"),
    ];
    let found = problems(&files, |_| ());
    let starts = [
        "/b.cedar:1: the policy has no `@id",
        "/b.cedar:3: another policy has the id `a`",
        "/c/d.cedar:3: ",
        "/e.cedar:2: ",
        "/f.cedar:1: ",
        "/f.cedar:1: ",
        "/g.cedar:1: a template",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found} is not {start}");
    }
    assert!(
        found[2]
            .contains("attribute `emial` on entity type `User` not found; did you mean `email`?")
    );
}

#[test]
fn there_is_one_schema() {
    assert!(problems(&[("a.cedar", OK)], |_| ())[0].contains("no schema"));
    let two = problems(
        &[("x.cedarschema", SCHEMA), ("y.cedarschema.json", "{}")],
        |_| (),
    );
    assert_eq!(
        two,
        ["/y.cedarschema.json: a second schema: only one can be there"]
    );
    assert!(
        problems(
            &[(
                "x.cedarschema",
                "entity User;\nentity Uzer in [];\nentity X in [Nope]"
            )],
            |_| ()
        )[0]
        .starts_with("/x.cedarschema:3: ")
    );
    assert!(
        problems(&[("x.cedarschema.json", "{")], |_| ())[0].starts_with("/x.cedarschema.json: ")
    );
}

#[test]
fn the_types_of_the_settings_are_in_the_schema() {
    let files = [("x.cedarschema", SCHEMA), ("a.cedar", OK)];
    let user = problems(&files, |config| config.principal = "Uzer".into());
    assert_eq!(user, [": the principal's type `Uzer` is not in the schema"]);
    let application = problems(&files, |config| config.principal = "Application".into());
    let expected = ": callers cannot be of the type `Application`, which is the application's";
    assert!(
        application.contains(&expected.to_owned()),
        "{application:?}"
    );
    let group = problems(&files, |config| config.group = Some("Application".into()));
    assert_eq!(
        group,
        [": the schema does not say `entity User in [Application]`"]
    );
    assert!(
        problems(&[], |config| config.path = "/nonexistent".into())[0]
            .starts_with("/nonexistent: ")
    );
}

#[test]
fn the_hash_is_of_what_decides() {
    let files = [("x.cedarschema", SCHEMA), ("a.cedar", OK)];
    let hash = |files: &[(&str, &str)]| {
        Policies::load(&config(dir(files).path()), 1)
            .unwrap()
            .hash()
            .to_owned()
    };
    assert_eq!(
        hash(&files),
        hash(&[
            ("x.cedarschema", SCHEMA),
            ("a.cedar", OK),
            ("tests.yaml", "[]")
        ])
    );
    assert_ne!(
        hash(&files),
        hash(&[("x.cedarschema", SCHEMA), ("b.cedar", OK)])
    );
    assert_ne!(hash(&files), hash(&[("x.cedarschema", SCHEMA)]));
    assert_eq!(hash(&files).len(), 64);
}

#[test]
fn json_schemas_are_read() {
    let json = cedar_policy::SchemaFragment::from_cedarschema_str(SCHEMA)
        .unwrap()
        .0
        .to_json_string()
        .unwrap();
    let dir = dir(&[("x.cedarschema.json", &json), ("a.cedar", OK)]);
    assert_eq!(Policies::load(&config(dir.path()), 1).unwrap().ids(), ["a"]);
}

#[test]
fn the_types_can_be_inferred() {
    let one = dir(&[("x.cedarschema", SCHEMA)]);
    let inferred = infer(one.path()).unwrap();
    assert_eq!(
        (&*inferred.principal, inferred.group.as_deref()),
        ("User", Some("Group"))
    );
    let two = dir(&[(
        "x.cedarschema",
        &format!("{SCHEMA} action x appliesTo {{ principal: Group, resource: User }};"),
    )]);
    assert!(infer(two.path()).is_err());
}
