//! Path templates and the parameters that a path has under one.

use std::collections::HashSet;

use crate::{decodes_twice, push_octet};

/// A path template that is known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    segments: Box<[Segment]>,
}

/// One part of a template, between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Exactly this, in canonical spelling.
    Literal(Box<str>),
    /// One segment that is not empty.
    Param(Box<str>),
    /// Everything that is left, also nothing.
    Tail(Box<str>),
}

impl Template {
    /// Reads a template; every problem is reported, each as a sentence.
    ///
    /// Literals are brought into the canonical spelling of admitted paths, which is [`push_octet`]'s: `/@me` and `/%40me`
    /// are one template.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(vec![format!("`{text}` does not start with `/`")]);
        };
        let mut problems = Vec::new();
        let mut segments = Vec::new();
        for part in rest.split('/') {
            match segment(part) {
                Ok(segment) => segments.push(segment),
                Err(problem) => problems.push(problem),
            }
        }
        check_names(&segments, &mut problems);
        if problems.is_empty() {
            Ok(Self {
                text: text.into(),
                segments: segments.into(),
            })
        } else {
            Err(problems)
        }
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names of its parameters, from left to right.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::Tail(name) => Some(&**name),
        })
    }

    /// Whether a canonical path is one of this template's, whatever other routes there are.
    pub fn takes(&self, path: &str) -> bool {
        let Some(mut rest) = path.strip_prefix('/').map(Some) else {
            return false;
        };
        for segment in &self.segments {
            let Some(left) = rest else {
                return false;
            };
            let (first, after) = match left.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (left, None),
            };
            match segment {
                Segment::Tail(_) => return true,
                Segment::Literal(text) if **text == *first => {}
                Segment::Param(_) if !first.is_empty() => {}
                Segment::Literal(_) | Segment::Param(_) => return false,
            }
            rest = after;
        }
        rest.is_none()
    }

    /// A path that it takes, canonical where `segment` is, which stands for each of its parameters.
    pub fn example(&self, segment: &str) -> String {
        self.fill(|_| Some(segment)).unwrap_or_default()
    }

    /// The path with these values in the place of its parameters, canonical where they are; `None` where one has none.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Param(name) | Segment::Tail(name) => value(name)?,
            });
        }
        Some(path)
    }

    /// Those of its parameters that paths of another template do not have, or not as this kind, as they are written.
    pub fn unfilled_by(&self, other: &Self) -> Vec<String> {
        let missing = self.segments.iter();
        let missing = missing.filter(|segment| !other.segments.contains(segment));
        let written = missing.filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) => Some(format!("{{{name}}}")),
            Segment::Tail(name) => Some(format!("{{{name}*}}")),
        });
        written.collect()
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// The parameters of a path under the template that took it: pairs of name and value, from left to right.
///
/// Values are the path's own text, each octet as [`push_octet`] spells it. They are found while iterating; nothing is
/// allocated.
#[derive(Debug, Clone)]
pub struct Params<'t, 'p> {
    segments: std::slice::Iter<'t, Segment>,
    rest: &'p str,
}

impl<'t, 'p> Params<'t, 'p> {
    pub(crate) fn new(template: &'t Template, path: &'p str) -> Self {
        Self {
            segments: template.segments.iter(),
            rest: path.strip_prefix('/').unwrap_or(path),
        }
    }

    /// The value of one parameter.
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.clone()
            .find_map(|(found, value)| (found == name).then_some(value))
    }
}

impl<'t, 'p> Iterator for Params<'t, 'p> {
    type Item = (&'t str, &'p str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let segment = self.segments.next()?;
            if let Segment::Tail(name) = segment {
                return Some((name, self.rest));
            }
            let (value, rest) = self.rest.split_once('/').unwrap_or((self.rest, ""));
            self.rest = rest;
            if let Segment::Param(name) = segment {
                return Some((name, value));
            }
        }
    }
}

fn segment(part: &str) -> Result<Segment, String> {
    if !part.contains(['{', '}']) {
        return canonical(part).map(|literal| Segment::Literal(literal.into()));
    }
    let name = part
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|name| !name.contains(['{', '}']));
    let Some(name) = name else {
        return Err(format!("`{part}`: a parameter must be a whole segment"));
    };
    let (name, tail) = name
        .strip_suffix('*')
        .map_or((name, false), |name| (name, true));
    let fits = |(at, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || (at > 0 && (c.is_ascii_digit() || c == '-'))
    };
    if name.is_empty() || !name.char_indices().all(fits) {
        return Err(format!(
            "`{part}`: a parameter is named by letters, digits, `_` and `-`, and starts with a letter or `_`"
        ));
    }
    Ok(if tail {
        Segment::Tail(name.into())
    } else {
        Segment::Param(name.into())
    })
}

fn check_names(segments: &[Segment], problems: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (at, segment) in segments.iter().enumerate() {
        let (Segment::Param(name) | Segment::Tail(name)) = segment else {
            continue;
        };
        if !seen.insert(name) {
            problems.push(format!("`{{{name}}}` stands twice"));
        }
        if matches!(segment, Segment::Tail(_)) && at + 1 < segments.len() {
            problems.push(format!(
                "`{{{name}*}}` takes the rest of the path, so it must be last"
            ));
        }
    }
}

/// The spelling in which an admitted path has this segment; refuses what admission never lets in.
fn canonical(part: &str) -> Result<String, String> {
    let never = |what: &str| Err(format!("`{part}` can never match: {what}"));
    let mut out = String::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%';
        let byte = if encoded {
            match hex(bytes.next()).zip(hex(bytes.next())) {
                Some((high, low)) => high << 4 | low,
                None => return never("`%` is not followed by two hexadecimal digits"),
            }
        } else {
            byte
        };
        match byte {
            b'/' | b'\\' | b';' | 0..=0x1f | 0x7f => {
                return never("requests with such a character are refused");
            }
            b'?' | b'#' if !encoded => return never("a path ends at `?` and `#`"),
            b => push_octet(&mut out, b),
        }
    }
    if decodes_twice(&out) {
        return never("requests with an escape of an escape are refused");
    }
    if out == "." || out == ".." {
        return never("dot segments are resolved before routing");
    }
    Ok(out)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{Params, Template};

    #[test]
    fn parameters_are_the_raw_text_of_their_segments() {
        let template = Template::parse("/pets/{pet}/files/{rest*}").unwrap();
        let params: Vec<_> = Params::new(&template, "/pets/a%20b/files/x/y/").collect();
        assert_eq!(params, [("pet", "a%20b"), ("rest", "x/y/")]);
        assert_eq!(
            Params::new(&template, "/pets/1/files/").get("rest"),
            Some("")
        );
        assert_eq!(Params::new(&template, "/pets/1/files/").get("none"), None);
        assert_eq!(template.names().collect::<Vec<_>>(), ["pet", "rest"]);
    }

    #[test]
    fn a_template_takes_its_own_paths() {
        for (template, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a/{b}", "/a/b%2Fc", true),
            ("/a/{b}", "/a/", false),
            ("/a/{b}", "/a", false),
            ("/a/{b}", "/a/b/c", false),
            ("/a/{b}", "a/b", false),
            ("/a/{b*}", "/a/", true),
            ("/a/{b*}", "/a/b/c/", true),
            ("/a/{b*}", "/a", false),
            ("/{b*}", "/", true),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
        ] {
            let taken = Template::parse(template).unwrap().takes(path);
            assert_eq!(taken, expected, "{template} {path}");
        }
    }

    #[test]
    fn an_example_is_taken() {
        let example = |text| Template::parse(text).unwrap().example("x");
        assert_eq!(example("/caf%c3%a9/{a}/b/{rest*}"), "/caf%C3%A9/x/b/x");
        assert_eq!(example("/"), "/");
        assert_eq!(example("/a/"), "/a/");
    }

    #[test]
    fn a_template_is_filled_with_the_parameters_of_a_path() {
        let template = |text: &str| Template::parse(text).unwrap();
        let from = template("/old/{pet}/{rest*}");
        let filled = |to: &str, path: &str| {
            let params = Params::new(&from, path);
            template(to).fill(|name| params.get(name))
        };
        for (to, path, expected) in [
            ("/new/{rest*}", "/old/7/a/b%20c", Some("/new/a/b%20c")),
            ("/new/{rest*}", "/old/7/", Some("/new/")),
            ("/{rest*}", "/old/7/", Some("/")),
            ("/n%65w/{pet}", "/old/caf%C3%A9/", Some("/new/caf%C3%A9")),
            ("/", "/old/7/a", Some("/")),
            ("/{none}", "/old/7/a", None),
        ] {
            assert_eq!(filled(to, path).as_deref(), expected, "{to} {path}");
        }
        assert_eq!(template("/{pet}/{rest*}").unfilled_by(&from), [""; 0]);
        assert_eq!(
            template("/{rest}/{pets}/{pet*}").unfilled_by(&from),
            ["{rest}", "{pets}", "{pet*}"]
        );
    }

    #[test]
    fn literals_are_made_canonical() {
        let spelled = |text| Template::parse(text).unwrap().segments;
        assert_eq!(spelled("/caf%c3%a9"), spelled("/café"));
        assert_eq!(spelled("/%61~b"), spelled("/a%7Eb"));
        assert_eq!(spelled("/a%2Bb"), spelled("/a+b"));
        assert_eq!(spelled("/%40me"), spelled("/@me"));
        assert_eq!(spelled("/a%3fb c"), spelled("/a%3Fb%20c"));
        assert_eq!(spelled("/\"<>^`|"), spelled("/%22%3c%3e%5e%60%7c"));
        assert_ne!(spelled("/%7Ba%7D"), spelled("/{a}"));
    }

    #[test]
    fn every_problem_is_reported() {
        let problems = Template::parse("/a{b}/{c}/{c}/{d*}/../{9}/x%zz/y").unwrap_err();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        for bad in [
            "",
            "pets",
            "*",
            "/{}",
            "/{*}",
            "/{a}{b}",
            "/a?b",
            "/a#b",
            "/a;b",
            "/a%2fb",
            "/%2e%2E",
            "/a\\b",
            "/}a{",
            "/a%252f",
            "/a%25%32%66",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
