//! A reader of JSON by the letter of RFC 8259 that keeps every member of an object, to see names that are given twice.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The value that makes up all of a text, unless it is nested deeper than any parser goes.
pub(crate) fn read(text: &str) -> Option<Json> {
    let mut reader = Reader(text);
    let value = reader.value(0)?;
    reader.blank();
    reader.0.is_empty().then_some(value)
}

impl Json {
    /// The members of an object, if no name in it is given twice, at any depth.
    pub(crate) fn unambiguous(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Object(members) if !self.repeats() => Some(members),
            _ => None,
        }
    }

    fn repeats(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(Self::repeats),
            Self::Object(members) => members.iter().enumerate().any(|(at, (name, value))| {
                value.repeats() || members[..at].iter().any(|(earlier, _)| earlier == name)
            }),
            _ => false,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }
}

struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn blank(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, text: &str) -> bool {
        self.blank();
        self.0
            .strip_prefix(text)
            .map(|rest| self.0 = rest)
            .is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.blank();
        match self.0.chars().next()? {
            '{' if depth < DEEPEST => self.object(depth),
            '[' if depth < DEEPEST => self.list(depth),
            '"' => self.text().map(Json::Text),
            '-' | '0'..='9' => self.number(),
            _ if self.take("null") => Some(Json::Null),
            _ if self.take("true") => Some(Json::Bool(true)),
            _ => self.take("false").then_some(Json::Bool(false)),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut members = Vec::new();
        let mut more = self.take("{") && !self.take("}");
        while more {
            self.blank();
            let name = self.text()?;
            if !self.take(":") {
                return None;
            }
            members.push((name, self.value(depth + 1)?));
            more = self.take(",");
            if !more && !self.take("}") {
                return None;
            }
        }
        Some(Json::Object(members))
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        let mut items = Vec::new();
        let mut more = self.take("[") && !self.take("]");
        while more {
            items.push(self.value(depth + 1)?);
            more = self.take(",");
            if !more && !self.take("]") {
                return None;
            }
        }
        Some(Json::List(items))
    }

    fn number(&mut self) -> Option<Json> {
        let end = self
            .0
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let (number, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        let unsigned = number.strip_prefix('-').unwrap_or(number);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
        let fits = digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && exponent.is_none_or(digits)
            && number.parse::<f64>().is_ok_and(f64::is_finite);
        fits.then(|| Json::Number(number.to_owned()))
    }

    fn text(&mut self) -> Option<String> {
        self.0 = self.0.strip_prefix('"')?;
        let mut out = String::new();
        loop {
            let c = self.0.chars().next()?;
            self.0 = &self.0[c.len_utf8()..];
            match c {
                '"' => return Some(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\x1f' => return None,
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let c = self.0.chars().next()?;
        self.0 = &self.0[c.len_utf8()..];
        Some(match c {
            '"' | '\\' | '/' => c,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => match self.unit()? {
                high @ 0xd800..=0xdbff => {
                    self.0 = self.0.strip_prefix("\\u")?;
                    let low = self.unit()?;
                    char::decode_utf16([high, low]).next()?.ok()?
                }
                unit => char::from_u32(unit.into())?,
            },
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.0.get(..4)?;
        let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
        self.0 = &self.0[4..];
        u16::from_str_radix(digits, 16).ok().filter(|_| all)
    }
}

/// `serde_json` opens so many lists and objects within each other.
const DEEPEST: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_given_twice_are_seen_at_any_depth() {
        let ambiguous = |text| read(text).unwrap().unambiguous().is_none();
        assert!(!ambiguous(r#"{"a":1,"b":[{"a":-0.5e+3}]}"#));
        assert!(ambiguous(r#"{"a":[{"b":1,"\u0062":2}]}"#));
        assert!(ambiguous("[]"));
    }

    #[test]
    fn only_json_is_read() {
        for text in [
            "",
            "{",
            "{} {}",
            "[1,]",
            r#"{"a":1,}"#,
            "01",
            "1.",
            ".5",
            "+1",
            "1e999",
            "nul",
            r#""\x""#,
            "\"\n\"",
            r#""\ud800""#,
            r#""\u12""#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let text = read(r#" "\ud83d\ude00\/" "#).unwrap();
        assert_eq!(text.text(), Some("😀/"));
    }
}
