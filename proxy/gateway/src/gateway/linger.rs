//! What is left of a request's body once the request is answered.

use std::time::Duration;

use http::header;
use pingora::proxy::Session;
use tokio::time::timeout;

/// Reads what the caller still sends, if it is little and comes soon: TCP resets a connection that was closed before, and
/// the reset takes from the caller the answer that he has not read.
pub(crate) async fn read_rest(session: &mut Session) {
    // A stream of HTTP/2 ends by itself, and who was not told to send a body sends none.
    let ends_alone =
        session.as_http1().is_none() || session.req_header().headers.contains_key(header::EXPECT);
    if !ends_alone && !session.is_body_done() {
        // The connection ends in any case.
        let _ = timeout(LONGEST, read_most(session)).await;
    }
}

async fn read_most(session: &mut Session) {
    let mut seen = 0;
    while seen < MOST && !session.is_body_done() {
        let Ok(Some(chunk)) = session.read_request_body().await else {
            return;
        };
        seen += chunk.len();
    }
}

/// Octets that are read for nothing.
const MOST: usize = 256 * 1024;
/// How long they are waited for.
const LONGEST: Duration = Duration::from_secs(2);
