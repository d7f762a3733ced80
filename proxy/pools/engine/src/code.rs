//! Codes that prove an address: six digits, sealed at rest, good once, for a time and for a few tries.

mod store;

use ::store::Tx;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::message::Medium;
use crate::seal::place;
use crate::user::User;
use crate::{Engine, Result, rng};

/// What a code is for; a user has at most one live code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Confirms a sign-up.
    SignUp,
    /// Proves a changed email address.
    VerifyEmail,
    /// Proves a changed phone number.
    VerifyPhoneNumber,
    /// Sets a new password.
    ForgotPassword,
}

impl Purpose {
    /// The purpose of proving that attribute.
    pub(crate) fn verify(medium: Medium) -> Self {
        match medium {
            Medium::Email => Self::VerifyEmail,
            Medium::Sms => Self::VerifyPhoneNumber,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::VerifyEmail => "verify_email",
            Self::VerifyPhoneNumber => "verify_phone_number",
            Self::ForgotPassword => "forgot_password",
        }
    }

    fn life_ms(self) -> i64 {
        match self {
            Self::ForgotPassword => HOUR_MS,
            Self::SignUp | Self::VerifyEmail | Self::VerifyPhoneNumber => 24 * HOUR_MS,
        }
    }
}

/// What became of a code that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeemed {
    /// It was right; it is used up.
    Right {
        /// Where it had been sent.
        medium: Medium,
        /// The address it had been sent to.
        value: String,
    },
    /// It was wrong, and the try is counted: the transaction must be committed.
    Wrong,
    /// There is none that could be right: none was sent, or it is old, or tried too often.
    Gone,
}

/// Draws a code: six digits, each value equally likely.
pub(crate) fn draw(engine: &Engine) -> String {
    rng::text(engine.rng(), rng::DIGITS, DIGITS)
}

/// Makes `code` the user's only code for the purpose; `value` is the address that it is sent to.
pub(crate) async fn put(
    tx: &mut Tx,
    engine: &Engine,
    user: &User,
    purpose: Purpose,
    medium: Medium,
    value: &str,
    code: &str,
) -> Result<()> {
    let sealed = engine
        .sealer()
        .seal(engine.rng(), &aad(user, purpose), code.as_bytes())?;
    let expires_ms = engine.now_ms().saturating_add(purpose.life_ms());
    store::put(
        tx,
        user,
        purpose.as_str(),
        &sealed,
        medium,
        value,
        expires_ms,
    )
    .await
}

/// Looks whether `given` is the user's code for the purpose. It compares in constant time, and takes the code away when
/// it is right.
pub(crate) async fn redeem(
    tx: &mut Tx,
    engine: &Engine,
    user: &User,
    purpose: Purpose,
    given: &str,
) -> Result<Redeemed> {
    let Some(code) = store::find(tx, user, purpose.as_str()).await? else {
        return Ok(Redeemed::Gone);
    };
    if code.expires_ms <= engine.now_ms() || code.attempts >= MAX_ATTEMPTS {
        return Ok(Redeemed::Gone);
    }
    let expected = engine.sealer().open(&aad(user, purpose), &code.sealed)?;
    if verify_slices_are_equal(&expected, given.as_bytes()).is_err() {
        store::count(tx, user, purpose.as_str()).await?;
        return Ok(Redeemed::Wrong);
    }
    discard(tx, user, purpose).await?;
    Ok(Redeemed::Right {
        medium: code.medium,
        value: code.value,
    })
}

/// Where the user's code for the purpose was sent, if there is one.
pub(crate) async fn destination(
    tx: &mut Tx,
    user: &User,
    purpose: Purpose,
) -> Result<Option<String>> {
    Ok(store::find(tx, user, purpose.as_str())
        .await?
        .map(|code| code.value))
}

/// Takes a code away unused.
pub(crate) async fn discard(tx: &mut Tx, user: &User, purpose: Purpose) -> Result<()> {
    store::delete(tx, user, purpose.as_str()).await
}

fn aad(user: &User, purpose: Purpose) -> String {
    place(
        "codes",
        "code",
        &[&user.pool_id, &user.sub, purpose.as_str()],
    )
}

const DIGITS: usize = 6;
/// A code dies with its fifth wrong try: five guesses in a million.
const MAX_ATTEMPTS: i64 = 5;
const HOUR_MS: i64 = 60 * 60 * 1000;
