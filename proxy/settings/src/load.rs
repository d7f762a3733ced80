//! From a file to settings, or to everything that is wrong with it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Lines, Place, Problem, Problems, Settings, check::Check, issuer, limits, listener, log, mend,
    naming, pools, rate_limit, route, traces, tree, upstream, written,
};

/// Reads the settings in a file, with the secrets and certificates they name.
///
/// Relative paths start from the file's folder. All that is wrong is reported at once.
pub fn load(file: &Path) -> Result<Settings, Problems> {
    let whole = |message: String| Problem {
        place: String::new(),
        line: None,
        message,
    };
    let absolute = std::path::absolute(file)
        .map_err(|error| Problems::new(file, vec![whole(format!("has no path: {error}"))]))?;
    let mut files = vec![absolute.clone()];
    let result = fs::read_to_string(&absolute);
    let (settings, problems) = match result {
        Ok(text) => read(&text, &absolute, &mut files),
        Err(error) => (None, vec![whole(format!("cannot be read: {error}"))]),
    };
    match settings {
        Some(settings) if problems.is_empty() => Ok(Settings { files, ..settings }),
        _ => Err(Problems::new(file, problems).naming(files)),
    }
}

/// Adds to `files` those that count too.
fn read(text: &str, file: &Path, files: &mut Vec<PathBuf>) -> (Option<Settings>, Vec<Problem>) {
    let (tree, mut problems) = tree::parse(text);
    let Some(original) = tree else {
        return (None, problems);
    };
    let mut mended = original.clone();
    let mut report = |place: &Place, message| {
        problems.push(Problem {
            place: place.to_string(),
            line: original.line_of(place),
            message,
        });
    };
    let Some(raw) = mend::read_all::<written::Settings>(&mut mended, &mut report) else {
        return (None, problems);
    };
    let dir = file.parent().map(Path::to_owned).unwrap_or_default();
    let mut check = Check {
        dir,
        written: &original,
        read: &mended,
        problems,
        warnings: Vec::new(),
        files: Vec::new(),
    };
    let mut settings = settings(raw, file, &mut check);
    files.append(&mut check.files);
    settings.warnings = check.warnings;
    (Some(settings), check.problems)
}

fn settings(raw: written::Settings, file: &Path, check: &mut Check<'_>) -> Settings {
    let issuers = issuer::check(&raw.issuers, raw.pools.as_ref(), check);
    let policies = policies(raw.policies, check);
    let upstreams = upstream::check(&raw.upstreams, check);
    naming::check(&raw.routes, &issuers, &policies, check);
    let rate_limits = rate_limit::check(raw.rate_limits, check);
    let names = route::Names {
        issuers: &issuers,
        rate_limits: &rate_limits,
        policies: policies.iter().map(|(name, _)| name.as_str()).collect(),
        upstreams: upstreams
            .iter()
            .map(|upstream| upstream.name.as_str())
            .collect(),
        protocols: upstreams.iter().map(|upstream| upstream.protocol).collect(),
        serves_https: listener::serve_https(&raw.listeners),
        certificates: listener::ask_for_certificates(check),
    };
    let routes = route::check(raw.routes, &names, check);
    let listeners = listener::check(raw.listeners, &raw.trusted_peers, check);
    let admin = raw.admin.map(|admin| admin.address);
    check_addresses(&listeners, admin, check);
    Settings {
        file: file.to_owned(),
        data: raw
            .data
            .map_or_else(|| check.dir.clone(), |data| check.path(&data)),
        listeners,
        workers: raw.workers,
        admin,
        log: log::check(raw.log, check),
        traces: raw.traces.and_then(|raw| traces::check(raw, check)),
        trusted_peers: raw.trusted_peers,
        trusted_header: raw.trusted_header,
        tokens: tokens(raw.tokens, check),
        limits: limits::check(raw.limits, check),
        issuers,
        policies,
        upstreams,
        rate_limits,
        routes,
        pools: raw.pools.map(|raw| pools::check(raw, check)),
        lines: Lines::of(check.written),
        warnings: Vec::new(),
        files: Vec::new(),
    }
}

fn policies(
    raw: std::collections::BTreeMap<String, decision::Config>,
    check: &mut Check<'_>,
) -> Vec<(String, decision::Config)> {
    raw.into_iter()
        .map(|(name, mut config)| {
            let place = Place::from("policies").key(&name);
            check_name(&name, &place, check);
            config.path = check.file(&config.path);
            if !config.path.is_dir() {
                check.report(
                    &place.key("path"),
                    format!("`{}` is not a folder", config.path.display()),
                );
            }
            (name, config)
        })
        .collect()
}

/// Names stand in logs, metrics and file names.
pub(crate) fn check_name(name: &str, place: &Place, check: &mut Check<'_>) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
        check.report(
            place,
            "a name has 1 to 64 letters, digits, `-`, `_` and `.`",
        );
    }
}

/// No two listeners on one address. Port 0 is another port each time.
fn check_addresses(
    listeners: &[written::Listener],
    admin: Option<SocketAddr>,
    check: &mut Check<'_>,
) {
    let places = check
        .items(&"listeners".into())
        .into_iter()
        .map(|place| place.key("address"));
    let places = places
        .chain([Place::from("admin").key("address")])
        .collect::<Vec<_>>();
    let addresses = listeners.iter().map(|listener| listener.address);
    let addresses = addresses.chain(admin).collect::<Vec<_>>();
    for (index, (address, place)) in addresses.iter().zip(&places).enumerate() {
        if addresses
            .iter()
            .take(index)
            .any(|earlier| overlap(*earlier, *address))
        {
            check.report(
                place,
                format!("`{address}` is taken by another listener; give each its own port"),
            );
        }
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |a: IpAddr, b: IpAddr| a == b || (a.is_unspecified() && (a.is_ipv6() || b.is_ipv4()));
    a.port() != 0 && a.port() == b.port() && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

fn tokens(raw: written::Tokens, check: &mut Check<'_>) -> token::Limits {
    let place = Place::from("tokens");
    if !(1024..=65536).contains(&raw.max_bytes) {
        check.report(&place.key("max_bytes"), "must be between 1024 and 65536");
    }
    if raw.leeway_seconds > 300 {
        check.report(
            &place.key("leeway_seconds"),
            "must be 300 or less: an expired token is good for that long",
        );
    }
    token::Limits {
        token_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
        remembered_bytes: raw.remembered_bytes,
        leeway: Duration::from_secs(raw.leeway_seconds.into()),
    }
}

#[cfg(test)]
mod tests;
