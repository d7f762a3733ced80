//! May they: a permit that owns the canonical head, or a denial with its reason.

use std::{net::IpAddr, time::SystemTime};

use decision::{Certificate, Code, Decided, Permit, Request, Single};
use http::Method;

use super::{head::Head, identify::Caller, refuse::Refusal};
use crate::snapshot::Authorize;

/// A request that may not go on.
pub(super) struct Denial {
    pub(super) head: Head,
    pub(super) refusal: Refusal,
    /// What the policies said, where they were asked.
    pub(super) decided: Option<Box<Decided>>,
}

/// Decides; unsure means deny.
pub(super) fn decide(
    authorize: &Authorize,
    head: Head,
    caller: Option<&Caller>,
    now: SystemTime,
) -> Result<Permit<Head>, Box<Denial>> {
    match (authorize, caller) {
        (Authorize::None, _) => Ok(Permit::unguarded(head)),
        (Authorize::Authenticated, Some(caller)) => Ok(Permit::authenticated(caller, head)),
        (Authorize::Policies(guards), Some(caller)) if caller.principal().is_some() => {
            match guards.of(&head.method) {
                Some(guard) => guard.decide(head, caller, now).map_err(denied),
                None => Err(refused(head, forbidden(Code::NoPolicies))),
            }
        }
        (Authorize::Policies(_), Some(_)) => Err(refused(head, forbidden(Code::ClaimsInvalid))),
        (Authorize::Authenticated | Authorize::Policies(_), None) => {
            let missing = Refusal::Token {
                why: token::Refusal::Missing,
                scopes: Vec::new(),
            };
            Err(refused(head, missing))
        }
    }
}

fn denied(denied: decision::Denied<Head>) -> Box<Denial> {
    Box::new(Denial {
        refusal: forbidden(denied.decided.outcome().code()),
        head: denied.head,
        decided: Some(denied.decided),
    })
}

fn refused(head: Head, refusal: Refusal) -> Box<Denial> {
    Box::new(Denial {
        head,
        refusal,
        decided: None,
    })
}

fn forbidden(code: Code) -> Refusal {
    Refusal::Denied {
        code: code.as_str(),
    }
}

/// A route's guards: one for each method where the action names the method, else one for all.
#[derive(Debug)]
pub(crate) enum Guards {
    /// The action is the same whatever the method.
    Any(Box<decision::Guard>),
    /// The action is the method's own.
    ByMethod(Vec<(Method, decision::Guard)>),
}

impl Guards {
    pub(super) fn of(&self, method: &Method) -> Option<&decision::Guard> {
        match self {
            Self::Any(guard) => Some(guard),
            Self::ByMethod(guards) => guards
                .iter()
                .find_map(|(of, guard)| (of == method).then_some(guard)),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &decision::Guard> {
        let (any, by_method) = match self {
            Self::Any(guard) => (Some(&**guard), None),
            Self::ByMethod(guards) => (None, Some(guards)),
        };
        let by_method = by_method.into_iter().flatten().map(|(_, guard)| guard);
        any.into_iter().chain(by_method)
    }
}

impl Request for Head {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn host(&self) -> &str {
        self.authority.host()
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find_map(|(known, value)| (&**known == name).then_some(value.as_str()))
    }

    fn query_parameter(&self, name: &str) -> Single<'_> {
        self.query.as_deref().map_or(Single::Absent, |query| {
            decision::query_parameter(query, name)
        })
    }

    fn header(&self, name: &str) -> Single<'_> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Single::Absent,
            (Some(value), None) => match value.to_str() {
                Ok(text) => Single::One(text.into()),
                Err(_) => Single::Ambiguous,
            },
            (Some(_), Some(_)) => Single::Ambiguous,
        }
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }

    fn certificate(&self) -> Option<&Certificate> {
        Self::certificate(self)
    }
}
