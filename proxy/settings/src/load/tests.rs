mod answers;
mod contradictions;
mod issuers;
mod naming;
mod sections;
mod shape;
mod traces;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::{Authorize, Handling, Issuer};

/// A folder with settings and the files they may name.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("seal.key", &"ab".repeat(32));
        folder.write("ops.key", "wJalrXUtnFEMI\n");
        folder.certificate("tls/a");
        fs::create_dir(folder.0.path().join("pets")).unwrap();
        folder
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn certificate(&self, name: &str) {
        let pair = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
        self.write(&format!("{name}.crt"), &pair.cert.pem());
        self.write(&format!("{name}.key"), &pair.signing_key.serialize_pem());
    }

    fn load(&self, yaml: &str) -> Result<Settings, Problems> {
        self.write("portcullis.yaml", yaml);
        super::load(&self.0.path().join("portcullis.yaml"))
    }

    /// Each problem as `place: message`.
    fn problems(&self, yaml: &str) -> Vec<String> {
        let problems = self.load(yaml).unwrap_err();
        let list = problems.list().iter();
        list.map(|problem| format!("{}: {}", problem.place, problem.message))
            .collect()
    }

    /// Holds that `yaml` has exactly these problems, each given as the start of one.
    fn expect(&self, yaml: &str, expected: &[&str]) {
        let found = self.problems(yaml);
        for start in expected {
            assert!(
                found.iter().any(|problem| problem.starts_with(start)),
                "no `{start}` in {found:#?}"
            );
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }
}

const GOOD: &str = r#"
listeners:
  - {address: 127.0.0.1:0}
  - {address: "127.0.0.1:8443", tls: {certificates: [{cert: tls/a.crt, key: tls/a.key}]}}
admin: {address: 127.0.0.1:9901}
issuers:
  staff: {embedded: us-east-1_Staff0001}
  okta: {kind: oidc, issuer: https://acme.okta.com, audiences: [pets], principal: {prefix: okta}}
  aws:
    kind: cognito
    issuer: https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12
    clients: [web]
policies:
  pets: {path: pets, principal: PetStore::User}
upstreams:
  app: {servers: [http://127.0.0.1:9000, "http://[::1]:9000", https://app.internal]}
routes:
  - {match: {host: auth.example.com}, serve: pools}
  - match: {host: api.example.com, path: "/pets/{petId}", methods: [GET]}
    authenticate: {bearer: {issuers: [staff, aws], token_use: [access], scopes: [pets/read]}}
    authorize: {policies: pets, headers: [x-tenant]}
    upstream: {to: app, headers: {x-user: "{claims.sub}"}}
  - name: open
    match: {host: www.example.com}
    authenticate: none
    authorize: none
    upstream: {to: app}
pools:
  store: sqlite:pools.db
  seal: {file: seal.key}
  public_url: https://auth.example.com
  account: 012345678901
  operators: [{access_key_id: AKIA, secret: {file: ops.key}, pools: ["*"]}]
  declare: [{id: us-east-1_Staff0001, clients: [{id: web, flows: [USER_SRP_AUTH]}], groups: [readers]}]
"#;

#[test]
fn good_settings_are_resolved() {
    let folder = Folder::new();
    let dir = folder.0.path().canonicalize().unwrap();
    let settings = folder
        .load(GOOD)
        .map_err(|problems| problems.to_string())
        .unwrap();
    assert_eq!(settings.listeners.len(), 2);
    assert_eq!(settings.data.canonicalize().unwrap(), dir);
    assert!(settings.policies[0].1.path.is_absolute());

    let route = &settings.routes[1];
    assert_eq!(route.name, "GET api.example.com/pets/{petId}");
    let Handling::Upstream(guarded) = &route.handling else {
        panic!("not an upstream's route")
    };
    let bearer = guarded.access.authenticate.as_ref().unwrap();
    let names: Vec<_> = bearer
        .issuers
        .iter()
        .map(|index| settings.issuers[*index].name())
        .collect();
    assert_eq!(names, ["staff", "aws"]);
    assert_eq!(bearer.requirements.scopes, ["pets/read"]);
    let Authorize::Policies(policies) = &guarded.access.authorize else {
        panic!("no policies")
    };
    assert_eq!(
        (policies.policies, policies.headers[0].as_str()),
        (0, "x-tenant")
    );
    assert_eq!(settings.upstreams[guarded.upstream].name, "app");
    let servers: Vec<_> = settings.upstreams[0]
        .servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        servers,
        [
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "https://app.internal:443"
        ]
    );

    let aws = settings
        .issuers
        .iter()
        .find(|issuer| issuer.name() == "aws")
        .unwrap();
    let Issuer::Remote(remote) = aws else {
        panic!("not remote")
    };
    let rules = &remote.rules;
    assert_eq!(rules.naming.prefix.as_deref(), Some("eu-west-1_Ab12"));

    let pools = settings.pools.unwrap();
    assert_eq!(pools.config.account, "012345678901");
    assert_eq!(pools.operators[0].secret.expose_secret(), "wJalrXUtnFEMI");
    assert!(pools.secrets.store.expose_secret().starts_with("sqlite:/"));
    assert_eq!(pools.secrets.seal.len(), 1);
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let yaml = r"
listener: []
listeners:
  - {address: localhost:80}
  - {address: 127.0.0.1:8080, tsl: {}}
issuers:
  okta: {kind: oidc, issuer: https://acme.okta.com}
  other: {kind: saml, issuer: https://x.test, audiences: [a]}
upstreams:
  app: {servers: [ftp://127.0.0.1]}
routes:
  - {match: {host: a.test}, authenticate: none, upstream: {to: app}}
  - {match: {host: b.test}, authenticate: {bearer: {issuers: [okta, nobody, other]}}, authorize: authenticated,
     upstream: {to: apps}}
  - {match: {host: c.test, methods: GET}, authenticate: none, authorize: none, upstream: {to: app}}
  - {match: {host: d.test}, authenticate: none, authorize: sometimes, upstream: {to: app}}
trusted_peers: [10.0.0.0/33]
";
    Folder::new().expect(
        yaml,
        &[
            "listener: unknown key; did you mean `listeners`?",
            "listeners[0].address: ",
            "listeners[1].tsl: unknown key; did you mean `tls`?",
            "issuers.okta.audiences: name at least one",
            "issuers.other.kind: expected `cognito` or `oidc`",
            "upstreams.app.servers[0]: must start with `http://`",
            "routes[0].authorize: is left out",
            "routes[1].authenticate.bearer.issuers[1]: `nobody` is not under `issuers`",
            "routes[1].upstream.to: `apps` is not under `upstreams`; there are: app",
            "routes[2].match.methods: expected a list, found text",
            "routes[3].authorize: expected `none`, `authenticated`",
            "trusted_peers[0]: ",
        ],
    );
}

#[test]
fn several_mistakes_in_one_object_are_all_told() {
    let yaml = GOOD.replace(
        "operators: [{access_key_id: AKIA, secret: {file: ops.key}, pools: [\"*\"]}]",
        "operators: [{access_key: AKIA, secret: hunter2, pool: []}]\n  regions: 1\n  issuer: mars",
    );
    Folder::new().expect(
        &yaml,
        &[
            "pools.operators[0].access_key: unknown key; known here: access_key_id, secret, pools",
            "pools.operators[0].secret: expected `file` or `env`",
            "pools.operators[0].pool: unknown key; did you mean `pools`?",
            "pools.operators[0]: `access_key_id` is missing",
            "pools.operators[0]: `pools` is missing",
            "pools.regions: unknown key; did you mean `region`?",
            "pools.issuer: expected `public_url` or `aws`",
        ],
    );
}

#[test]
fn what_cannot_be_read_keeps_nothing_else_from_being_checked() {
    let yaml = GOOD
        .replace("public_url: https://auth.example.com", "public_url: 5")
        .replace("seal: {file: seal.key}", "seal: {file: gone.key}")
        .replace("serve: pools", "serve: poles")
        .replace("{embedded: us-east-1_Staff0001}", "{embedded: [1]}")
        .replace("{to: app}", "{to: [app]}")
        .replace("address: 127.0.0.1:9901", "adress: 127.0.0.1:9901")
        .replace("http://127.0.0.1:9000,", "{},");
    Folder::new().expect(
        &yaml,
        &[
            "pools.public_url: ",
            "pools.seal.file: `",
            "routes[0].serve: expected `pools`",
            "issuers.staff.embedded: expected a string, found a list",
            "routes[2].upstream.to: expected a string, found a list",
            "admin.adress: unknown key; did you mean `address`?",
            "admin: `address` is missing",
            "upstreams.app.servers[0]: expected a string, found a mapping",
        ],
    );
}

#[test]
fn a_problem_has_its_line_and_no_secret() {
    let folder = Folder::new();
    let yaml = GOOD.replace("seal: {file: seal.key}", "seal: 5e1f5e1f");
    let problems = folder.load(&yaml).unwrap_err();
    let shown = problems.to_string();
    assert!(!shown.contains("5e1f"), "{shown}");
    let line = yaml
        .lines()
        .position(|line| line.contains("seal:"))
        .unwrap() as u64
        + 1;
    assert_eq!(problems.list()[0].line, Some(line));
    assert!(
        shown.contains(&format!("  1. line {line}: pools.seal: ")),
        "{shown}"
    );
    // The engine's members are all told of, so that nothing else is said for want of them.
    assert_eq!(problems.list().len(), 1, "{shown}");
}

#[test]
fn what_cannot_be_read_as_yaml_is_told() {
    let folder = Folder::new();
    for yaml in [
        "listeners: [",
        "a: *b",
        "&a [*a]",
        "- 1\n---\n- 2",
        "x: !!binary 7",
    ] {
        assert_eq!(folder.problems(yaml).len(), 1, "{yaml}");
    }
    folder.expect("[]", &[": expected a mapping"]);
    folder.expect("", &[": expected a mapping"]);
    folder.expect(
        "{}",
        &["listeners: name at least one", "routes: name at least one"],
    );
    let problems = super::load(Path::new("/nonexistent.yaml")).unwrap_err();
    assert!(problems.to_string().contains("cannot be read"));
}

/// Seven lines that stand for a quarter of a million values.
#[test]
fn aliases_of_aliases_are_bounded() {
    let line = |level: usize, items: &str| format!("a{level}: &a{level} [{items}]\n");
    let mut yaml = line(0, &["x"; 8].join(", "));
    for level in 1..6 {
        let items = vec![format!("*a{}", level - 1); 8].join(", ");
        yaml.push_str(&line(level, &items));
    }
    yaml.push_str("listeners: *a5\n");
    Folder::new().expect(
        &yaml,
        &[": not readable as YAML: alias replay limit exceeded"],
    );
    let folder = Folder::new();
    let few = GOOD.replace(
        "{address: 127.0.0.1:0}",
        "&it {address: 127.0.0.1:0}\n  - *it",
    );
    assert!(folder.load(&few).is_ok(), "{:#?}", folder.problems(&few));
}

/// A thread of tokio's has 2 MiB, and unoptimised frames are several times as large.
#[test]
fn deep_nesting_is_told_on_any_stack() {
    let folder = Folder::new();
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("\n", "")] {
        let nested = |depth: usize| match open {
            "\n" => {
                let lines = (1..depth).map(|level| [" ".repeat(level), "- ".to_owned()].concat());
                ["\n", &lines.collect::<Vec<_>>().join("\n")].concat()
            }
            _ => format!("{}{}", open.repeat(depth), close.repeat(depth)),
        };
        for depth in [23, 64, 300, 5000] {
            let problems = folder.problems(&format!("listeners: {}", nested(depth)));
            let expected = if depth < 24 {
                "listeners"
            } else {
                ": not readable as YAML"
            };
            assert!(
                problems.iter().any(|problem| problem.starts_with(expected)),
                "{depth}: {problems:?}"
            );
        }
    }
}

#[test]
fn the_files_that_count_are_named_whatever_is_wrong() {
    let folder = Folder::new();
    let named = |files: &[PathBuf]| {
        let dir = std::path::absolute(folder.0.path()).unwrap();
        let names = files.iter().map(|file| file.strip_prefix(&dir).unwrap());
        let mut names: Vec<_> = names.map(|name| name.display().to_string()).collect();
        names.sort();
        names
    };
    let all = [
        "ops.key",
        "pets",
        "portcullis.yaml",
        "seal.key",
        "tls/a.crt",
        "tls/a.key",
    ];
    let good = folder.load(GOOD).map_err(|problems| problems.to_string());
    assert_eq!(named(&good.unwrap().files), all);
    let bad = GOOD
        .replace("ops.key", "z.key")
        .replace("to: app}", "to: gone}");
    let problems = folder.load(&bad).unwrap_err();
    let mut with_gone = all.map(|name| if name == "ops.key" { "z.key" } else { name });
    with_gone.sort_unstable();
    assert_eq!(named(problems.files()), with_gone);
    let unreadable = folder.load("listeners: [").unwrap_err();
    assert_eq!(named(unreadable.files()), ["portcullis.yaml"]);
}

#[test]
fn a_key_given_twice_hides_nothing_else() {
    let yaml = GOOD
        .replace("admin:", "admin: {address: nowhere}\nadmin:")
        .replace("to: app}", "to: gone, to: nowhere}")
        .replace(
            "  app: {servers",
            "  1: {servers: []}\n  \"1\": {servers: ['http://a.test']}\n  app: {servers",
        );
    Folder::new().expect(
        &yaml,
        &[
            "admin: `admin` is there twice, first in line 5; take one out",
            "routes[2].upstream.to: `to` is there twice, first in line 30",
            "routes[2].upstream.to: `nowhere` is not under",
            "upstreams.1: `1` is there twice, first in line 17",
        ],
    );
    // Two numbers are one key however they are written.
    let yaml = GOOD.replace(
        "  app: {servers",
        "  1: {servers: [http://a.test]}\n  0x1: {servers: [http://a.test]}\n  app: {servers",
    );
    Folder::new().expect(&yaml, &[": a key is there twice"]);
}

/// The examples in `config/`, in a copy that has the files their comments tell to make.
#[test]
fn the_examples_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Folder::new();
    let dir = folder.0.path();
    for made in ["config/secrets", "data/pools", "policies/petstore"] {
        fs::create_dir_all(dir.join(made)).unwrap();
    }
    folder.write("config/secrets/seal.key", &"ab".repeat(32));
    folder.write("config/secrets/operator.key", "0123456789");
    folder.certificate("config/tls/example");
    let mut seen = 0;
    for file in fs::read_dir(root.join("config"))
        .unwrap()
        .map(Result::unwrap)
    {
        if file
            .path()
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let copy = dir.join("config").join(file.file_name());
            fs::copy(file.path(), &copy).unwrap();
            let loaded = super::load(&copy);
            assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen >= 3);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    })]

    /// Whatever is cut out of settings, or put in, reading them comes to an end and tells why they are no good.
    #[test]
    fn any_damage_is_answered(start in 0_usize..2000, length in 0_usize..60, put in "[a-z0-9:{}\\[\\], \n\"-]{0,12}") {
        let start = start % GOOD.len();
        let end = (start + length).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..start], &GOOD[end..]);
        let (settings, problems) = read(&text, Path::new("/nowhere/portcullis.yaml"), &mut Vec::new());
        // The files that are named are not there, so there is always something to tell.
        proptest::prop_assert!(settings.is_none() || !problems.is_empty());
        proptest::prop_assert!(!problems.is_empty());
    }
}
