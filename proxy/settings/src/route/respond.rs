//! Static answers of a route, checked, with their content.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{Access, forward::is_reserved};
use crate::{Place, check::Check, written};

/// A route that the gate answers itself.
#[derive(Debug, Clone)]
pub struct Respond {
    /// Who gets the answer.
    pub access: Access,
    /// The answer.
    pub answer: Answer,
}

/// An answer that is the same for all who get it.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: StatusCode,
    /// Its header fields, of those about its content `content-type` alone; no two of one name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its content; nothing where the status has none.
    pub content: Vec<u8>,
}

/// Without its content, which may not be for everybody.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// `None` after a problem that leaves no answer.
pub(super) fn check(
    raw: written::Respond,
    has_cors: bool,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Answer> {
    let place = place.key("respond");
    let status = status(raw.status, &place.key("status"), check);
    let mut headers = headers(&raw, has_cors, &place.key("headers"), check);
    if status.is_some_and(is_bodiless) {
        check_bodiless(&raw, &place, check);
    }
    if raw.body.is_some() && raw.file.is_some() {
        check.report(&place, "has both `body` and `file`; take one of them out");
    }
    headers.extend(content_type(&raw, &place, check).map(|value| (header::CONTENT_TYPE, value)));
    let content = match (raw.body, raw.file) {
        (Some(text), _) => Some(text.into_bytes()),
        (None, Some(file)) => read(&file, &place.key("file"), check),
        (None, None) => Some(Vec::new()),
    };
    Some(Answer {
        status: status?,
        headers,
        content: content?,
    })
}

fn status(number: u16, place: &Place, check: &mut Check<'_>) -> Option<StatusCode> {
    let status = StatusCode::from_u16(number);
    let status = status.ok().filter(|_| (200..=599).contains(&number));
    if status.is_none() {
        check.report(place, "must be between 200 and 599");
    } else if number == 206 {
        check.report(place, "answers a request for a part, which this is not");
    }
    status
}

/// RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
fn is_bodiless(status: StatusCode) -> bool {
    [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::NOT_MODIFIED,
    ]
    .contains(&status)
}

fn check_bodiless(raw: &written::Respond, place: &Place, check: &mut Check<'_>) {
    let said = [
        ("body", raw.body.is_some()),
        ("file", raw.file.is_some()),
        ("content_type", raw.content_type.is_some()),
    ];
    for (key, _) in said.into_iter().filter(|(_, is_there)| *is_there) {
        let message = format!("an answer with status {} has no content", raw.status);
        check.report(&place.key(key), message);
    }
}

fn headers(
    raw: &written::Respond,
    has_cors: bool,
    place: &Place,
    check: &mut Check<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, text) in &raw.headers {
        let place = place.key(name);
        match field(name, text, has_cors) {
            Ok((name, _)) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                check.report(&place, format!("`{name}` is there twice, in other letters"));
            }
            Ok(field) => headers.push(field),
            Err(message) => check.report(&place, message),
        }
    }
    headers
}

fn field(name: &str, text: &str, has_cors: bool) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    if name == header::CONTENT_TYPE {
        return Err("is said as `content_type`, beside `headers`".into());
    }
    if is_reserved(&name) || WRITTEN.contains(&name) {
        return Err("is a header that the gate itself writes; take it out".into());
    }
    if has_cors && name.as_str().starts_with("access-control-") {
        return Err("is the affair of the route's `cors`; take one of them out".into());
    }
    Ok((name, value(text)?))
}

/// What can stand in a field and be read in one way only.
fn value(text: &str) -> Result<HeaderValue, String> {
    let is_visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let value = HeaderValue::from_str(text).ok();
    value
        .filter(|_| is_visible && text.trim() == text)
        .ok_or_else(|| "only visible ASCII characters are allowed, and blanks between them".into())
}

fn content_type(
    raw: &written::Respond,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<HeaderValue> {
    let place = place.key("content_type");
    match &raw.content_type {
        Some(text) => {
            let is_type = text.split_once('/').is_some_and(|(kind, rest)| {
                !kind.is_empty() && !rest.is_empty() && !kind.contains(char::is_whitespace)
            });
            let value = value(text).and_then(|value| {
                let wrong = "is not a media type as `text/html; charset=utf-8`";
                is_type.then_some(value).ok_or_else(|| wrong.into())
            });
            let value = value.map_err(|message| check.report(&place, message)).ok();
            if raw.body.is_none() && raw.file.is_none() {
                check.report(&place, "says nothing without a `body` or `file`");
            }
            value
        }
        None if raw.body.is_some() => Some(TEXT),
        None => {
            if raw.file.is_some() {
                check.report(
                    &place,
                    "is left out; say what the file holds, as `text/html; charset=utf-8`",
                );
            }
            None
        }
    }
}

/// What is in a file, if it is one and not too large.
fn read(file: &Path, place: &Place, check: &mut Check<'_>) -> Option<Vec<u8>> {
    let path = check.file(file);
    let shown = path.display();
    let message = match content(&path) {
        Ok(content) if content.len() <= LONGEST => return Some(content),
        Ok(_) => format!("`{shown}` is over {LONGEST} bytes, 1 MiB; serve it from an upstream"),
        Err(error) => format!("`{shown}` cannot be read: {error}"),
    };
    check.report(place, message);
    None
}

/// No more of it than tells that it is too large. What is no file might never end, or never begin.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut content = Vec::new();
    let most = u64::try_from(LONGEST + 1).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// What the gate writes into each answer, beside what is reserved everywhere.
const WRITTEN: [HeaderName; 2] = [header::DATE, HeaderName::from_static("x-request-id")];
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const LONGEST: usize = 1024 * 1024;
