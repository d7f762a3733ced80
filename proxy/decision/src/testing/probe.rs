//! The request and the caller that a test describes.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use serde_json::Value;

use super::file::{Case, Common, Route, TokenUse};
use crate::{Caller, Certificate, Claims, Request, Single, query_parameter};

/// Names and values.
type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// A test's request.
#[derive(Debug)]
pub(super) struct Probe<'a> {
    pub(super) method: &'a str,
    path: &'a str,
    query: &'a str,
    parameters: Parameters<'a>,
    case: &'a Case,
}

impl<'a> Probe<'a> {
    /// Reads a test's request, as the most specific of these routes takes it.
    pub(super) fn new(
        case: &'a Case,
        routes: &'a [Route],
    ) -> Result<(Self, Option<&'a Route>), String> {
        let (method, target) = case.request.split_once(' ').unwrap_or_default();
        if method.is_empty() || !target.starts_with('/') {
            return Err(format!(
                "`{}` is not a method, a space and a path",
                case.request
            ));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let taken = routes.iter().filter_map(|route| {
            let (wanted, template) = route.r#match.split_once(' ')?;
            let (score, parameters) = parameters(template, path).filter(|_| wanted == method)?;
            Some((score, parameters, route))
        });
        let taken = taken.max_by(|(a, ..), (b, ..)| a.cmp(b));
        let (route, parameters) = taken.map_or((None, Vec::new()), |(_, parameters, route)| {
            (Some(route), parameters)
        });
        Ok((
            Self {
                method,
                path,
                query,
                parameters,
                case,
            },
            route,
        ))
    }

    /// Names of its path parameters.
    pub(super) fn names(&self) -> Vec<&'a str> {
        self.parameters.iter().map(|(name, _)| *name).collect()
    }
}

impl Request for Probe<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> &str {
        self.case.host.as_deref().unwrap_or("localhost")
    }

    fn path(&self) -> &str {
        self.path
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
    }

    fn query_parameter(&self, name: &str) -> Single<'_> {
        query_parameter(self.query, name)
    }

    fn header(&self, name: &str) -> Single<'_> {
        let values = self
            .case
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        Single::of(values.map(|(_, value)| Cow::Borrowed(&**value)))
    }

    fn client_ip(&self) -> IpAddr {
        self.case
            .client_ip
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.case.certificate.as_ref()
    }
}

/// A test's caller.
#[derive(Debug)]
pub(super) struct Who<'a> {
    id: String,
    common: &'a Common,
    case: &'a Case,
}

impl<'a> Who<'a> {
    pub(super) fn new(case: &'a Case, common: &'a Common) -> Result<Self, String> {
        let sub = case
            .claims
            .get("sub")
            .and_then(Value::as_str)
            .ok_or("the claims have no `sub` that is a string")?;
        let id = common
            .prefix
            .as_ref()
            .map_or_else(|| sub.to_owned(), |prefix| format!("{prefix}|{sub}"));
        Ok(Self { id, common, case })
    }
}

impl Caller for Who<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn group_prefix(&self) -> Option<&str> {
        self.common.prefix.as_deref()
    }

    fn groups(&self) -> Vec<&str> {
        let claim = self
            .common
            .group_claim
            .as_deref()
            .unwrap_or("cognito:groups");
        let groups = self.case.claims.get(claim).and_then(Value::as_array);
        groups
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn id_claims(&self) -> Option<impl Claims> {
        (self.case.token_use == TokenUse::Id).then_some(&self.case.claims)
    }

    fn access_claims(&self) -> Option<impl Claims> {
        (self.case.token_use == TokenUse::Access).then_some(&self.case.claims)
    }

    fn digest(&self) -> Option<[u8; 16]> {
        None
    }
}

/// How specifically a template takes a path, segment by segment, and its parameters there.
fn parameters<'a>(template: &'a str, path: &'a str) -> Option<(Vec<u8>, Parameters<'a>)> {
    let (mut score, mut parameters) = (Vec::new(), Vec::new());
    let (mut parts, mut rest) = (template.split('/'), Some(path));
    for part in parts.by_ref() {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        let left = rest?;
        if let Some(name) = name.and_then(|name| name.strip_suffix('*')) {
            parameters.push((name, left));
            score.push(0);
            return Some((score, parameters));
        }
        let (segment, after) = left
            .split_once('/')
            .map_or((left, None), |(segment, after)| (segment, Some(after)));
        rest = after;
        match name {
            Some(name) if !segment.is_empty() => parameters.push((name, segment)),
            None if part == segment => {}
            _ => return None,
        }
        score.push(if name.is_some() { 1 } else { 2 });
    }
    rest.is_none().then_some((score, parameters))
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn templates_take_paths() {
        let found = |template, path| parameters(template, path).map(|(_, parameters)| parameters);
        assert_eq!(found("/pets/{id}", "/pets/1"), Some(vec![("id", "1")]));
        assert_eq!(found("/pets/{id}", "/pets/"), None);
        assert_eq!(found("/pets/{id}", "/pets/1/x"), None);
        assert_eq!(
            found("/pets/{id}/{rest*}", "/pets/1/x/y"),
            Some(vec![("id", "1"), ("rest", "x/y")])
        );
        assert_eq!(found("/pets", "/pets"), Some(vec![]));
        assert_eq!(found("/pets/x", "/pets"), None);
        assert!(parameters("/pets/mine", "/pets/mine") > parameters("/pets/{id}", "/pets/mine"));
    }
}
