//! `USER_PASSWORD_AUTH` and `ADMIN_USER_PASSWORD_AUTH`: the password itself is sent.

use zeroize::Zeroizing;

use super::attempt::Subject;
use super::renewal::Renewal;
use super::{Answer, Parameters, SignIn, conclude, required};
use crate::hasher::Comparison;
use crate::{Result, credential};

/// Signs in with a user name and a password.
pub(super) async fn sign_in(sign_in: SignIn<'_>, parameters: &Parameters) -> Result<Answer> {
    let username = required(parameters, "USERNAME")?.to_owned();
    let password = Zeroizing::new(required(parameters, "PASSWORD")?.to_owned());
    sign_in.check_secret_hash(&username, parameters)?;
    let step = sign_in
        .begin(move |sign_in| Box::pin(async move { tried(sign_in, &username, &password).await }));
    step.await
}

async fn tried(sign_in: SignIn<'_>, username: &str, password: &str) -> Result<Answer> {
    let subject = Subject::named(sign_in, username).await?;
    subject.refuse_locked(sign_in)?;
    let compared = compare(sign_in, &subject, password).await?;
    let renewal = match compared {
        Comparison::Outdated => Renewal::of(sign_in, &subject, password),
        Comparison::Right | Comparison::Wrong => None,
    };
    let answer = conclude::conclude(sign_in, subject, compared.is_right(), None).await?;
    // A temporary password goes with the challenge.
    if let (Answer::Tokens(_), Some(renewal)) = (&answer, renewal) {
        renewal.begin(sign_in);
    }
    Ok(answer)
}

async fn compare(sign_in: SignIn<'_>, subject: &Subject, password: &str) -> Result<Comparison> {
    // Nobody's password is longer: it is not right, and its length must not cost work.
    if password.len() > MAX_BYTES {
        return credential::compare(sign_in.engine, subject.owner(sign_in), None, "").await;
    }
    let hash = subject.password().map(|password| password.hash.as_str());
    credential::compare(sign_in.engine, subject.owner(sign_in), hash, password).await
}

/// 256 characters of at most 4 bytes.
const MAX_BYTES: usize = 1024;
