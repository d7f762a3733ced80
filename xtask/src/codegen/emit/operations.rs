//! The service's description, its operations and its errors.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use super::{Service, names, rust_name};
use crate::codegen::model::{Operation, Shape};

/// Writes `SERVICE`, `ERRORS` and the `operations!` list.
pub(super) fn emit(service: &Service<'_>, out: &mut String) -> anyhow::Result<()> {
    description(service, out)?;
    out.push_str("operations! {\n");
    for (name, operation) in &service.model.operations {
        row(name, operation, out)?;
    }
    out.push_str("}\n\n");
    Ok(())
}

fn description(service: &Service<'_>, out: &mut String) -> anyhow::Result<()> {
    let metadata = &service.model.metadata;
    let protocol = match (metadata.protocol.as_str(), metadata.json_version.as_deref()) {
        ("json", Some("1.0")) => "Json10",
        ("json", Some("1.1")) => "Json11",
        ("rest-json", _) => "RestJson",
        ("query", _) => "Query",
        (other, version) => bail!("protocol {other} {version:?} is unknown"),
    };
    let signing = metadata
        .signing_name
        .as_ref()
        .unwrap_or(&metadata.endpoint_prefix);
    writeln!(
        out,
        "/// What the service is called on the wire.\npub static SERVICE: Service = Service {{ name: {:?}, protocol: Protocol::{protocol}, signing_name: {signing:?}, target_prefix: {:?}, \
         version: {:?}, xml_namespace: {:?}, errors: &[",
        metadata.endpoint_prefix,
        metadata.target_prefix,
        metadata.api_version,
        metadata.xml_namespace,
    )?;
    for (name, shape) in service
        .model
        .shapes
        .iter()
        .filter(|(_, shape)| shape.exception)
    {
        error(name, shape, out)?;
    }
    out.push_str("] };\n\n");
    Ok(())
}

fn error(name: &str, shape: &Shape, out: &mut String) -> anyhow::Result<()> {
    let stated = shape.error.as_ref();
    let code = stated
        .and_then(|error| error.code.as_deref())
        .unwrap_or(name);
    let status = stated
        .and_then(|error| error.http_status_code)
        .unwrap_or(if shape.fault { 500 } else { 400 });
    writeln!(
        out,
        "ErrorShape {{ name: {name:?}, code: {code:?}, status: {status} }},"
    )?;
    Ok(())
}

fn row(name: &str, operation: &Operation, out: &mut String) -> anyhow::Result<()> {
    let input = &operation
        .input
        .as_ref()
        .with_context(|| format!("{name} has no input"))?
        .shape;
    let output = operation
        .output
        .as_ref()
        .map_or_else(|| "()".into(), |output| rust_name(&output.shape));
    let wrapper = operation
        .output
        .as_ref()
        .and_then(|output| output.result_wrapper.as_deref());
    let signed = operation.authtype.as_deref() != Some("none");
    let errors: Vec<&str> = operation
        .errors
        .iter()
        .map(|error| error.shape.as_str())
        .collect();
    writeln!(
        out,
        "{name}({}) -> {output} {{ signed: {signed}, method: {:?}, uri: {:?}, wrapper: {wrapper:?}, input: {}, errors: {errors:?} }}",
        rust_name(input),
        operation.http.method,
        operation.http.request_uri,
        names::screaming(input),
    )?;
    Ok(())
}
