//! What a route changes of a request that is permitted, and of its answer.

use http::{HeaderMap, header};
use pingora::{Error, ErrorType, http::ResponseHeader};
use route::Template;
use settings::Rewrite;

use crate::gateway::{admit, head::Head};

/// Changes the fields of a request.
pub(super) fn fields(rewrite: &Rewrite, headers: &mut HeaderMap) {
    for name in &rewrite.remove {
        // In every spelling that a server may read as this one.
        let key = admit::identity_key(name.as_str());
        let spelt = headers
            .keys()
            .filter(|it| admit::identity_key(it.as_str()) == key);
        for name in spelt.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
    }
    if let Some(host) = &rewrite.host {
        headers.insert(header::HOST, host.clone());
    }
}

/// Path and query as they go upstream.
pub(super) fn target(path: &Template, head: &Head) -> pingora::Result<String> {
    // That a route has the parameters of its paths is checked with the settings.
    let unknown = || Error::explain(ErrorType::InternalError, "a path without its parameters");
    head.target_with(path).ok_or_else(unknown)
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
