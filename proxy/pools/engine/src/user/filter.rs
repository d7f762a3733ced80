//! `ListUsers` filters: `attribute = "value"` or `attribute ^= "value"`, one at a time
//! (<https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-manage-user-accounts.html>).

use crate::Error;

/// One comparison of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub(crate) attribute: Attribute,
    pub(crate) prefix: bool,
    pub(crate) value: String,
}

/// What users can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Username,
    Sub,
    Email,
    PhoneNumber,
    Name,
    GivenName,
    FamilyName,
    PreferredUsername,
    /// `cognito:user_status`
    Status,
    /// `status`
    Enabled,
}

impl Filter {
    /// Reads a filter; an empty one is none.
    pub fn parse(text: &str) -> Result<Option<Self>, Error> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.chars().count() > MAX_LENGTH {
            return Err(Error::invalid_parameter("Error while parsing filter"));
        }
        let (name, prefix, value) = parts(text.trim())
            .ok_or_else(|| Error::invalid_parameter("Error while parsing filter"))?;
        let attribute = Attribute::named(name)
            .ok_or_else(|| Error::invalid_parameter(format!("Invalid search attribute: {name}")))?;
        Ok(Some(Self {
            attribute,
            prefix,
            value,
        }))
    }
}

impl Attribute {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "username" | "cognito:username" => Self::Username,
            "sub" => Self::Sub,
            "email" => Self::Email,
            "phone_number" => Self::PhoneNumber,
            "name" => Self::Name,
            "given_name" => Self::GivenName,
            "family_name" => Self::FamilyName,
            "preferred_username" => Self::PreferredUsername,
            "cognito:user_status" => Self::Status,
            "status" => Self::Enabled,
            _ => return None,
        })
    }
}

fn parts(text: &str) -> Option<(&str, bool, String)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_at(text.find(|c: char| c.is_whitespace() || c == '=' || c == '^')?),
    };
    let rest = rest.trim_start();
    let (prefix, rest) = match rest.strip_prefix("^=") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('=')?),
    };
    let quoted = rest.trim_start().strip_prefix('"')?.strip_suffix('"')?;
    (!name.is_empty()).then_some((name, prefix, unescape(quoted)?))
}

/// The text between the outer quotes, where `\` takes away the meaning of the next character.
fn unescape(quoted: &str) -> Option<String> {
    let mut value = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
    Some(value)
}

pub(crate) const MAX_LENGTH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Attribute, bool, String) {
        let filter = Filter::parse(text).unwrap().unwrap();
        (filter.attribute, filter.prefix, filter.value)
    }

    #[test]
    fn both_comparisons_are_read() {
        assert_eq!(
            parsed(r#"email = "a@b""#),
            (Attribute::Email, false, "a@b".into())
        );
        assert_eq!(
            parsed(r#"given_name^="Jo""#),
            (Attribute::GivenName, true, "Jo".into())
        );
        assert_eq!(
            parsed(r#" "cognito:user_status"  =  "CONFIRMED" "#),
            (Attribute::Status, false, "CONFIRMED".into())
        );
        assert_eq!(
            parsed(r#"name = "a \"b\" \\""#),
            (Attribute::Name, false, r#"a "b" \"#.into())
        );
        assert_eq!(
            parsed(r#"status = """#),
            (Attribute::Enabled, false, String::new())
        );
    }

    #[test]
    fn an_empty_filter_is_none() {
        assert_eq!(Filter::parse("  ").unwrap(), None);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let long = format!("name = \"{}\"", "a".repeat(MAX_LENGTH));
        for text in [
            "email",
            "email =",
            "email = a",
            r#"email = "a"#,
            r#"email = "a" x"#,
            r#"= "a""#,
            r#"email == "a""#,
            r#"email = "a\""#,
            r#"email = "a" and name = "b""#,
            &long,
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert_eq!(error.to_string(), "Error while parsing filter", "{text}");
        }
    }

    #[test]
    fn what_cannot_be_searched_is_named() {
        let error = Filter::parse(r#"custom:team = "a""#).unwrap_err();
        assert_eq!(error.to_string(), "Invalid search attribute: custom:team");
    }
}
