//! `portcullis check`: reads everything the settings name, and says what the gate would do or everything that is wrong.

use std::{path::Path, process::ExitCode};

use engine::{Clock as _, SystemClock};
use settings::{Problems, Redirect, Settings};

use crate::{
    metrics::Metrics,
    serve,
    snapshot::{Maker, RouteView},
    traces::Outlet,
};

/// Prints the routes, those that anybody gets through first; or the problems.
pub(super) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let settings = match settings::load(file) {
        Ok(settings) => settings,
        Err(problems) => {
            println!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let metrics = Metrics::new()?;
    let maker = Maker {
        outlet: Outlet::new(&metrics),
        metrics,
        limits: settings.limits,
        engine: None,
        background: None,
    };
    let now = SystemClock.now();
    let problem = |message| settings.lines.problem(&"listeners".into(), message);
    let mut problems: Vec<_> = match serve::secured(&settings) {
        Ok(secured) => {
            let invalid = serve::invalid(&secured, now);
            invalid.map(|found| problem(found.to_string())).collect()
        }
        Err(error) => vec![problem(format!("{error:#}"))],
    };
    match maker.make(&settings, 1, None) {
        Ok(snapshot) if problems.is_empty() => {
            println!("{}\n", listing(&snapshot.views));
            for line in redirecting(&settings) {
                println!("{line}");
            }
            for warning in &snapshot.warnings {
                println!("warning: {warning}");
            }
            println!("no problems in {}", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        Ok(_) => {}
        Err(found) => problems.extend(found),
    }
    println!("{}", Problems::new(file, problems));
    Ok(ExitCode::FAILURE)
}

/// One line a route: what it takes, who must prove what, what decides, where it leads.
fn listing(views: &[RouteView]) -> String {
    let mut sorted: Vec<_> = views.iter().collect();
    sorted.sort_by_key(|view| !view.open);
    let rows: Vec<[String; 5]> = sorted.into_iter().map(row).collect();
    let header = ["ROUTE", "MATCH", "AUTHENTICATE", "AUTHORIZE", "TO"].map(str::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&header)
            .chain(&rows)
            .filter_map(move |row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let lines = std::iter::once(&header).chain(&rows).map(|row| {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        line.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(view: &RouteView) -> [String; 5] {
    let methods = if view.methods.is_empty() {
        "*".to_owned()
    } else {
        view.methods.join(",")
    };
    let host = view.host.as_deref().unwrap_or("*");
    let path = view.path.as_deref().unwrap_or("/{path*}");
    let authorize = if view.policies.is_empty() {
        view.authorize.clone()
    } else {
        format!("{}: {}", view.authorize, view.policies.join(","))
    };
    [
        view.name.clone(),
        format!("{methods} {host}{path}"),
        view.authenticate.clone(),
        authorize,
        to(view),
    ]
}

fn to(view: &RouteView) -> String {
    let answered = |word: &str, what: &String| format!("{word} {what}");
    let redirect = view.redirect.as_ref().map(|to| answered("redirect", to));
    let respond = view.respond.as_ref().map(|what| answered("respond", what));
    let own = redirect.or(respond).or_else(|| view.upstream.clone());
    own.unwrap_or_else(|| "pools".into())
}

/// One line for each listener whose callers do not come to any route.
fn redirecting(settings: &Settings) -> Vec<String> {
    let listeners = settings.listeners.iter().filter_map(|listener| {
        let to = Redirect::from(listener.redirect?.to_https());
        let status = to.status.as_u16();
        Some(format!(
            "listener {}: redirect {status} {to}",
            listener.address
        ))
    });
    listeners.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, open: bool) -> RouteView {
        RouteView {
            name: name.into(),
            host: Some("api.example.com".into()),
            path: Some("/pets".into()),
            methods: vec!["GET".into()],
            authenticate: if open { "none" } else { "bearer staff" }.into(),
            authorize: if open { "none" } else { "policies pets" }.into(),
            actions: Vec::new(),
            policies: if open {
                Vec::new()
            } else {
                vec!["readers-get".into()]
            },
            upstream: Some("pets".into()),
            redirect: None,
            respond: None,
            websocket: false,
            allow: Vec::new(),
            rate_limits: Vec::new(),
            cors: None,
            open,
        }
    }

    #[test]
    fn what_anybody_gets_through_comes_first() {
        let text = listing(&[view("guarded", false), view("open", true)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "ROUTE    MATCH                     AUTHENTICATE  AUTHORIZE                   TO",
                "open     GET api.example.com/pets  none          none                        pets",
                "guarded  GET api.example.com/pets  bearer staff  policies pets: readers-get  pets",
            ]
        );
    }
}
