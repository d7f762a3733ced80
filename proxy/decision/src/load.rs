//! Reads a policy directory.

mod files;

use std::path::Path;

use cedar_policy::{
    EntityTypeName, Policy, PolicyId, PolicySet, Schema as CedarSchema, SchemaFragment,
    ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

pub(crate) use self::files::{File, Files};
use crate::{
    Config, Problem, Problems,
    schema::{Schema, Type},
};

/// A directory that has no problems.
pub(crate) struct Loaded {
    pub(crate) schema: Schema,
    pub(crate) principal: EntityTypeName,
    pub(crate) group: Option<EntityTypeName>,
    pub(crate) policies: PolicySet,
    pub(crate) ids: Vec<String>,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) hash: String,
}

/// Loads and validates.
pub(crate) fn load(config: &Config) -> Result<Loaded, Problems> {
    let files = Files::read(&config.path)?;
    let mut problems = Vec::new();
    let schema = schema(&config.path, &files.schemas)
        .map_err(|found| problems.extend(found))
        .ok();
    let policies = Parsed::parse(&files.policies, &mut problems);
    let (mut set, mut warnings) = (PolicySet::new(), Vec::new());
    for parsed in &policies {
        if set.add(parsed.policy.clone()).is_err() {
            problems.push(parsed.problem(format!(
                "another policy has the id `{}`",
                parsed.policy.id()
            )));
        }
    }
    let types = schema.as_ref().map(|schema| {
        validate(schema, &set, &policies, &mut problems, &mut warnings);
        types(config, schema, &mut problems)
    });
    match (schema, types.flatten()) {
        (Some(schema), Some((principal, group))) if problems.is_empty() => {
            let mut ids: Vec<_> = set
                .policies()
                .map(|policy| policy.id().to_string())
                .collect();
            ids.sort_unstable();
            Ok(Loaded {
                schema,
                principal,
                group,
                policies: set,
                ids,
                warnings,
                hash: files.hash(&config.path),
            })
        }
        _ => {
            problems.sort();
            problems.dedup();
            Err(Problems(problems))
        }
    }
}

/// The types of callers and groups where nothing says them: the only principal type that actions have, and the only type it
/// can be in.
pub(crate) fn infer(dir: &Path) -> Result<Config, Problems> {
    let files = Files::read(dir)?;
    let schema = schema(dir, &files.schemas).map_err(Problems)?;
    let mut principals: Vec<&String> = schema
        .actions()
        .flat_map(|(_, action)| &action.principals)
        .collect();
    principals.sort_unstable();
    principals.dedup();
    let [principal] = principals.as_slice() else {
        let message = "the schema's actions have not one type of principal, so it must be said which one callers have";
        return Err(Problems(vec![Problem::of_file(dir, message)]));
    };
    let parents = schema
        .entity(principal)
        .map(|ty| &*ty.parents)
        .unwrap_or_default();
    let group = if let [group] = parents {
        Some(group.clone())
    } else {
        None
    };
    Ok(Config {
        path: dir.to_owned(),
        principal: (*principal).clone(),
        group,
        remembered_bytes: Config::REMEMBERED_BYTES,
    })
}

/// A policy and where it stands.
struct Parsed<'f> {
    policy: Policy,
    file: &'f File,
    offset: usize,
}

impl<'f> Parsed<'f> {
    fn parse(files: &'f [File], problems: &mut Vec<Problem>) -> Vec<Self> {
        let mut parsed = Vec::new();
        for file in files {
            match file.text.parse::<PolicySet>() {
                Ok(set) => parsed.extend(Self::named(file, &set, problems)),
                Err(errors) => problems.extend(errors.iter().map(|error| file.problem(error))),
            }
        }
        parsed
    }

    /// Gives each policy of a file the id of its `@id`.
    fn named(file: &'f File, set: &PolicySet, problems: &mut Vec<Problem>) -> Vec<Self> {
        for template in set.templates() {
            let offset = file
                .text
                .find(template.to_string().trim())
                .unwrap_or_default();
            problems.push(Problem::at(
                &file.path,
                &file.text,
                offset,
                "a template: nothing here links templates to policies",
            ));
        }
        let mut named = Vec::new();
        for policy in set.policies() {
            let text = policy.to_string();
            let offset = file.text.find(text.trim()).unwrap_or_default();
            match policy.annotation("id").filter(|id| !id.is_empty()) {
                Some(id) => named.push(Self {
                    policy: policy.new_id(PolicyId::new(id)),
                    file,
                    offset,
                }),
                None => problems.push(Problem::at(
                    &file.path,
                    &file.text,
                    offset,
                    "the policy has no `@id(\"…\")`",
                )),
            }
        }
        named
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::at(&self.file.path, &self.file.text, self.offset, message)
    }
}

/// The one schema of a directory.
fn schema(dir: &Path, files: &[File]) -> Result<Schema, Vec<Problem>> {
    let file = match files {
        [file] => file,
        [] => {
            return Err(vec![Problem::of_file(
                dir,
                "no schema: a file named `….cedarschema` must be there",
            )]);
        }
        [_, more @ ..] => {
            let second = |file: &File| {
                Problem::of_file(&file.path, "a second schema: only one can be there")
            };
            return Err(more.iter().map(second).collect());
        }
    };
    let is_json = file
        .path
        .extension()
        .is_some_and(|extension| extension == "json");
    let fragment = if is_json {
        SchemaFragment::from_json_str(&file.text).map_err(|error| vec![file.problem(&error)])?
    } else {
        SchemaFragment::from_cedarschema_str(&file.text)
            .map_err(|error| vec![file.problem(&error)])?
            .0
    };
    let cedar = CedarSchema::from_schema_fragments([fragment.clone()])
        .map_err(|error| vec![file.problem(&error)])?;
    Schema::new(cedar, &fragment).map_err(|message| vec![Problem::of_file(&file.path, message)])
}

/// Holds all policies against the schema. A policy that can never apply is a problem: it was meant to.
fn validate(
    schema: &Schema,
    set: &PolicySet,
    policies: &[Parsed<'_>],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let result = Validator::new(schema.cedar.clone()).validate(set, ValidationMode::Strict);
    let place = |id: &PolicyId, found: &dyn Diagnostic| {
        let parsed = policies.iter().find(|parsed| parsed.policy.id() == id);
        parsed.map_or_else(
            || Problem::of_route(found.to_string()),
            |parsed| parsed.file.problem(found),
        )
    };
    for error in result.validation_errors() {
        problems.push(place(error.policy_id(), error));
    }
    for warning in result.validation_warnings() {
        let never = matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
        );
        if never {
            &mut *problems
        } else {
            &mut *warnings
        }
        .push(place(warning.policy_id(), warning));
    }
}

/// The settings' types, held against the schema.
fn types(
    config: &Config,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Option<(EntityTypeName, Option<EntityTypeName>)> {
    let mut problem = |message: String| problems.push(Problem::of_file(&config.path, message));
    let Some((principal, declared)) = config
        .principal
        .parse::<EntityTypeName>()
        .ok()
        .zip(schema.entity(&config.principal))
    else {
        problem(format!(
            "the principal's type `{}` is not in the schema",
            config.principal
        ));
        return None;
    };
    if principal.basename() == "Application" {
        // Resources can be in the application. Were it a caller, they would be in that caller's groups.
        problem(format!(
            "callers cannot be of the type `{}`, which is the application's",
            config.principal
        ));
    }
    for (name, _) in declared
        .attributes
        .iter()
        .filter(|(_, attribute)| attribute.required && attribute.ty == Type::Entity)
    {
        problem(format!(
            "attribute `{name}` of `{}` is required and an entity, which no claim can be",
            config.principal
        ));
    }
    let Some(group) = &config.group else {
        return Some((principal, None));
    };
    if !declared.parents.contains(group) {
        problem(format!(
            "the schema does not say `entity {} in [{group}]`",
            config.principal
        ));
    }
    Some((principal, group.parse().ok()))
}

#[cfg(test)]
mod tests;
