//! What a caller is shown of a user who may not exist, where an app client hides who does.

use super::name::{canonical, is_email, is_phone};
use crate::message::{Delivery, Medium, undeliverable};
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// A delivery that did not take place: the same for the same name each time, and as a real one looks.
pub(super) async fn delivery(engine: &Engine, pool: &Pool, username: &str) -> Result<Delivery> {
    if !engine.outbox().is_configured() {
        return Err(undeliverable());
    }
    let email = pool.auto_verifies(Medium::Email.attribute());
    let phone = pool.auto_verifies(Medium::Sms.attribute());
    if !email && !phone {
        return Err(Error::invalid_parameter("Auto verification not turned on."));
    }
    if email && is_email(username) {
        return Ok(Delivery::to(Medium::Email, username));
    }
    if phone && is_phone(username) {
        return Ok(Delivery::to(Medium::Sms, username));
    }
    let name = canonical(username, pool.case());
    let [which, first, second, tens, ones] = engine
        .auth()
        .derivation
        .bytes(engine, "delivery", &[pool.id(), &name])
        .await?;
    Ok(if email && (!phone || which % 2 == 0) {
        Delivery::to(
            Medium::Email,
            &format!("{}@{}", letter(first), letter(second)),
        )
    } else {
        Delivery::to(
            Medium::Sms,
            &format!("+1000000{:02}{:02}", tens % 100, ones % 100),
        )
    })
}

fn letter(byte: u8) -> char {
    char::from(b'a' + byte % 26)
}
