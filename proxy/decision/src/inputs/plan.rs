//! Plans a route's context, and reports what requests of the route cannot give.

use super::{CERTIFICATE, Input, Inputs, Source, TOKEN};
use crate::{
    CertificateField,
    guard::Ask,
    mention::Paths,
    schema::{Attribute, Extension, Type},
};

/// A plan on the way.
pub(super) struct Planning<'a> {
    pub(super) plan: Inputs,
    pub(super) problems: Vec<String>,
    pub(super) mentions: &'a Paths,
    pub(super) ask: &'a Ask<'a>,
}

impl Planning<'_> {
    pub(super) fn attribute(&mut self, name: &str, attribute: &Attribute) {
        match name {
            "method" => self.value(Source::Method, name, attribute, &Type::String),
            "host" => self.value(Source::Host, name, attribute, &Type::String),
            "path" => self.value(Source::Path, name, attribute, &Type::String),
            "clientIp" => self.value(
                Source::ClientIp,
                name,
                attribute,
                &Type::Extension(Extension::Ip),
            ),
            "time" => self.value(
                Source::Time,
                name,
                attribute,
                &Type::Extension(Extension::Datetime),
            ),
            "pathParameters" => self.record(Source::PathParameter, "pathParameters", attribute),
            "queryStringParameters" => {
                self.record(Source::QueryParameter, "queryStringParameters", attribute);
            }
            "headers" => self.record(Source::Header, "headers", attribute),
            TOKEN if matches!(attribute.ty, Type::Record(_)) => {}
            TOKEN => self
                .problems
                .push(format!("context attribute `{TOKEN}` must be a record")),
            CERTIFICATE => self.certificate(attribute),
            _ if attribute.required => {
                self.problems.push(format!(
                    "context attribute `{name}` is required, and nothing gives it a value"
                ));
            }
            _ => {}
        }
    }

    /// Its record is closed, so that a name that is misspelt is told.
    fn certificate(&mut self, attribute: &Attribute) {
        let Type::Record(members) = &attribute.ty else {
            return self.problems.push(format!(
                "context attribute `{CERTIFICATE}` must be a record"
            ));
        };
        let shown = &mut self.plan.certificate;
        shown.required = attribute.required;
        shown.mentioned = self.mentions.touch(&[CERTIFICATE]);
        for (name, member) in members.iter() {
            let Some(field) = CertificateField::named(name) else {
                self.problems.push(format!(
                    "context attribute `{CERTIFICATE}.{name}` is none of: {}",
                    CertificateField::names()
                ));
                continue;
            };
            let (ty, written) = if field.is_list() {
                (Type::Set(Box::new(Type::String)), "Set<String>")
            } else {
                (Type::String, "String")
            };
            if member.ty != ty {
                self.problems.push(format!(
                    "context attribute `{CERTIFICATE}.{name}` must be of type {written}"
                ));
            } else if self.mentions.touch(&[CERTIFICATE, name]) {
                shown.fields.push(field);
            }
        }
    }

    fn value(&mut self, source: Source, name: &str, attribute: &Attribute, ty: &Type) {
        if attribute.ty != *ty {
            let ty = if *ty == Type::String {
                "String"
            } else if source == Source::Time {
                "datetime"
            } else {
                "ipaddr"
            };
            return self
                .problems
                .push(format!("context attribute `{name}` must be of type {ty}"));
        }
        let mentioned = self.mentions.touch(&[name]);
        self.input(source, None, name, (false, mentioned));
    }

    /// What is neither required nor mentioned is not asked for.
    fn input(
        &mut self,
        source: Source,
        record: Option<&'static str>,
        name: &str,
        (required, mentioned): (bool, bool),
    ) {
        if required || mentioned {
            self.plan.values.push(Input {
                source,
                record,
                name: name.into(),
                required,
                mentioned,
            });
        }
    }

    fn record(&mut self, source: Source, record: &'static str, attribute: &Attribute) {
        let Type::Record(members) = &attribute.ty else {
            return self
                .problems
                .push(format!("context attribute `{record}` must be a record"));
        };
        if self.mentions.touch(&[record]) {
            self.plan.records.push(record);
        }
        for (name, member) in members.iter() {
            self.member(source, record, name, member);
        }
    }

    fn member(&mut self, source: Source, record: &'static str, name: &str, member: &Attribute) {
        if member.ty != Type::String {
            return self.problems.push(format!(
                "context attribute `{record}.{name}` must be of type String"
            ));
        }
        let given = match source {
            Source::PathParameter => self.ask.parameters.contains(&name),
            Source::Header => self.ask.headers.contains(&name),
            _ => true,
        };
        if given {
            let mentioned = self.mentions.touch(&[record, name]);
            self.input(source, Some(record), name, (member.required, mentioned));
        } else if member.required {
            let lacks = if source == Source::Header {
                "lets policies read no such header"
            } else {
                "has no such path parameter"
            };
            self.problems.push(format!(
                "context attribute `{record}.{name}` is required, and the route {lacks}"
            ));
        }
    }
}
