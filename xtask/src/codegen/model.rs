//! The part of a botocore service model that the generator reads.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One service.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) metadata: Metadata,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

/// What the service is called and which protocol it speaks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) api_version: String,
    pub(crate) endpoint_prefix: String,
    pub(crate) json_version: Option<String>,
    pub(crate) protocol: String,
    pub(crate) signing_name: Option<String>,
    pub(crate) target_prefix: Option<String>,
    pub(crate) xml_namespace: Option<String>,
}

/// One operation.
#[derive(Deserialize)]
pub(crate) struct Operation {
    pub(crate) http: Http,
    pub(crate) input: Option<Reference>,
    pub(crate) output: Option<Reference>,
    #[serde(default)]
    pub(crate) errors: Vec<Reference>,
    pub(crate) authtype: Option<String>,
}

/// Where an operation is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) request_uri: String,
}

/// A use of a shape.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) shape: String,
    pub(crate) location: Option<String>,
    pub(crate) location_name: Option<String>,
    pub(crate) result_wrapper: Option<String>,
}

/// One shape, of any type.
#[expect(clippy::struct_excessive_bools, reason = "the model's own flags")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    members: Map<String, Value>,
    #[serde(default)]
    pub(crate) required: BTreeSet<String>,
    pub(crate) member: Option<Reference>,
    pub(crate) key: Option<Reference>,
    pub(crate) value: Option<Reference>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) pattern: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    #[serde(default)]
    pub(crate) sensitive: bool,
    #[serde(default)]
    pub(crate) document: bool,
    #[serde(default)]
    pub(crate) union: bool,
    #[serde(default)]
    pub(crate) exception: bool,
    #[serde(default)]
    pub(crate) fault: bool,
    pub(crate) error: Option<ErrorTrait>,
}

/// How an exception stands on the wire where that is not its name and 400.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorTrait {
    pub(crate) code: Option<String>,
    pub(crate) http_status_code: Option<u16>,
}

impl Model {
    /// The shape of that name.
    pub(crate) fn shape(&self, name: &str) -> anyhow::Result<&Shape> {
        self.shapes
            .get(name)
            .with_context(|| format!("shape {name} is missing"))
    }

    /// Every shape reachable from the operations' inputs (or outputs), the roots included.
    pub(crate) fn reachable(
        &self,
        root: fn(&Operation) -> Option<&Reference>,
    ) -> anyhow::Result<BTreeSet<&str>> {
        self.closure(
            self.operations
                .values()
                .filter_map(root)
                .map(|root| root.shape.as_str()),
        )
    }

    /// Every shape reachable from `roots`, those included; roots that are not of this model are passed over.
    pub(crate) fn closure<'r>(
        &self,
        roots: impl Iterator<Item = &'r str>,
    ) -> anyhow::Result<BTreeSet<&str>> {
        let mut found = BTreeSet::new();
        let mut open: Vec<(&str, &Shape)> = roots.filter_map(|root| self.entry(root)).collect();
        while let Some((name, shape)) = open.pop() {
            if found.insert(name) {
                open.extend(self.targets(shape)?);
            }
        }
        Ok(found)
    }

    fn entry(&self, name: &str) -> Option<(&str, &Shape)> {
        self.shapes
            .get_key_value(name)
            .map(|(name, shape)| (name.as_str(), shape))
    }

    fn targets(&self, shape: &Shape) -> anyhow::Result<Vec<(&str, &Shape)>> {
        let members = shape.members()?.into_iter().map(|(_, member)| member.shape);
        let held = [&shape.member, &shape.key, &shape.value];
        members
            .chain(
                held.into_iter()
                    .flatten()
                    .map(|reference| reference.shape.clone()),
            )
            .map(|name| {
                self.entry(&name)
                    .with_context(|| format!("shape {name} is missing"))
            })
            .collect()
    }
}

impl Shape {
    /// The members, in the model's order.
    pub(crate) fn members(&self) -> anyhow::Result<Vec<(&str, Reference)>> {
        self.members
            .iter()
            .map(|(name, value)| Ok((name.as_str(), Reference::deserialize(value)?)))
            .collect()
    }
}
