//! Texts within calls that the engine reads itself; the first line says which of them it is.

use std::{fmt::Write as _, sync::LazyLock};

use engine::{Rng, Sealer, srp, user::Filter};
use secrecy::SecretString;

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (kind, text) = text.split_once('\n').unwrap_or_default();
    match kind {
        "filter" => filter(text),
        "sealed" => sealed(text),
        "public" => public(text),
        "salt" => salt(text),
        "stamp" => stamp(text),
        _ => {}
    }
}

/// A filter of `ListUsers` says one comparison of one attribute, and a second reader finds the same.
fn filter(text: &str) {
    let found = Filter::parse(text).ok();
    let expected = match text.trim() {
        "" => Some("None".to_owned()),
        trimmed if text.chars().count() <= 256 => comparison(trimmed),
        _ => None,
    };
    assert_eq!(found.map(|found| format!("{found:?}")), expected, "{text}");
}

fn comparison(text: &str) -> Option<String> {
    let mut rest = text.chars().peekable();
    let mut name = String::new();
    let is_quoted = rest.next_if_eq(&'"').is_some();
    loop {
        match rest.peek()? {
            '"' if is_quoted => {
                rest.next();
                break;
            }
            c if !is_quoted && (c.is_whitespace() || "=^".contains(*c)) => break,
            _ => name.extend(rest.next()),
        }
    }
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    let prefix = rest.next_if_eq(&'^').is_some();
    (rest.next()? == '=').then_some(())?;
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    (rest.next()? == '"').then_some(())?;
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => value.push(rest.next()?),
            other => value.push(other),
        }
    }
    let named = ATTRIBUTES.iter().find(|(known, _)| *known == name);
    let attribute = named.filter(|_| rest.next().is_none())?.1;
    Some(format!(
        "Some(Filter {{ attribute: {attribute}, prefix: {prefix}, value: {value:?} }})"
    ))
}

/// What is sealed opens where it was sealed for, and no other text does: a token that continues a list cannot be made up.
fn sealed(text: &str) {
    let whole = &*SEALED;
    let opened = SEALER.open(PLACE, text);
    assert_eq!(opened.is_ok(), text == whole, "{text}");
    if let Ok(opened) = opened {
        assert_eq!(opened.as_slice(), CONTENT);
    }
    assert!(SEALER.open("page/groups", text).is_err());
    // The text as it is, in place of what is under the seal.
    let mut parts = whole.splitn(3, '.');
    let (form, key) = (parts.next().unwrap(), parts.next().unwrap());
    let made = format!("{form}.{key}.{text}");
    assert_eq!(SEALER.open(PLACE, &made).is_ok(), made == *whole, "{made}");
}

/// A client's public value: a number that is not 0 and below the group's, in any case and with any zeros in front.
fn public(text: &str) {
    let digits = text.trim_start_matches('0').to_ascii_lowercase();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = srp::ClientPublic::from_hex(text);
    // RFC 5054 appendix A: the group's number has 768 digits, of which the first sixteen are `f`.
    let largest = digits.len() == 768 && digits.starts_with("ffffffffffffffff");
    match &found {
        None => assert!(!is_number || digits.len() > 768 || largest, "{text}"),
        Some(found) => {
            assert!(is_number && digits.len() <= 768, "{text}");
            let written = hex::encode(found.to_bytes());
            assert_eq!(written.trim_start_matches('0'), digits);
            assert_eq!(
                srp::ClientPublic::from_bytes(&found.to_bytes()).as_ref(),
                Some(found)
            );
        }
    }
}

fn salt(text: &str) {
    let is_salt = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = srp::Salt::from_hex(text).map(|salt| salt.hex());
    assert_eq!(found, is_salt.then(|| text.to_ascii_lowercase()));
}

/// A `TIMESTAMP` is one day of the calendar, counted here day by day.
fn stamp(text: &str) {
    let Some(found) = srp::timestamp_ms(text) else {
        return;
    };
    let words: Vec<&str> = text.split(' ').collect();
    let [weekday, month, day, clock, "UTC", year] = words[..] else {
        panic!("{text} is a time");
    };
    let number = |text: &str| text.parse::<i64>().unwrap();
    let month = place(MONTHS, month) + 1;
    let (year, day) = (number(year), number(day));
    assert!((1..=length(year, month)).contains(&day), "{text}");
    let clock: Vec<i64> = clock.split(':').map(number).collect();
    let [hour, minute, second] = clock[..] else {
        panic!("{text} has a clock");
    };
    let before = |year: i64| {
        (year - 1) * 365 + (year - 1).div_euclid(4) - (year - 1).div_euclid(100)
            + (year - 1).div_euclid(400)
    };
    let within: i64 = (1..month).map(|month| length(year, month)).sum();
    let days = before(year) - before(1970) + within + day - 1;
    assert_eq!(
        found,
        ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000,
        "{text}"
    );
    assert!(place(WEEKDAYS, weekday) < 7);
}

fn place(names: &[&str], name: &str) -> i64 {
    let found = names.iter().position(|known| *known == name);
    i64::try_from(found.unwrap_or_else(|| panic!("{name}"))).unwrap()
}

fn length(year: i64, month: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leaps),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Gives the same bytes each time.
struct Sevens;

impl Rng for Sevens {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
    let key = (0..32).fold(String::new(), |mut key, octet| {
        write!(key, "{octet:02x}").unwrap();
        key
    });
    Sealer::new(&[SecretString::from(key)]).unwrap()
});

static SEALED: LazyLock<String> = LazyLock::new(|| SEALER.seal(&Sevens, PLACE, CONTENT).unwrap());

const PLACE: &str = "page/users";

const CONTENT: &[u8] = br#"[1800000000000,["ada"]]"#;

const MONTHS: &[&str] = &[
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const WEEKDAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const ATTRIBUTES: &[(&str, &str)] = &[
    ("username", "Username"),
    ("cognito:username", "Username"),
    ("sub", "Sub"),
    ("email", "Email"),
    ("phone_number", "PhoneNumber"),
    ("name", "Name"),
    ("given_name", "GivenName"),
    ("family_name", "FamilyName"),
    ("preferred_username", "PreferredUsername"),
    ("cognito:user_status", "Status"),
    ("status", "Enabled"),
];

#[cfg(test)]
mod tests {
    /// Else mutations of it would only ever be refused.
    #[test]
    fn the_corpus_has_what_is_sealed() {
        let sealed = include_str!("../../corpus/texts/sealed");
        assert_eq!(sealed.trim_end(), format!("sealed\n{}", *super::SEALED));
    }
}
