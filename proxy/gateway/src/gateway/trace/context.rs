//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): which trace a request belongs to, as its caller says and as its
//! upstream is told.

use http::{HeaderMap, HeaderValue};

/// A trace's id; not all zero.
pub(crate) type TraceId = [u8; 16];

/// A span's id; not all zero.
pub(crate) type SpanId = [u8; 8];

/// A span of somebody else, and what was decided of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Of these [`SAMPLED`] and [`RANDOM`] are known.
    pub(crate) flags: u8,
}

impl Parent {
    /// What `traceparent` says; nothing where there is none, several, or one out of form (section 3.2).
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let only = all.next()?;
        all.next().is_none().then(|| Self::parse(only.as_bytes()))?
    }

    /// Of a version that is not known, what the known one has, and behind it anything after a `-` (section 3.2.4).
    fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split(|octet| *octet == b'-');
        let [version] = digits(parts.next()?)?;
        let trace: TraceId = digits(parts.next()?)?;
        let span: SpanId = digits(parts.next()?)?;
        let [flags] = digits(parts.next()?)?;
        let is_whole = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        };
        let is_one = is_whole && trace != [0; 16] && span != [0; 8];
        is_one.then_some(Self { trace, span, flags })
    }

    /// Whether it is recorded.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Its `traceparent`, in the version that is known.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let mut text = [b'-'; LENGTH];
        let octets = [0].into_iter().chain(self.trace);
        let octets = octets.chain(self.span).chain([self.flags]);
        let digits = octets.flat_map(|octet| [octet >> 4, octet & 0xf]);
        let places = text.iter_mut().enumerate();
        let places = places.filter(|(at, _)| !DASHES.contains(at));
        for ((_, place), value) in places.zip(digits) {
            *place = digit(value);
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

/// The caller's `tracestate` in one field, as far as it goes on: nothing where it is out of form, the first entries where it is
/// long (section 3.3).
pub(crate) fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(TRACESTATE).iter();
    let first = fields.next()?;
    let is_alone = fields.next().is_none();
    let entries = || {
        let fields = headers.get_all(TRACESTATE).iter();
        let entries = fields.flat_map(|field| field.as_bytes().split(|octet| *octet == b','));
        let entries = entries.map(<[u8]>::trim_ascii);
        entries.filter(|entry| !entry.is_empty())
    };
    if !entries().all(is_entry) {
        return None;
    }
    let count = entries().count();
    if is_alone && first.len() <= STATE && (1..=ENTRIES).contains(&count) {
        return Some(first.clone());
    }
    let length: usize = entries().map(|entry| entry.len() + 1).sum();
    let is_long = length > STATE + 1;
    // Long ones go first, and then those at the end (section 3.3.1.5).
    let kept = entries().filter(|entry| !is_long || entry.len() <= LONG_ENTRY);
    let mut text = Vec::with_capacity(length.min(STATE));
    for entry in kept.take(ENTRIES) {
        if text.len() + 1 + entry.len() > STATE {
            break;
        }
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(entry);
    }
    HeaderValue::from_bytes(&text)
        .ok()
        .filter(|text| !text.is_empty())
}

/// `key=value` (sections 3.3.1.3.1 and 3.3.1.3.2; keys as level 2 has them).
fn is_entry(entry: &[u8]) -> bool {
    let Some(at) = entry.iter().position(|octet| *octet == b'=') else {
        return false;
    };
    let (key, value) = entry.split_at(at);
    let value = value.get(1..).unwrap_or_default();
    let starts = |octet: &u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let goes_on = |octet: &u8| starts(octet) || b"_-*/@".contains(octet);
    let is_key = key.first().is_some_and(starts) && key.iter().all(goes_on);
    let is_shown = |octet: &u8| matches!(octet, b' '..=b'~') && !b",=".contains(octet);
    let is_length = |text: &[u8]| (1..=LONGEST).contains(&text.len());
    is_key && is_length(key) && is_length(value) && value.iter().all(is_shown)
}

/// Small digits only.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut octets = [0; N];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
        *octet = value(*high)? << 4 | value(*low)?;
    }
    Some(octets)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + (value - 10),
    }
}

/// Strings, because Pingora reads names of another type again.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

/// The trace is recorded.
pub(crate) const SAMPLED: u8 = 1;
/// The last seven octets of the trace's id are random (level 2).
pub(crate) const RANDOM: u8 = 2;

/// `00-` trace `-` span `-` flags.
const LENGTH: usize = 55;
const DASHES: [usize; 3] = [2, 35, 52];
/// Entries of `tracestate`, and octets of all of them, which must go on.
const ENTRIES: usize = 32;
const STATE: usize = 512;
/// An entry that goes first where there are too many octets.
const LONG_ENTRY: usize = 128;
/// A key or a value.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers<'v>(name: &'static str, values: impl IntoIterator<Item = &'v str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn parent(text: &str) -> Option<Parent> {
        Parent::read(&headers(TRACEPARENT, [text]))
    }

    fn text(value: Option<HeaderValue>) -> Option<String> {
        value.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_parent_is_read_and_written() {
        for (flags, sampled) in [
            ("00", false),
            ("01", true),
            ("02", false),
            ("03", true),
            ("ff", true),
        ] {
            let sent = format!("00-{TRACE}-{SPAN}-{flags}");
            let parent = parent(&sent).unwrap();
            assert_eq!(parent.is_sampled(), sampled, "{flags}");
            assert_eq!((parent.trace[0], parent.span[7]), (0x4b, 0xb7));
            assert_eq!(text(parent.value()), Some(sent));
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for sent in [
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("01-{TRACE}-{SPAN}-01-what-the-future-will-be"),
            format!("fe-{TRACE}-{SPAN}-01-"),
        ] {
            let parent = parent(&sent).unwrap();
            assert!(parent.is_sampled());
            assert_eq!(text(parent.value()), Some(format!("00-{TRACE}-{SPAN}-01")));
        }
    }

    #[test]
    fn what_is_out_of_form_is_no_parent() {
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for sent in [
            String::new(),
            "00".into(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{no_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{no_span}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("01-{TRACE}-{SPAN}-01.more"),
            format!("01-{TRACE}-{SPAN}-012"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
            format!("{TRACE}:{SPAN}:0:1"),
        ] {
            assert_eq!(parent(&sent), None, "{sent}");
        }
        let sent = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(Parent::read(&HeaderMap::new()), None);
        assert_eq!(Parent::read(&headers(TRACEPARENT, [&*sent, &*sent])), None);
    }

    #[test]
    fn a_state_in_form_goes_on_as_it_is() {
        for sent in [
            "a=b",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "fw529a3039@dt=FfAAEAAAAAAAAAAAA, 0a_-*/@b=!~ :;",
            "a=1,,b=2",
            &["a=b"; 32].join(","),
            &format!("a={},b={},c=d", "1".repeat(250), "2".repeat(250)),
        ] {
            assert_eq!(
                text(state(&headers(TRACESTATE, [sent]))).as_deref(),
                Some(sent)
            );
        }
        let several = headers(TRACESTATE, ["a=1, b=2", "", "c=3"]);
        assert_eq!(text(state(&several)).as_deref(), Some("a=1,b=2,c=3"));
    }

    #[test]
    fn a_state_out_of_form_goes_no_further() {
        let (long_key, long_value) = (
            format!("{}=1", "a".repeat(257)),
            format!("a={}", "1".repeat(257)),
        );
        for sent in [
            "",
            ",",
            "a",
            "a=",
            "=b",
            "A=b",
            "_a=b",
            "a b=c",
            "a=b=c",
            "a=b,c",
            "a=\u{e9}",
            &long_key,
            &long_value,
        ] {
            assert_eq!(state(&headers(TRACESTATE, [sent])), None, "{sent}");
        }
        assert_eq!(state(&headers(TRACESTATE, ["a=1", "b"])), None);
        assert_eq!(state(&HeaderMap::new()), None);
    }

    #[test]
    fn of_a_long_state_the_first_entries_go_on() {
        let all: Vec<_> = (0..40).map(|number| format!("a{number}=b")).collect();
        let kept = text(state(&headers(TRACESTATE, [&*all.join(",")]))).unwrap();
        assert_eq!(kept, all[..32].join(","));
        let (long, short) = (
            format!("long={}", "1".repeat(200)),
            format!("short={}", "1".repeat(100)),
        );
        let sent = [
            &*long, "first=1", &short, &short, &short, &short, &short, "last=1",
        ]
        .join(",");
        let kept = text(state(&headers(TRACESTATE, [&*sent]))).unwrap();
        assert_eq!(kept, ["first=1", &short, &short, &short, &short].join(","));
        assert!(kept.len() <= STATE);
    }
}
