//! Structures, unions and enums.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, ensure};

use super::{Service, is_enum, names, rust_name};
use crate::codegen::model::{Reference, Shape};

/// Writes every structure and enum that a request or a response can hold.
pub(super) fn emit(service: &Service<'_>, out: &mut String) -> anyhow::Result<()> {
    let reachable: BTreeSet<&str> = service.inputs.union(&service.outputs).copied().collect();
    for name in &reachable {
        let shape = service.model.shape(name)?;
        match shape.kind.as_str() {
            "structure" if shape.document => {}
            "structure" if shape.union => union(service, name, shape, out)?,
            "structure" => structure(service, name, shape, out)?,
            _ => {}
        }
    }
    out.push_str("enumeration! {\n");
    for name in &reachable {
        let shape = service.model.shape(name)?;
        if is_enum(shape) {
            enumeration(name, shape, out)?;
        }
    }
    out.push_str("}\n\n");
    Ok(())
}

fn structure(
    service: &Service<'_>,
    name: &str,
    shape: &Shape,
    out: &mut String,
) -> anyhow::Result<()> {
    let members = shape.members()?;
    let (shown, hidden) = visibility(service, &members)?;
    let pascal = style(&members);
    derive(service, name, shape, hidden.is_empty(), out)?;
    writeln!(
        out,
        "#[serde(rename_all = \"{}\")]",
        if pascal { "PascalCase" } else { "camelCase" }
    )?;
    writeln!(out, "pub struct {} {{", rust_name(name))?;
    for (member, reference) in &members {
        let field = names::field(member);
        let plain = service.inputs.contains(name) && shape.required.contains(*member);
        let kind = service.rust_type(&reference.shape)?;
        let mut attributes = Vec::new();
        if names::serde_rename(&field, pascal) != *member {
            attributes.push(format!("rename = {member:?}"));
        }
        if !plain {
            attributes.push("skip_serializing_if = \"Option::is_none\"".into());
        }
        if !attributes.is_empty() {
            writeln!(out, "#[serde({})]", attributes.join(", "))?;
        }
        let kind = if plain {
            kind
        } else {
            format!("Option<{kind}>")
        };
        writeln!(out, "pub {field}: {kind},")?;
    }
    out.push_str("}\n\n");
    debug(name, &shown, &hidden, out)
}

/// `debug_redacted!` where a member is secret; the rest derive `Debug`.
fn debug(name: &str, shown: &[String], hidden: &[String], out: &mut String) -> anyhow::Result<()> {
    if !hidden.is_empty() {
        let (shown, hidden) = (shown.join(", "), hidden.join(", "));
        writeln!(
            out,
            "debug_redacted!({} {{ shown: [{shown}], hidden: [{hidden}] }});\n",
            rust_name(name)
        )?;
    }
    Ok(())
}

fn derive(
    service: &Service<'_>,
    name: &str,
    shape: &Shape,
    debug: bool,
    out: &mut String,
) -> anyhow::Result<()> {
    let debug = if debug { "Debug, " } else { "" };
    let default = if defaults(service, name, shape)? {
        "Default, "
    } else {
        ""
    };
    // Each derive costs compile time: what only answers is never read.
    let deserialize = if service.decoded.contains(name) {
        ", Deserialize"
    } else {
        ""
    };
    writeln!(
        out,
        "#[derive({debug}Clone, {default}Serialize{deserialize})]"
    )?;
    Ok(())
}

/// Whether each member that must be there has a default of its own.
fn defaults(service: &Service<'_>, name: &str, shape: &Shape) -> anyhow::Result<bool> {
    if !service.inputs.contains(name) {
        return Ok(true);
    }
    for (member, reference) in shape.members()? {
        let target = service.model.shape(&reference.shape)?;
        let empty = match target.kind.as_str() {
            "string" => target.values.is_empty(),
            "structure" if target.union => false,
            "structure" => target.document || defaults(service, &reference.shape, target)?,
            _ => true,
        };
        if shape.required.contains(member) && !empty {
            return Ok(false);
        }
    }
    Ok(true)
}

fn visibility(
    service: &Service<'_>,
    members: &[(&str, Reference)],
) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for (member, reference) in members {
        let list = if service.secret(&reference.shape)? {
            &mut hidden
        } else {
            &mut shown
        };
        list.push(names::field(member));
    }
    Ok((shown, hidden))
}

/// Whether most members are written in Pascal case.
fn style(members: &[(&str, Reference)]) -> bool {
    let pascal = members
        .iter()
        .filter(|(name, _)| name.starts_with(|first: char| first.is_ascii_uppercase()))
        .count();
    pascal * 2 >= members.len()
}

/// A union is an enum whose variant is the one member that is set: serde's externally tagged form.
fn union(service: &Service<'_>, name: &str, shape: &Shape, out: &mut String) -> anyhow::Result<()> {
    let deserialize = if service.decoded.contains(name) {
        ", Deserialize"
    } else {
        ""
    };
    writeln!(out, "#[derive(Clone, Serialize{deserialize})]")?;
    writeln!(out, "pub enum {} {{", rust_name(name))?;
    let mut arms = String::new();
    for (member, reference) in shape.members()? {
        let variant = names::pascal(member);
        writeln!(
            out,
            "#[serde(rename = {member:?})]\n{variant}({}),",
            service.rust_type(&reference.shape)?
        )?;
        writeln!(arms, "Self::{variant}(..) => {member:?},")?;
    }
    out.push_str("}\n\n");
    writeln!(
        out,
        "impl std::fmt::Debug for {} {{ fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{ \
         f.write_str(match self {{ {arms} }}) }} }}\n",
        rust_name(name)
    )?;
    Ok(())
}

fn enumeration(name: &str, shape: &Shape, out: &mut String) -> anyhow::Result<()> {
    let mut variants = BTreeSet::new();
    let mut text = String::new();
    for value in &shape.values {
        let variant = names::pascal(value);
        ensure!(
            variants.insert(variant.clone()),
            "two values of {name} are called {variant}"
        );
        write!(text, "{variant} = {value:?}, ").context("a string takes all text")?;
    }
    writeln!(out, "{} {{ {text} }}", rust_name(name))?;
    Ok(())
}
