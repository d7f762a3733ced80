//! What one attribute's value must look like.

use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, macros::format_description};

use super::{Attribute, Kind, MAX_LENGTH, nonconforming};
use crate::user::name;
use crate::{Error, Result};

/// Refuses a value that does not fit the attribute.
pub(super) fn check(attribute: &Attribute, value: &str) -> Result<()> {
    if u64::try_from(value.chars().count()).unwrap_or(u64::MAX) > MAX_LENGTH {
        return Err(wrong(
            attribute,
            format_args!("String must be no longer than {MAX_LENGTH} characters"),
        ));
    }
    match attribute.name.as_str() {
        // An empty value takes the address away.
        "email" if !value.is_empty() && !name::is_email(value) => {
            Err(Error::invalid_parameter("Invalid email address format."))
        }
        "phone_number" if !value.is_empty() && !name::is_phone(value) => {
            Err(Error::invalid_parameter("Invalid phone number format."))
        }
        "birthdate" if !value.is_empty() && !is_date(value) => Err(wrong(
            attribute,
            format_args!("Birthdate must be in the format YYYY-MM-DD"),
        )),
        _ => check_kind(attribute, value),
    }
}

fn check_kind(attribute: &Attribute, value: &str) -> Result<()> {
    match attribute.kind {
        Kind::String { min, max } => check_length(attribute, value, min, max),
        Kind::Number { min, max } => check_number(attribute, value, min, max),
        Kind::DateTime if is_moment(value) => Ok(()),
        Kind::DateTime => Err(wrong(
            attribute,
            format_args!("String does not represent a date or time"),
        )),
        Kind::Boolean if matches!(value, "true" | "false") => Ok(()),
        Kind::Boolean => Err(wrong(
            attribute,
            format_args!("Boolean must be one of true or false"),
        )),
    }
}

fn check_length(
    attribute: &Attribute,
    value: &str,
    min: Option<u64>,
    max: Option<u64>,
) -> Result<()> {
    let length = u64::try_from(value.chars().count()).unwrap_or(u64::MAX);
    // An absent optional attribute may be given as empty text, whatever its least length.
    if let Some(min) = min.filter(|min| length < *min && (length > 0 || attribute.required)) {
        return Err(wrong(
            attribute,
            format_args!("String must be no shorter than {min} characters"),
        ));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        return Err(wrong(
            attribute,
            format_args!("String must be no longer than {max} characters"),
        ));
    }
    Ok(())
}

fn check_number(
    attribute: &Attribute,
    value: &str,
    min: Option<f64>,
    max: Option<f64>,
) -> Result<()> {
    // Rust's parser also reads `inf` and `nan`, which are no numbers to anyone else.
    let number = value
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    let Some(number) = number else {
        return Err(wrong(
            attribute,
            format_args!("String does not represent a number"),
        ));
    };
    if let Some(min) = min.filter(|min| number < *min) {
        return Err(wrong(
            attribute,
            format_args!("Number must be no less than {min}"),
        ));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        return Err(wrong(
            attribute,
            format_args!("Number must be no more than {max}"),
        ));
    }
    Ok(())
}

fn is_date(value: &str) -> bool {
    Date::parse(value, format_description!("[year]-[month]-[day]")).is_ok()
}

fn is_moment(value: &str) -> bool {
    value.parse::<i64>().is_ok()
        || is_date(value)
        || OffsetDateTime::parse(value, &Iso8601::DEFAULT).is_ok()
}

fn wrong(attribute: &Attribute, problem: std::fmt::Arguments<'_>) -> Error {
    nonconforming(&format!("{}: {problem}\n", attribute.name))
}
