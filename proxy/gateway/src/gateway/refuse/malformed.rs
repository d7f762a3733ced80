//! What is wrong with a request that has no reading, or two.

use http::StatusCode;

use super::Line;

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Not origin-form or absolute-form in visible ASCII.
    Target,
    /// Servers differ in which resource the path names.
    PathAmbiguous,
    /// A percent escape is incomplete, or the path is not UTF-8.
    PathEncoding,
    /// A percent escape in the query is incomplete.
    Query,
    /// No `Host`.
    HostMissing,
    /// `Host` is not a host with an optional port.
    HostInvalid,
    /// More than one host is named.
    HostRepeated,
    /// A header's name differs from another's in punctuation only.
    HeaderAmbiguous,
    /// A header's value begins or ends with a blank.
    HeaderValue,
    /// `Content-Length` is not one plain decimal number.
    LengthInvalid,
    /// `Transfer-Encoding` is not `chunked` alone, or stands beside `Content-Length`.
    TransferEncoding,
    /// A line of the head does not end with CRLF.
    LineEnd,
    /// A chunked body is out of form.
    Chunk,
    /// `Connection` is out of form, names too much, or what no connection has for itself.
    Connection,
    /// `Expect` is not `100-continue`.
    Expectation,
    /// More than one `Authorization`.
    AuthorizationRepeated,
    /// More than one `Origin`, or a preflight for more than one method.
    OriginRepeated,
}

impl Malformed {
    /// Its line of the table.
    pub(super) fn line(self) -> Line {
        let (code, detail) = match self {
            Self::Target => (
                "target_invalid",
                "send a path, or an absolute URL of this host, in visible ASCII",
            ),
            Self::PathAmbiguous => (
                "path_ambiguous",
                "send a path without dot segments, empty segments, `;`, `\\` or encoded separators",
            ),
            Self::PathEncoding => ("path_encoding_invalid", "percent-encode the path as UTF-8"),
            Self::Query => ("query_invalid", "write `%` in the query as `%25`"),
            Self::HostMissing => ("host_missing", "send a `Host` header"),
            Self::HostInvalid => (
                "host_invalid",
                "send a host name or address, with a port if need be, as `Host`",
            ),
            Self::HostRepeated => ("host_ambiguous", "name one host"),
            Self::HeaderAmbiguous => (
                "header_ambiguous",
                "write header names with `-` and no other punctuation",
            ),
            Self::HeaderValue => (
                "header_value_invalid",
                "send header values without blanks at their ends",
            ),
            Self::LengthInvalid => (
                "content_length_invalid",
                "send one `Content-Length`, a plain decimal number",
            ),
            Self::TransferEncoding => (
                "transfer_encoding_invalid",
                "send `Transfer-Encoding: chunked` or `Content-Length`, one of them and once",
            ),
            Self::Chunk => (
                "chunk_invalid",
                "send each chunk as RFC 9112 section 7.1 has it",
            ),
            Self::LineEnd => ("line_end_invalid", "end each line of the head with CR LF"),
            Self::Connection => (
                "connection_invalid",
                "name few options in `Connection`, and neither `Host` nor `X-Forwarded-*`",
            ),
            Self::Expectation => ("expectation_unknown", "expect `100-continue` or nothing"),
            Self::AuthorizationRepeated => {
                ("authorization_ambiguous", "send one `Authorization` header")
            }
            Self::OriginRepeated => (
                "origin_ambiguous",
                "send one `Origin` header, and one `Access-Control-Request-Method` in a preflight",
            ),
        };
        Line {
            status: StatusCode::BAD_REQUEST,
            code,
            title: "Bad Request",
            detail: detail.to_owned(),
            retry: false,
        }
    }
}
