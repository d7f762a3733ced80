//! The embedded engine, checked, with its secrets read.

use std::{collections::HashSet, path::Path};

use engine::{Config, DeclaredPool, DeclaredStep, StoreUrl};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{Place, check::Check, secret};

/// The embedded engine.
#[derive(Debug)]
pub struct Pools {
    /// As written, its paths absolute.
    pub config: Config,
    /// The secrets it names: the store's URL (with an absolute path, for SQLite) and the seal keys, the active one first.
    pub secrets: engine::Secrets,
    /// Who may sign admin calls.
    pub operators: Vec<Operator>,
}

/// A pair of AWS-style keys whose holder may make admin calls on some pools.
#[derive(Debug, Clone)]
pub struct Operator {
    /// As in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// As in `AWS_SECRET_ACCESS_KEY`.
    pub secret: SecretString,
    /// Pool ids, or `*` for all and for what belongs to no pool.
    pub pools: Vec<String>,
}

pub(crate) fn check(mut config: Config, check: &mut Check<'_>) -> Pools {
    let pools = Place::from("pools");
    let store = store(&config.store, &pools.key("store"), check);
    let seal = seals(&config, &pools, check);
    check_public_url(&config.public_url, &pools.key("public_url"), check);
    check_names(&config, &pools, check);
    config.outbox = config.outbox.as_deref().map(|outbox| check.path(outbox));
    let operators = operators(&config, &pools.key("operators"), check);
    check_declared(&config.declare, &pools.key("declare"), check);
    Pools {
        config,
        secrets: engine::Secrets { store, seal },
        operators,
    }
}

fn store(raw: &StoreUrl, place: &Place, check: &mut Check<'_>) -> SecretString {
    let url = match raw {
        StoreUrl::Url(url) => {
            if Url::parse(url).is_ok_and(|url| url.password().is_some()) {
                check.report(
                    place,
                    "holds a password; put the whole URL in a file and write `{file: …}`",
                );
            }
            SecretString::from(url.clone())
        }
        StoreUrl::Secret(source) => secret::read(source, place, check),
    };
    let text = url.expose_secret();
    if let Some(path) = text.strip_prefix("sqlite:") {
        return sqlite(Path::new(path), place, check);
    }
    if !text.is_empty() && !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        check.report(place, "must start with `sqlite:` or `postgres://`");
    }
    url
}

/// The URL of a file, absolute.
fn sqlite(path: &Path, place: &Place, check: &mut Check<'_>) -> SecretString {
    let path = check.path(path);
    if path.parent().is_some_and(|folder| !folder.is_dir()) {
        check.report(
            place,
            format!("the folder of `{}` does not exist; make it", path.display()),
        );
    }
    SecretString::from(format!("sqlite:{}", path.display()))
}

fn seals(config: &Config, pools: &Place, check: &mut Check<'_>) -> Vec<SecretString> {
    let previous = check.items(&pools.key("seal_previous"));
    let places = [pools.key("seal")].into_iter().chain(previous);
    let sources = [&config.seal].into_iter().chain(&config.seal_previous);
    let mut keys: Vec<SecretString> = Vec::new();
    for (source, place) in sources.zip(places) {
        let key = secret::read(source, &place, check);
        check_seal(key.expose_secret(), &keys, &place, check);
        keys.push(key);
    }
    keys
}

/// An empty key was reported when it was read.
fn check_seal(key: &str, earlier: &[SecretString], place: &Place, check: &mut Check<'_>) {
    let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !key.is_empty() && !is_key {
        check.report(
            place,
            "is not 64 hexadecimal digits; `openssl rand -hex 32` makes such a key",
        );
    } else if !key.is_empty() && earlier.iter().any(|earlier| earlier.expose_secret() == key) {
        check.report(place, "is the same key as one before it");
    }
}

fn check_public_url(url: &Url, place: &Place, check: &mut Check<'_>) {
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !url.username().is_empty() || url.password().is_some() {
        check.report(place, "must not hold a user or password");
    } else if !is_web || url.query().is_some() || url.fragment().is_some() {
        // What stands before an `@` may be a password, wherever in the URL it is.
        let value = Some(url.as_str()).filter(|text| !text.contains('@'));
        let value = value.map(|text| format!("`{text}` ")).unwrap_or_default();
        let message = "must be as `https://auth.example.com`, without `?` and `#`";
        check.report(place, format!("{value}{message}"));
    }
}

/// What stands in ARNs.
fn check_names(config: &Config, pools: &Place, check: &mut Check<'_>) {
    let mut report = |key, text: &str, form| {
        // What is longer may be a secret in the wrong place.
        let is_short = text.len() <= LONGEST_NAME && !text.contains(char::is_control);
        let value = if is_short {
            format!("`{text}` ")
        } else {
            String::new()
        };
        check.report(&pools.key(key), format!("{value}is not {form}"));
    };
    let (account, region) = (&config.account, &config.region);
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        report(
            "account",
            account,
            "an AWS account id of 12 digits, as `123456789012`",
        );
    }
    let is_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if region.is_empty() || !region.bytes().all(is_region) {
        report(
            "region",
            region,
            "a region of letters, digits and `-`, as `us-east-1`",
        );
    }
}

fn operators(config: &Config, list: &Place, check: &mut Check<'_>) -> Vec<Operator> {
    let mut seen = HashSet::new();
    let mut operators = Vec::new();
    for (raw, place) in config.operators.iter().zip(check.items(list)) {
        check_access_key(&raw.access_key_id, &mut seen, &place, check);
        check_reach(&raw.pools, &place.key("pools"), check);
        operators.push(Operator {
            access_key_id: raw.access_key_id.clone(),
            secret: secret::read(&raw.secret, &place.key("secret"), check),
            pools: raw.pools.clone(),
        });
    }
    operators
}

fn check_access_key<'c>(
    id: &'c str,
    seen: &mut HashSet<&'c str>,
    operator: &Place,
    check: &mut Check<'_>,
) {
    let place = operator.key("access_key_id");
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    // STS's model: `[\w]*`, 16 to 128 characters; SDKs take shorter ones.
    if id.is_empty() || id.len() > 128 || !id.bytes().all(is_word) {
        check.report(&place, "must be 1 to 128 letters, digits and `_`");
    }
    if !seen.insert(id) {
        check.report(&place, format!("`{id}` is there twice"));
    }
}

/// The pools an operator may change.
fn check_reach(pools: &[String], list: &Place, check: &mut Check<'_>) {
    if check.is_empty(list) {
        check.report(list, "name at least one pool, or `\"*\"` for all");
    }
    for (pool, place) in pools.iter().zip(check.items(list)) {
        if pool != "*" && !engine::pool::is_id(pool) {
            let message = format!("`{pool}` is not a pool id as `us-east-1_Staff0001`, nor `*`");
            check.report(&place, message);
        }
    }
}

/// What the engine would refuse to make at its start.
fn check_declared(pools: &[DeclaredPool], list: &Place, check: &mut Check<'_>) {
    for problem in DeclaredPool::misdeclared(pools) {
        let steps = problem.place.steps().iter();
        let place = steps.fold(list.clone(), |place, step| match step {
            DeclaredStep::Key(key) => place.key(*key),
            // Where what could not be read was taken out, positions differ from those that were written.
            DeclaredStep::Index(index) => match check.items(&place).into_iter().nth(*index) {
                Some(item) => item,
                None => place.index(*index),
            },
        });
        check.report(&place, problem.message);
    }
}

/// No account or region is longer, and AWS's secret keys are.
const LONGEST_NAME: usize = 32;
