//! What a route's policies read of a request besides its caller, and how it enters the context.

mod plan;
mod shown;
mod written;

use std::{borrow::Cow, time::SystemTime};

use cedar_policy::{EntityUid, RestrictedExpression};

use self::{
    plan::Planning,
    shown::{Seen, Shown},
};
use crate::{
    Code, Outcome, Request, Single, guard::Ask, mention::Paths, project::owned,
    request::path_parameter, schema::Record,
};

/// The plan of a route's context, without `token`.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    values: Vec<Input>,
    /// Records that policies mention; they are there even when nothing is in them.
    records: Vec<&'static str>,
    certificate: Shown,
}

/// One value that a request gives.
#[derive(Debug)]
struct Input {
    source: Source,
    /// In which record of the context it stands; none for the context itself.
    record: Option<&'static str>,
    name: Box<str>,
    required: bool,
    /// Whether a policy mentions it; else it is only looked whether it is there.
    mentioned: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Method,
    Host,
    Path,
    ClientIp,
    Time,
    PathParameter,
    QueryParameter,
    Header,
}

/// The values of one request.
pub(crate) struct Values<'r> {
    /// One for each input of the plan, none where no policy mentions it.
    texts: Vec<Option<Cow<'r, str>>>,
    certificate: Option<Seen<'r>>,
}

/// The context attribute that is made of the access token.
pub(crate) const TOKEN: &str = "token";

/// The context attribute that is made of the certificate that the caller showed.
pub(crate) const CERTIFICATE: &str = "certificate";

impl Inputs {
    /// Plans the context of a route; reports what the schema declares that requests of the route cannot give.
    pub(crate) fn plan(
        declared: &Record,
        mentions: &Paths,
        ask: &Ask<'_>,
    ) -> Result<Self, Vec<String>> {
        let mut planning = Planning {
            plan: Self::default(),
            problems: Vec::new(),
            mentions,
            ask,
        };
        for (name, attribute) in declared.iter() {
            planning.attribute(name, attribute);
        }
        if planning.problems.is_empty() {
            Ok(planning.plan)
        } else {
            Err(planning.problems)
        }
    }

    /// Whether a policy reads the time.
    pub(crate) fn read_time(&self) -> bool {
        self.mention(Source::Time)
    }

    /// Whether a policy reads the caller's address.
    pub(crate) fn read_client_ip(&self) -> bool {
        self.mention(Source::ClientIp)
    }

    /// Whether a policy reads what the caller's certificate says, or whether there is one.
    pub(crate) fn read_certificate(&self) -> bool {
        self.certificate.mentioned
    }

    /// Whether the schema requires a certificate.
    pub(crate) fn require_certificate(&self) -> bool {
        self.certificate.required
    }

    /// Whether no policy reads anything of the request itself.
    pub(crate) fn are_none(&self) -> bool {
        self.records.is_empty()
            && !self.certificate.mentioned
            && !self.values.iter().any(|input| input.mentioned)
    }

    /// Asks a request for its values.
    pub(crate) fn resolve<'r>(
        &'r self,
        request: &'r impl Request,
        now: SystemTime,
    ) -> Result<Values<'r>, Outcome> {
        let mut texts = Vec::with_capacity(self.values.len());
        for input in &self.values {
            texts.push(input.resolve(request, now)?);
        }
        let certificate = self.certificate.resolve(request.certificate())?;
        Ok(Values { texts, certificate })
    }

    /// The context's members.
    pub(crate) fn context(
        &self,
        values: &Values<'_>,
    ) -> Result<Vec<(String, RestrictedExpression)>, Outcome> {
        let within = |record: Option<&'static str>| {
            let inputs = self
                .values
                .iter()
                .zip(&values.texts)
                .filter(move |(input, _)| input.record == record);
            inputs.filter_map(|(input, value)| {
                Some((&*input.name, input.source.expression(value.as_deref()?)))
            })
        };
        let mut members: Vec<_> = owned(within(None)).collect();
        for record in &self.records {
            let value = RestrictedExpression::new_record(owned(within(Some(record))));
            let value =
                value.map_err(|error| Outcome::refusal(Code::PolicyError, error.to_string()))?;
            members.push(((*record).to_owned(), value));
        }
        if let Some(seen) = &values.certificate {
            members.extend(seen.member()?);
        }
        Ok(members)
    }

    fn mention(&self, source: Source) -> bool {
        self.values
            .iter()
            .any(|input| input.mentioned && input.source == source)
    }
}

impl Values<'_> {
    /// Appends the values to the key of a remembered decision, so that no two lists of values of one plan read alike.
    pub(crate) fn write_key(&self, key: &mut Vec<u8>) {
        for value in &self.texts {
            write_text(key, value.as_deref());
        }
        if let Some(seen) = &self.certificate {
            seen.write_key(key);
        }
    }
}

/// Appends a text that may be absent to a key: its length, then the text.
pub(crate) fn write_text(key: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => key.extend(u64::MAX.to_le_bytes()),
        Some(text) => {
            key.extend((text.len() as u64).to_le_bytes());
            key.extend(text.as_bytes());
        }
    }
}

/// Appends an entity that may be absent to a key: its type, then its id.
pub(crate) fn write_entity(key: &mut Vec<u8>, entity: Option<&EntityUid>) {
    write_text(key, entity.map(|it| it.type_name().to_string()).as_deref());
    if let Some(entity) = entity {
        write_text(key, Some(entity.id().unescaped()));
    }
}

impl Input {
    /// `None` where it is absent, or no policy mentions it.
    fn resolve<'r>(
        &self,
        request: &'r impl Request,
        now: SystemTime,
    ) -> Result<Option<Cow<'r, str>>, Outcome> {
        match self.source.of(request, &self.name, now) {
            Single::Absent if self.required => {
                Err(self.refusal(Code::InputMissing, "is required and absent"))
            }
            Single::One(value) if self.mentioned => Ok(Some(value)),
            Single::Ambiguous if self.mentioned => Err(self.refusal(
                Code::InputAmbiguous,
                "is there more than once, is no text or can be read in two ways",
            )),
            _ => Ok(None),
        }
    }

    fn refusal(&self, code: Code, what: &str) -> Outcome {
        let record = self
            .record
            .map(|record| format!("{record}."))
            .unwrap_or_default();
        Outcome::refusal(
            code,
            format!("context attribute `{record}{}` {what}", self.name),
        )
    }
}

impl Source {
    fn of<'r>(self, request: &'r impl Request, name: &str, now: SystemTime) -> Single<'r> {
        let text = |text: &'r str| Single::One(Cow::Borrowed(text));
        match self {
            Self::Method => text(request.method()),
            Self::Host => text(request.host()),
            Self::Path => text(request.path()),
            Self::ClientIp => Single::One(Cow::Owned(request.client_ip().to_string())),
            Self::Time => Single::One(Cow::Owned(datetime(now))),
            Self::PathParameter => path_parameter(request, name),
            Self::QueryParameter => request.query_parameter(name),
            Self::Header => request.header(name),
        }
    }

    fn expression(self, text: &str) -> RestrictedExpression {
        match self {
            Self::ClientIp => written::address(text),
            Self::Time => written::time(text),
            _ => RestrictedExpression::new_string(text.to_owned()),
        }
    }
}

/// As Cedar's `datetime` reads it: UTC, to the millisecond.
fn datetime(now: SystemTime) -> String {
    let now = time::OffsetDateTime::from(now);
    let (date, (hour, minute, second, milli)) = (now.date(), now.time().as_hms_milli());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
