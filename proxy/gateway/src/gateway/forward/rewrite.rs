//! What a route changes of a request that is permitted, and of its answer.

use http::{HeaderMap, header};
use pingora::{Error, ErrorType, http::ResponseHeader};
use route::Template;
use settings::Rewrite;

use crate::gateway::head::Head;

/// Changes the fields of a request.
pub(super) fn fields(rewrite: &Rewrite, headers: &mut HeaderMap) {
    for name in &rewrite.remove {
        headers.remove(name);
    }
    if let Some(host) = &rewrite.host {
        headers.insert(header::HOST, host.clone());
    }
}

/// Path and query as they go upstream.
pub(super) fn target(path: &Template, head: &Head) -> pingora::Result<String> {
    let value = |name: &str| {
        let mut parameters = head.parameters.iter();
        let found = parameters.find(|(known, _)| **known == *name);
        found.map(|(_, value)| value.as_str())
    };
    // That a route has the parameters of its paths is checked with the settings.
    let unknown = || Error::explain(ErrorType::InternalError, "a path without its parameters");
    let mut target = path.fill(value).ok_or_else(unknown)?;
    if let Some(query) = &head.query {
        target.push('?');
        target.push_str(query);
    }
    Ok(target)
}

/// Changes the fields of an answer.
pub(super) fn answer(rewrite: &Rewrite, answer: &mut ResponseHeader) -> pingora::Result<()> {
    for name in &rewrite.answer_remove {
        answer.remove_header(name);
    }
    for (name, value) in &rewrite.answer_headers {
        answer.insert_header(name, value.clone())?;
    }
    Ok(())
}
