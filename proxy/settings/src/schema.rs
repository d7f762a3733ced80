//! The JSON schema of the settings, for editors.

use crate::written;

/// The JSON schema (draft 2020-12) of a settings file; `config/schema.json` is this.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(written::Settings).to_value()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// With `UPDATE=1` in the environment the file is written instead.
    #[test]
    fn the_checked_in_schema_is_this_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/schema.json");
        let schema = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &schema).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == schema,
            "config/schema.json is stale; run this test with UPDATE=1"
        );
    }
}
