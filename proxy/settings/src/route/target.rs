//! Paths that requests are led to, by a redirect or upstream, checked.

use route::Template;

use super::EVERY_PATH;
use crate::{Place, check::Check};

/// A path, with parameters of the one that the route matches.
pub(super) fn check(
    text: &str,
    matched: Option<&str>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Template> {
    if text.contains(['?', '#']) {
        check.report(place, "is a path alone; the query goes along as it came");
        return None;
    }
    if text.contains("//") {
        check.report(place, "has an empty segment, as in `//`; take it out");
        return None;
    }
    let template = Template::parse(text).map_err(|messages| {
        for message in messages {
            check.report(place, message);
        }
    });
    let template = template.ok()?;
    // What is wrong with the match is told there.
    let matched = Template::parse(matched.unwrap_or(EVERY_PATH)).ok()?;
    for parameter in template.unfilled_by(&matched) {
        check.report(
            place,
            format!("`{parameter}` is no parameter of `match.path`, or not of this kind"),
        );
    }
    Some(template)
}
