//! What is done with a route's requests, checked: one thing, and nothing beside it that it leaves nothing to say of.

use super::{Access, Guarded, Handling, Names, Respond, forward, guard, redirect, respond};
use crate::{Place, check::Check, written};

pub(super) fn check(
    raw: written::Route,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Handling> {
    if check.is_written(&place.key("serve")) {
        check_served(&raw, place, check);
        return Some(Handling::Pools);
    }
    // What could not be read was meant, too.
    let redirects = raw.redirect.is_some() || check.is_unread(&place.key("redirect"));
    let responds = raw.respond.is_some() || check.is_unread(&place.key("respond"));
    if redirects {
        check_redirected(&raw, place, check);
        let matched = raw.r#match.path.as_deref();
        let redirect = redirect::check(raw.redirect.as_ref()?, matched, names, place, check);
        return Some(Handling::Redirect(Box::new(redirect)));
    }
    if responds {
        check_responded(&raw, place, check);
        let access = access(raw.authenticate, raw.authorize, names, place, check);
        let answer = respond::check(raw.respond?, raw.cors.is_some(), place, check);
        return Some(Handling::Respond(Box::new(Respond {
            access: access?,
            answer: answer?,
        })));
    }
    let is_open = matches!(raw.authenticate, Some(written::Authenticate::None));
    let access = access(raw.authenticate, raw.authorize, names, place, check);
    let allow = allowed(&raw.admit, place, check);
    let matched = raw.r#match.path.as_deref();
    let forward = forward::forward(raw.upstream, matched, is_open, names, place, check)?;
    let guarded = Guarded {
        access: access?,
        upstream: forward.upstream,
        headers: forward.headers,
        rewrite: forward.rewrite,
        timeouts: forward.timeouts,
        websocket: forward.websocket,
        allow,
        body_bytes: raw.body_bytes,
    };
    Some(Handling::Upstream(Box::new(guarded)))
}

/// Who may use a route; `None` after a problem.
fn access(
    authenticate: Option<written::Authenticate>,
    authorize: Option<written::Authorize>,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Access> {
    let authenticate = guard::authenticate(authenticate, names, place, check);
    let is_open = matches!(authenticate, Some(None));
    let authorize = guard::authorize(authorize, is_open, names, place, check);
    Some(Access {
        authenticate: authenticate?,
        authorize: authorize?,
    })
}

/// What the route lets go of admission.
fn allowed(raw: &written::Admit, place: &Place, check: &mut Check<'_>) -> Vec<written::Allow> {
    let list = place.key("admit").key("allow");
    let mut allowed = Vec::new();
    for (rule, place) in raw.allow.iter().zip(check.items(&list)) {
        if allowed.contains(rule) {
            check.report(&place, format!("`{}` is there twice", rule.as_str()));
        } else {
            allowed.push(*rule);
        }
    }
    allowed
}

fn check_served(raw: &written::Route, place: &Place, check: &mut Check<'_>) {
    if !check.is_written(&"pools".into()) {
        check.report(
            &place.key("serve"),
            "there is no engine to serve; add `pools`",
        );
    }
    let stray = [
        ("cors", raw.cors.is_some()),
        ("authenticate", raw.authenticate.is_some()),
        ("authorize", raw.authorize.is_some()),
        ("upstream", raw.upstream.is_some()),
        ("redirect", raw.redirect.is_some()),
        ("respond", raw.respond.is_some()),
    ];
    let why = "says nothing beside `serve`: the engine decides for itself; take one of them out";
    report_stray(raw, &stray, why, place, check);
}

fn check_redirected(raw: &written::Route, place: &Place, check: &mut Check<'_>) {
    let stray = [
        ("authenticate", raw.authenticate.is_some()),
        ("authorize", raw.authorize.is_some()),
        ("upstream", raw.upstream.is_some()),
        ("respond", raw.respond.is_some()),
    ];
    let why =
        "says nothing beside `redirect`, which sends everybody elsewhere; take one of them out";
    report_stray(raw, &stray, why, place, check);
    check_not_passed(raw, place, check);
}

fn check_responded(raw: &written::Route, place: &Place, check: &mut Check<'_>) {
    let stray = [("upstream", raw.upstream.is_some())];
    let why =
        "says nothing beside `respond`, with which the gate itself answers; take one of them out";
    report_stray(raw, &stray, why, place, check);
    check_not_passed(raw, place, check);
}

fn check_not_passed(raw: &written::Route, place: &Place, check: &mut Check<'_>) {
    if matches!(raw.cors, Some(written::Cors::Word(_))) {
        check.report(
            &place.key("cors"),
            "`pass` leaves it to an upstream, and this route has none; name `origins`, or take it out",
        );
    }
}

/// Reports what is there of these, and of what only an upstream's requests have.
fn report_stray(
    raw: &written::Route,
    stray: &[(&str, bool)],
    why: &str,
    place: &Place,
    check: &mut Check<'_>,
) {
    let of_upstream = [
        ("admit", check.is_written(&place.key("admit"))),
        ("body_bytes", raw.body_bytes.is_some()),
    ];
    let all = stray.iter().chain(&of_upstream);
    for (key, _) in all.filter(|(_, is_there)| *is_there) {
        check.report(&place.key(*key), why);
    }
}
