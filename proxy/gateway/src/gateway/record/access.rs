//! The access log: a line for each request, of what was asked and answered, but not of who asked or why it was let through.
//!
//! INVARIANT: a line is one request's and holds no secret. What callers say of themselves is bounded and escaped, and of URLs
//! the query, where tokens may stand, is left out.

use std::{
    fmt,
    io::{self, Write},
    net::IpAddr,
};

use http::{HeaderValue, Version, header};
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use settings::AccessFormat;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::Seen;
use crate::gateway::Ctx;

/// What stands in a line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'r> {
    /// When its head was there, RFC 3339 in UTC.
    time: Time,
    request_id: &'r str,
    client: IpAddr,
    method: Said<'r>,
    host: Option<&'r str>,
    path: Option<&'r str>,
    protocol: &'static str,
    /// 0 where no answer was begun.
    status: u16,
    bytes_received: u64,
    bytes_sent: u64,
    micros: u64,
    upstream: Option<&'r str>,
    route: Option<&'r str>,
    user_agent: Option<Said<'r>>,
    referer: Option<Said<'r>>,
}

impl<'r> Line<'r> {
    /// Of a request that has ended.
    pub(super) fn of(ctx: &'r Ctx, seen: &Seen<'r>) -> Self {
        let head = ctx.head();
        let user_agent = seen.headers.get(header::USER_AGENT);
        let referer = seen.headers.get(header::REFERER);
        Self {
            time: Time(ctx.time.into()),
            request_id: ctx.request_id.as_str(),
            client: seen.client,
            method: Said::of(seen.method.as_str().as_bytes()),
            host: head.map(|head| head.authority.host()),
            path: head.map(|head| head.path.as_str()),
            protocol: protocol(seen.version),
            status: seen.status(),
            bytes_received: seen.received,
            bytes_sent: seen.sent,
            micros: ctx.micros.total,
            upstream: ctx.endpoint.as_ref().map(|endpoint| endpoint.label()),
            route: ctx.plan.as_ref().map(|plan| &*plan.name),
            user_agent: user_agent.map(|value| Said::of(value.as_bytes())),
            referer: referer.and_then(page).map(Said::of),
        }
    }

    /// Writes it behind what is there, with its end.
    pub(super) fn write(&self, format: AccessFormat, line: &mut Vec<u8>) -> io::Result<()> {
        match format {
            AccessFormat::Json => {
                let mut json = serde_json::Serializer::with_formatter(&mut *line, Ascii);
                self.serialize(&mut json)?;
            }
            AccessFormat::Common => self.common(line)?,
            AccessFormat::Combined => {
                self.common(line)?;
                for said in [&self.referer, &self.user_agent] {
                    line.extend_from_slice(b" \"");
                    escape(said.as_ref().map_or(NOTHING, |said| said.0), line)?;
                    line.push(b'"');
                }
            }
        }
        line.push(b'\n');
        Ok(())
    }

    /// As NCSA's servers wrote it, with nothing for the name that identd knows and for the caller's.
    fn common(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write!(line, "{} - - [", self.client)?;
        let time = self.time.0.format_into(line, CLF);
        time.map_err(io::Error::other)?;
        line.extend_from_slice(b"] \"");
        escape(self.method.0, line)?;
        line.push(b' ');
        escape(self.path.map_or(NOTHING, str::as_bytes), line)?;
        write!(
            line,
            " {}\" {:03} {}",
            self.protocol, self.status, self.bytes_sent
        )
    }
}

/// What a caller says, and no more of it than this.
#[derive(Debug, Clone, Copy)]
struct Said<'r>(&'r [u8]);

impl<'r> Said<'r> {
    fn of(octets: &'r [u8]) -> Self {
        Self(octets.get(..MOST).unwrap_or(octets))
    }
}

impl Serialize for Said<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

/// Where a `Referer` points to, without its query and fragment; nothing where it names a user, perhaps with a password.
fn page(referer: &HeaderValue) -> Option<&[u8]> {
    let url = referer.as_bytes();
    let page = url.split(|octet| b"?#".contains(octet)).next()?;
    let parts = page.split(|octet| b"/\\".contains(octet));
    // The scheme, and the site, however they are parted.
    let mut site = parts.filter(|part| !part.is_empty()).take(2);
    let is_told = !page.is_empty() && !site.any(|part| part.contains(&b'@'));
    is_told.then_some(page)
}

#[derive(Debug)]
struct Time(OffsetDateTime);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(RFC_3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// JSON in visible ASCII, since what reads it may take more than a line feed for a line's end, or for a terminal's.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(is_visible) {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            match u8::try_from(character) {
                Ok(octet) if is_visible(octet) => writer.write_all(&[octet])?,
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes octets to stand between quotation marks.
fn escape(octets: &[u8], line: &mut Vec<u8>) -> io::Result<()> {
    for octet in octets {
        match octet {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *octet]),
            octet if is_visible(*octet) => line.push(*octet),
            octet => write!(line, "\\x{octet:02x}")?,
        }
    }
    Ok(())
}

fn is_visible(octet: u8) -> bool {
    matches!(octet, b' '..=b'~')
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Octets of what a caller says.
const MOST: usize = 512;
const NOTHING: &[u8] = b"-";
const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const CLF: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

#[cfg(test)]
mod tests;
