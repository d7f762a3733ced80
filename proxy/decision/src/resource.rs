//! The resource of a request, from a route's template.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::{Code, Outcome, Request, Single, request::path_parameter};

/// How a route names its resource.
#[derive(Debug)]
pub(crate) enum Resource {
    /// The same for every request.
    Fixed(Named),
    /// With path parameters in its id.
    Template {
        /// Its type.
        ty: EntityTypeName,
        /// What its id is made of.
        parts: Vec<Part>,
    },
}

/// A resource.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// As policies write it.
    pub(crate) text: Arc<str>,
    pub(crate) uid: EntityUid,
}

/// A part of a template's id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Parameter(String),
}

impl Resource {
    /// Reads `Type::"id"`, where `{name}` in the id stands for a path parameter.
    ///
    /// The id may have Cedar's escapes; a brace that is none of a parameter's is a problem.
    pub(crate) fn parse(text: &str, parameters: &[&str]) -> Result<Self, Vec<String>> {
        let uid: EntityUid = text.parse().map_err(|_| {
            vec![format!(
                "resource `{text}` is not of the form `Type::\"id\"`"
            )]
        })?;
        let mut problems = Vec::new();
        let parts = parts(uid.id().unescaped(), parameters, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        if parts.iter().any(|part| matches!(part, Part::Parameter(_))) {
            Ok(Self::Template {
                ty: uid.type_name().clone(),
                parts,
            })
        } else {
            Ok(Self::Fixed(Named::new(uid)))
        }
    }

    pub(crate) fn ty(&self) -> &EntityTypeName {
        match self {
            Self::Fixed(named) => named.uid.type_name(),
            Self::Template { ty, .. } => ty,
        }
    }

    /// The resource of a request; a refusal when the request lacks a parameter. Parameters are data: decoded, whatever they
    /// contain becomes part of the id and nothing else.
    pub(crate) fn of(&self, request: &impl Request) -> Result<Cow<'_, Named>, Outcome> {
        match self {
            Self::Fixed(named) => Ok(Cow::Borrowed(named)),
            Self::Template { ty, parts } => {
                let mut id = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => id.push_str(text),
                        Part::Parameter(name) => id.push_str(&parameter(request, name)?),
                    }
                }
                let uid = EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id));
                Ok(Cow::Owned(Named::new(uid)))
            }
        }
    }
}

impl Named {
    pub(crate) fn new(uid: EntityUid) -> Self {
        Self {
            text: entity_text(&uid).into(),
            uid,
        }
    }
}

fn parameter<'r>(request: &'r impl Request, name: &str) -> Result<Cow<'r, str>, Outcome> {
    let (code, detail) = match path_parameter(request, name) {
        Single::One(value) => return Ok(value),
        Single::Absent => (
            Code::InputMissing,
            "the resource's path parameter is absent",
        ),
        Single::Ambiguous => (
            Code::InputAmbiguous,
            "the resource's path parameter is no text or can be read in two ways",
        ),
    };
    Err(Outcome::refusal(code, detail))
}

/// An entity as policies write it.
pub(crate) fn entity_text(uid: &EntityUid) -> String {
    let id = uid.id().unescaped();
    let mut text = String::with_capacity(id.len() + 32);
    // Writing to a string does not fail.
    let written = if is_plain(id) {
        write!(text, "{}::\"{id}\"", uid.type_name())
    } else {
        write!(text, "{}::\"{}\"", uid.type_name(), uid.id().escaped())
    };
    written.unwrap_or_default();
    text
}

/// Whether nothing of an id is escaped, as nearly always; to ask of each character whether it is printable takes long.
fn is_plain(id: &str) -> bool {
    let escaped = |octet: u8| matches!(octet, b'"' | b'\'' | b'\\');
    id.bytes()
        .all(|octet| matches!(octet, b' '..=b'~') && !escaped(octet))
}

fn parts(id: &str, parameters: &[&str], problems: &mut Vec<String>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = id;
    while let Some((before, after)) = rest.split_once('{') {
        parts.push(Part::Text(before.to_owned()));
        let Some((name, after)) = after.split_once('}') else {
            problems.push(format!("resource id `{id}` has a `{{` without `}}`"));
            return parts;
        };
        if !parameters.contains(&name) {
            problems.push(format!(
                "resource id `{id}` names `{{{name}}}`, which is no parameter of the route's path"
            ));
        }
        parts.push(Part::Parameter(name.to_owned()));
        rest = after;
    }
    if rest.contains('}') {
        problems.push(format!("resource id `{id}` has a `}}` without `{{`"));
    }
    parts.push(Part::Text(rest.to_owned()));
    parts.retain(|part| *part != Part::Text(String::new()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_written_as_cedar_writes_them() {
        let odd = ["", "a\u{301}", "é", "\u{200b}", "\u{7f}", "a\nb", "日本"];
        let ascii = (0..=0x7f_u8).map(|octet| format!("a{}", char::from(octet)));
        for id in ascii.chain(odd.map(str::to_owned)) {
            let uid = EntityUid::from_type_name_and_id("A::B".parse().unwrap(), EntityId::new(id));
            assert_eq!(entity_text(&uid), uid.to_string());
        }
    }
}
