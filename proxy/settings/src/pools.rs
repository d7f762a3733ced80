//! The embedded engine, checked, with its secrets read.

use std::{collections::HashSet, path::Path};

use engine::{Config, DeclaredPool, StoreUrl};
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
    if config.account.len() != 12 || !config.account.bytes().all(|byte| byte.is_ascii_digit()) {
        check.report(
            &pools.key("account"),
            "is not an AWS account id of 12 digits",
        );
    }
    let is_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if config.region.is_empty() || !config.region.bytes().all(is_region) {
        check.report(&pools.key("region"), "is not a region as `us-east-1`");
    }
    config.outbox = config.outbox.as_deref().map(|outbox| check.path(outbox));
    let operators = operators(&config, &pools.key("operators"), check);
    check_declared(&config.declare, &pools.key("declare"), check);
    Pools {
        config,
        secrets: engine::Secrets { store, seal },
        operators,
    }
}

/// `[\w-]+_[0-9a-zA-Z]+`, at most 55 characters, as AWS's model has it.
pub(crate) fn is_pool_id(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    text.len() <= 55
        && text.rsplit_once('_').is_some_and(|(region, name)| {
            !region.is_empty()
                && region.bytes().all(is_word)
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
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
        let path = check.path(Path::new(path));
        if path.parent().is_some_and(|folder| !folder.is_dir()) {
            check.report(
                place,
                format!("the folder of `{}` does not exist; make it", path.display()),
            );
        }
        return SecretString::from(format!("sqlite:{}", path.display()));
    }
    if !text.is_empty() && !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        check.report(place, "must start with `sqlite:` or `postgres://`");
    }
    url
}

fn seals(config: &Config, pools: &Place, check: &mut Check<'_>) -> Vec<SecretString> {
    let previous = check.items(&pools.key("seal_previous"));
    let places = [pools.key("seal")].into_iter().chain(previous);
    let sources = [&config.seal].into_iter().chain(&config.seal_previous);
    let mut keys: Vec<SecretString> = Vec::new();
    for (source, place) in sources.zip(places) {
        let key = secret::read(source, &place, check);
        let text = key.expose_secret();
        if !text.is_empty()
            && (text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            check.report(
                &place,
                "is not 64 hexadecimal digits; `openssl rand -hex 32` makes such a key",
            );
        } else if !text.is_empty() && keys.iter().any(|earlier| earlier.expose_secret() == text) {
            check.report(&place, "is the same key as one before it");
        }
        keys.push(key);
    }
    keys
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

fn operators(config: &Config, list: &Place, check: &mut Check<'_>) -> Vec<Operator> {
    let mut seen = HashSet::new();
    let mut operators = Vec::new();
    for (raw, place) in config.operators.iter().zip(check.items(list)) {
        let id = &raw.access_key_id;
        // STS's model: `[\w]*`, 16 to 128 characters; SDKs take shorter ones.
        if id.is_empty()
            || id.len() > 128
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            check.report(
                &place.key("access_key_id"),
                "must be 1 to 128 letters, digits and `_`",
            );
        }
        if !seen.insert(id) {
            check.report(
                &place.key("access_key_id"),
                format!("`{id}` is there twice"),
            );
        }
        if check.is_empty(&place.key("pools")) {
            check.report(
                &place.key("pools"),
                "name at least one pool, or `\"*\"` for all",
            );
        }
        for (pool, place) in raw.pools.iter().zip(check.items(&place.key("pools"))) {
            if pool != "*" && !is_pool_id(pool) {
                check.report(&place, "is not a pool id as `us-east-1_Staff0001`, nor `*`");
            }
        }
        let secret = secret::read(&raw.secret, &place.key("secret"), check);
        operators.push(Operator {
            access_key_id: id.clone(),
            secret,
            pools: raw.pools.clone(),
        });
    }
    operators
}

fn check_declared(pools: &[DeclaredPool], list: &Place, check: &mut Check<'_>) {
    let (mut ids, mut clients) = (HashSet::new(), HashSet::new());
    for (pool, place) in pools.iter().zip(check.items(list)) {
        if !is_pool_id(&pool.id) {
            check.report(
                &place.key("id"),
                "is not a pool id as `us-east-1_Staff0001`",
            );
        }
        if !ids.insert(&pool.id) {
            check.report(&place.key("id"), format!("`{}` is there twice", pool.id));
        }
        for (client, place) in pool.clients.iter().zip(check.items(&place.key("clients"))) {
            if !is_client_id(&client.id) {
                check.report(
                    &place.key("id"),
                    "must be 1 to 128 letters, digits, `_` and `+`",
                );
            }
            if !clients.insert(&client.id) {
                check.report(
                    &place.key("id"),
                    format!("`{}` is there twice; ids are one for all pools", client.id),
                );
            }
            for (flow, place) in client.flows.iter().zip(check.items(&place.key("flows"))) {
                if !FLOWS.contains(&flow.strip_prefix("ALLOW_").unwrap_or(flow)) {
                    check.report(
                        &place,
                        format!("is not a flow; there are: {}", FLOWS.join(", ")),
                    );
                }
            }
        }
        check_words(
            &pool.auto_verified_attributes,
            &["email", "phone_number"],
            &place.key("auto_verified_attributes"),
            check,
        );
        let mut groups = HashSet::new();
        for (group, place) in pool.groups.iter().zip(check.items(&place.key("groups"))) {
            if group.is_empty()
                || group.chars().count() > 128
                || group.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                check.report(&place, "must be 1 to 128 characters without spaces");
            }
            if !groups.insert(group) {
                check.report(&place, format!("`{group}` is there twice"));
            }
        }
    }
}

fn check_words(words: &[String], known: &[&str], list: &Place, check: &mut Check<'_>) {
    for (word, place) in words.iter().zip(check.items(list)) {
        if !known.contains(&word.as_str()) {
            check.report(
                &place,
                format!("is not known here; there are: {}", known.join(", ")),
            );
        }
    }
}

/// `[\w+]+`, at most 128 characters, as AWS's model has it.
fn is_client_id(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_+".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_word)
}

/// `ExplicitAuthFlows` of an app client, without `ALLOW_`.
const FLOWS: [&str; 6] = [
    "ADMIN_USER_PASSWORD_AUTH",
    "CUSTOM_AUTH",
    "REFRESH_TOKEN_AUTH",
    "USER_AUTH",
    "USER_PASSWORD_AUTH",
    "USER_SRP_AUTH",
];
