//! Many policies, of which ten can apply to the reader of the pet store.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use decision::Guard;

use crate::{
    Pool,
    gate::{guard_by, petstore},
};

/// `GET /pets/{petId}` under this many policies: ten permit what a group of the reader may, and each of the others asks for
/// another group, another user or another resource.
pub fn guard_among(count: usize) -> Result<Guard> {
    let folder = tempfile::tempdir()?;
    let schema = "petstore.cedarschema";
    std::fs::copy(petstore().join(schema), folder.path().join(schema))?;
    let mut text = String::new();
    for at in 0..count {
        let (pool, scope) = (Pool::ID, scope(at));
        let scope = scope.replace("POOL", pool);
        writeln!(
            text,
            "@id(\"p{at}\") permit({scope}) when {{ context.method == \"GET\" }};"
        )?;
    }
    std::fs::write(folder.path().join("many.cedar"), text)?;
    guard_by(folder.path().to_owned()).context("the policies do not fit")
}

fn scope(at: usize) -> String {
    match (at, at % 3) {
        (..10, _) => r#"principal in PetStore::UserGroup::"POOL|readers", action, resource"#.into(),
        (_, 0) => format!(r#"principal in PetStore::UserGroup::"POOL|g{at}", action, resource"#),
        (_, 1) => format!(r#"principal == PetStore::User::"POOL|u{at}", action, resource"#),
        _ => format!(r#"principal, action, resource == PetStore::Application::"a{at}""#),
    }
}
