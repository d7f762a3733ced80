//! What the gate has for a request: a table of routes, a verifier, a guard, and the request itself.

use std::{
    borrow::Cow,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use anyhow::{Context, Result, anyhow};
use decision::{Ask, Caller, Certificate, Claims, Config, Guard, Policies, Request, Single};
use engine::Clock as _;
use route::{Match, Table};
use serde_json::Value;
use token::{
    Audience, Claim, Issuer, IssuerIndex, Kind, Limits, Naming, Object, Requirements, Rules,
    Verified, Verifier,
};

use crate::Pool;

/// The gate's parts.
pub struct Gate {
    /// A hundred routes.
    pub table: Table<usize>,
    /// `GET /pets/{petId}`, resource the application: roles, and a policy with a condition.
    pub guard: Guard,
    /// The same by roles alone.
    pub roles: Guard,
    /// When the requests come.
    pub now: SystemTime,
    issuer: IssuerIndex,
    verifier: Verifier,
    /// Has room for none of the tokens that it remembers.
    forgetful: Verifier,
    /// More than it waits for before it forgets those for which there is no room.
    strangers: Vec<String>,
    next: AtomicUsize,
    requirements: Requirements,
}

impl Gate {
    /// In front of the pet store, trusting the pool.
    pub async fn new(pool: &Pool) -> Result<Self> {
        let mut strangers = Vec::new();
        for _ in 0..STRANGERS {
            strangers.push(pool.issue().await?.access_token);
        }
        let verifier = verifier_of(pool, Limits::default())?;
        let issuer = verifier.index("pets").context("the issuer is not there")?;
        Ok(Self {
            table: table()?,
            guard: guard()?,
            roles: guard_by(petstore())?,
            now: pool.engine.clock().now(),
            issuer,
            verifier,
            forgetful: verifier_of(
                pool,
                Limits {
                    remembered_bytes: 1,
                    ..Limits::default()
                },
            )?,
            strangers,
            next: AtomicUsize::new(0),
            requirements: Requirements::default(),
        })
    }

    /// Verifies a token that is not known, remembers it, and forgets one.
    pub async fn verify_first_seen(&self) -> Result<Verified> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let token = self.strangers.get(next % STRANGERS).context("no token")?;
        let allowed = [self.issuer];
        let verified = self
            .forgetful
            .verify(token, &allowed, &self.requirements, self.now)
            .await;
        verified.map_err(|refusal| anyhow!("the token is refused: {}", refusal.code()))
    }

    /// Verifies a token; whoever verifies it again is told what is remembered.
    pub async fn verify(&self, token: &str) -> Result<Verified> {
        let allowed = [self.issuer];
        let verified = self
            .verifier
            .verify(token, &allowed, &self.requirements, self.now)
            .await;
        verified.map_err(|refusal| anyhow!("the token is refused: {}", refusal.code()))
    }
}

/// moka lets 64 wait.
const STRANGERS: usize = 160;

/// The pet store's policies for `GET /pets/{petId}`, and one more.
pub(crate) fn guard() -> Result<Guard> {
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(petstore())? {
        let entry = entry?;
        fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    fs::write(folder.path().join("conditional.cedar"), CONDITIONAL)?;
    guard_by(folder.path().to_owned())
}

/// A policy that has to be evaluated.
pub(crate) const CONDITIONAL: &str = r#"
@id("only-get")
forbid (principal, action == PetStore::Action::"get /pets/{petId}", resource)
unless { context.method == "GET" };
"#;

/// The policies of a folder for the same.
pub(crate) fn guard_by(policies: PathBuf) -> Result<Guard> {
    let config = Config {
        path: policies,
        principal: "PetStore::User".into(),
        group: Some("PetStore::UserGroup".into()),
        remembered_bytes: Config::REMEMBERED_BYTES,
    };
    let ask = Ask {
        action: "get /pets/{petId}",
        resource: None,
        parameters: &["petId"],
        headers: &[],
    };
    Ok(Policies::load(&config, 1)?.guard(&ask)?)
}

/// Where the policies are.
pub(crate) fn petstore() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policies/petstore")
}

/// The verifier of the pool's tokens, revocations included.
fn verifier_of(pool: &Pool, limits: Limits) -> Result<Verifier> {
    let rules = Rules {
        name: "pets".into(),
        iss: pool.engine.issuer(Pool::ID),
        kind: Kind::Cognito,
        audience: Audience::Embedded,
        naming: Naming::cognito(Pool::ID),
    };
    let issuer = Issuer::new(
        rules,
        pool.engine.pool_keys(Pool::ID),
        Some(pool.engine.revocations()),
    );
    Ok(Verifier::new(vec![issuer], limits)?)
}

/// Ten hosts with ten routes each.
fn table() -> Result<Table<usize>> {
    let paths = [
        "/",
        "/pets",
        "/pets/{petId}",
        "/pets/{petId}/photos",
        "/pets/{petId}/photos/{photo}",
    ];
    let paths = paths.iter().chain(&[
        "/owners",
        "/owners/{owner}/pets",
        "/files/{path*}",
        "/healthz",
        "/{rest*}",
    ]);
    let routes = (0..10).flat_map(|host| {
        paths.clone().enumerate().map(move |(at, path)| {
            let host = Some(format!("api{host}.example.com"));
            let methods = vec!["GET".to_owned(), "PUT".to_owned()];
            (
                format!("{host:?} {path}"),
                Match {
                    host,
                    path: Some((*path).to_owned()),
                    methods,
                },
                at,
            )
        })
    });
    Table::build(routes.collect()).map_err(|problems| anyhow!("{problems:?}"))
}

/// `GET /pets/1`.
#[derive(Debug, Clone, Copy)]
pub struct Head;

impl Request for Head {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &'static str {
        "api5.example.com"
    }

    fn path(&self) -> &'static str {
        "/pets/1"
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        (name == "petId").then_some("1")
    }

    fn query_parameter(&self, _: &str) -> Single<'_> {
        Single::Absent
    }

    fn header(&self, _: &str) -> Single<'_> {
        Single::Absent
    }

    fn client_ip(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn certificate(&self) -> Option<&Certificate> {
        None
    }
}

/// The token's bearer.
#[derive(Debug)]
pub struct Who {
    /// What verification gave.
    pub verified: Verified,
    /// Whether the policies' view of the caller may be remembered.
    pub remember: bool,
}

impl Caller for Who {
    fn id(&self) -> &str {
        self.verified.principal().unwrap_or_default()
    }

    fn group_prefix(&self) -> Option<&str> {
        self.verified.prefix()
    }

    fn groups(&self) -> Vec<&str> {
        self.verified.groups().collect()
    }

    fn id_claims(&self) -> Option<impl Claims> {
        None::<Said<'_>>
    }

    fn access_claims(&self) -> Option<impl Claims> {
        Some(Said(self.verified.raw()))
    }

    fn digest(&self) -> Option<[u8; 16]> {
        self.verified.digest.filter(|_| self.remember)
    }
}

/// What a token says, as the gate gives it to decisions.
struct Said<'c>(Object<'c>);

impl Claims for Said<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.0.get(name).map(Claim::to_value).map(Cow::Owned)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name)
    }
}
