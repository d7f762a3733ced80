//! The static tables that the one validator walks: constraints of every shape a request can hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Service, is_enum, names, rust_name, target};
use crate::codegen::model::Shape;

/// Writes one static per input shape and one per pattern.
pub(super) fn emit(service: &Service<'_>, out: &mut String) -> anyhow::Result<()> {
    let patterns = patterns(service);
    for (pattern, name) in &patterns {
        writeln!(
            out,
            "static {name}: Pattern = Pattern::new({});",
            raw(pattern)
        )?;
    }
    if !patterns.is_empty() {
        let names: Vec<String> = patterns.values().map(|name| format!("&{name}")).collect();
        writeln!(
            out,
            "\n#[cfg(test)]\npub(crate) static PATTERNS: &[&Pattern] = &[{}];\n",
            names.join(", ")
        )?;
    }
    for name in &service.inputs {
        let shape = service.model.shape(name)?;
        let kind = kind(service, name, shape, &patterns)?;
        writeln!(
            out,
            "static {}: Shape = Shape {{ sensitive: {}, kind: {kind} }};",
            names::screaming(name),
            shape.sensitive
        )?;
    }
    Ok(())
}

fn patterns<'m>(service: &Service<'m>) -> BTreeMap<&'m str, String> {
    let mut found = BTreeMap::new();
    for name in &service.inputs {
        if let Some(pattern) = &service
            .model
            .shapes
            .get(*name)
            .and_then(|shape| shape.pattern.as_ref())
        {
            found.insert(pattern.as_str(), String::new());
        }
    }
    for (index, name) in found.values_mut().enumerate() {
        *name = format!("PATTERN_{index}");
    }
    found
}

fn kind(
    service: &Service<'_>,
    name: &str,
    shape: &Shape,
    patterns: &BTreeMap<&str, String>,
) -> anyhow::Result<String> {
    let bounds = format!("min: {}, max: {}", bound(shape.min), bound(shape.max));
    Ok(match shape.kind.as_str() {
        "string" => {
            let pattern = shape
                .pattern
                .as_deref()
                .and_then(|pattern| patterns.get(pattern));
            let pattern = pattern.map_or_else(|| "None".into(), |name| format!("Some(&{name})"));
            let values = if is_enum(shape) {
                format!("{}::TEXTS", rust_name(name))
            } else {
                "&[]".into()
            };
            format!("Kind::Text {{ {bounds}, pattern: {pattern}, values: {values} }}")
        }
        "integer" | "long" => format!("Kind::Integer {{ {bounds} }}"),
        "boolean" => "Kind::Boolean".into(),
        "timestamp" => "Kind::Timestamp".into(),
        "blob" => format!("Kind::Blob {{ {bounds} }}"),
        "list" => format!(
            "Kind::List {{ {bounds}, item: &{} }}",
            names::screaming(&target(shape.member.as_ref(), name)?)
        ),
        "map" => format!(
            "Kind::Map {{ {bounds}, key: &{}, value: &{} }}",
            names::screaming(&target(shape.key.as_ref(), name)?),
            names::screaming(&target(shape.value.as_ref(), name)?)
        ),
        "structure" if shape.document => "Kind::Document".into(),
        "structure" => format!(
            "Kind::Structure {{ union: {}, members: &[{}] }}",
            shape.union,
            members(service, shape)?
        ),
        other => anyhow::bail!("{name} is of the unknown type {other}"),
    })
}

fn members(service: &Service<'_>, shape: &Shape) -> anyhow::Result<String> {
    let mut out = String::new();
    for (name, reference) in shape.members()? {
        let wire = reference.location_name.as_deref().unwrap_or(name);
        let location = match reference.location.as_deref() {
            Some("uri") => format!("Location::Uri({wire:?})"),
            Some("querystring") => format!("Location::Query({wire:?})"),
            Some("header") => format!("Location::Header({wire:?})"),
            Some(other) => anyhow::bail!("{name} stands in the unknown place {other}"),
            None => "Location::Body".into(),
        };
        let required = shape.required.contains(name);
        let target = names::screaming(&reference.shape);
        service.model.shape(&reference.shape)?;
        writeln!(
            out,
            "Member {{ name: {name:?}, required: {required}, location: {location}, shape: &{target} }},"
        )?;
    }
    Ok(out)
}

/// `Some(1_000)` or `None`.
fn bound(limit: Option<i64>) -> String {
    let Some(limit) = limit else {
        return "None".into();
    };
    let digits = limit.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len() > 4 && (digits.len() - index).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    format!("Some({out})")
}

/// A raw string literal; patterns are full of backslashes.
fn raw(text: &str) -> String {
    if text.contains('"') {
        format!("r#\"{text}\"#")
    } else {
        format!("r\"{text}\"")
    }
}
