//! What is left of a request's body once the request is answered.

use std::time::Duration;

use http::header;
use pingora::proxy::Session;
use tokio::time::timeout;

/// Whether a caller who is answered now may go on to send his body: who waits to be told to send one (RFC 9110 section
/// 10.1.1), and was not, sends none.
pub(crate) fn is_sending(session: &Session) -> bool {
    let waits = session.req_header().headers.contains_key(header::EXPECT);
    !waits || session.response_written().is_some()
}

/// Reads what the caller still sends, if it is little and comes soon: what ended before is reset, and the reset takes from
/// the caller the answer that he has not read. TCP does so to a connection; to a stream of HTTP/2, callers who take the reset
/// for a failure whatever its code is (RFC 9113 section 8.1 has them keep the answer).
pub(crate) async fn read_rest(session: &mut Session) {
    if !session.is_body_done() {
        // The connection or the stream ends in any case.
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
