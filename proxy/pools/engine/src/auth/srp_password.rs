//! `USER_SRP_AUTH` and its challenge `PASSWORD_VERIFIER`: the password is proved, not sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::attempt::Subject;
use super::challenge::{Problem, Waiting};
use super::{Answer, Challenge, ChallengeKind, Parameters, SignIn, conclude, required};
use crate::credential;
use crate::srp::{Claim, ClientPublic, Exchange, Salt, Verifier, timestamp_ms};
use crate::{Error, Result, rng};

/// Answers the client's A with the salt, B, and the sealed state of the exchange.
pub(super) async fn challenge(sign_in: SignIn<'_>, parameters: &Parameters) -> Result<Answer> {
    let given = required(parameters, "USERNAME")?.to_owned();
    let client = required(parameters, "SRP_A")?;
    sign_in.check_secret_hash(&given, parameters)?;
    let client =
        ClientPublic::from_hex(client).ok_or_else(|| Error::invalid_parameter("Invalid SRP_A"))?;
    let step = sign_in.begin(move |sign_in| Box::pin(begin(sign_in, given, client)));
    step.await
}

async fn begin(sign_in: SignIn<'_>, given: String, client: ClientPublic) -> Result<Answer> {
    let subject = Subject::named(sign_in, &given).await?;
    let (salt, verifier) = verifier(sign_in, &subject).await?;
    let user_id = user_id(sign_in, &subject, &given);
    let secret = Zeroizing::new(rng::bytes(sign_in.engine.rng()));
    // Exponentiation takes milliseconds, and anybody may ask for it: bounded, and not where other calls are served.
    let hasher = sign_in.engine.hasher();
    let work = move || Exchange::begin(&client, &verifier, &secret);
    let begun = hasher.off_thread(work).await?;
    let (exchange, server_public) = begun.ok_or(Error::Crypto("beginning an SRP exchange"))?;

    let detail = STANDARD.encode(exchange.to_bytes());
    let waiting = Waiting::new(
        sign_in,
        subject.sub().to_owned(),
        user_id.clone(),
        &given,
        detail,
    );
    let block = waiting.seal(sign_in, ChallengeKind::PasswordVerifier)?;
    let parameters = [
        ("USERNAME", user_id.clone()),
        ("USER_ID_FOR_SRP", user_id),
        ("SALT", salt.hex()),
        ("SRP_B", server_public),
        ("SECRET_BLOCK", STANDARD.encode(block)),
    ];
    let parameters = parameters
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    Ok(Answer::Challenge(Challenge {
        kind: ChallengeKind::PasswordVerifier,
        parameters,
        session: None,
    }))
}

/// Verifies the client's proof.
pub(super) async fn verify(sign_in: SignIn<'_>, responses: &Parameters) -> Result<Answer> {
    let given = required(responses, "USERNAME")?;
    let block = required(responses, "PASSWORD_CLAIM_SECRET_BLOCK")?;
    let signature = required(responses, "PASSWORD_CLAIM_SIGNATURE")?;
    let timestamp = required(responses, "TIMESTAMP")?;
    sign_in.check_secret_hash(given, responses)?;

    let block = STANDARD.decode(block).map_err(|_| Problem::Invalid)?;
    let sealed = std::str::from_utf8(&block).map_err(|_| Problem::Invalid)?;
    let waiting = Waiting::open(sign_in, ChallengeKind::PasswordVerifier, sealed)?;
    waiting.check_user(given)?;
    check_timestamp(sign_in, timestamp)?;
    let proof = Proof {
        waiting,
        signature: STANDARD.decode(signature).unwrap_or_default(),
        timestamp: timestamp.to_owned(),
        block,
    };
    let step = sign_in.begin(move |sign_in| Box::pin(async move { proved(sign_in, &proof).await }));
    step.await
}

/// What a client answers the challenge with.
struct Proof {
    waiting: Waiting,
    block: Vec<u8>,
    signature: Vec<u8>,
    timestamp: String,
}

async fn proved(sign_in: SignIn<'_>, proof: &Proof) -> Result<Answer> {
    let waiting = &proof.waiting;
    let subject = Subject::again(sign_in, &waiting.sub, &waiting.given).await?;
    subject.refuse_locked(sign_in)?;
    let (_, verifier) = verifier(sign_in, &subject).await?;
    let exchange = STANDARD
        .decode(&waiting.detail)
        .map(Zeroizing::new)
        .map_err(|_| Problem::Invalid)?;
    let exchange = Exchange::from_bytes(&exchange).ok_or(Problem::Invalid)?;
    let hasher = sign_in.engine.hasher();
    let key = hasher.off_thread(move || exchange.key(&verifier)).await?;
    let claim = Claim {
        pool_name: sign_in.pool.srp_name(),
        user_id: &waiting.user_id,
        block: &proof.block,
        timestamp: &proof.timestamp,
    };
    // Nobody knows the password of a stand-in; the check says so even if somebody did.
    let right = key.verifies(&claim, &proof.signature) && subject.password().is_some();
    conclude::conclude(sign_in, subject, right, Some(waiting)).await
}

/// The stored salt and verifier, or those of a stand-in.
async fn verifier(sign_in: SignIn<'_>, subject: &Subject) -> Result<(Salt, Verifier)> {
    let Some(password) = subject.password() else {
        return Ok((
            subject.absent.salt(sign_in).await?,
            subject.absent.verifier(sign_in).await?,
        ));
    };
    let salt = Salt::from_hex(&password.srp_salt).ok_or(Error::Corrupt {
        what: "SRP salt",
        source: None,
    })?;
    Ok((
        salt,
        credential::open_verifier(
            sign_in.engine,
            subject.owner(sign_in),
            &password.srp_verifier,
        )?,
    ))
}

fn user_id(sign_in: SignIn<'_>, subject: &Subject, given: &str) -> String {
    match &subject.user {
        Some(user) => user.username.clone(),
        None => subject.absent.user_id(sign_in, given),
    }
}

/// The client's clock is signed along; a proof that was made long ago, or with a wrong clock, is refused as by AWS.
fn check_timestamp(sign_in: SignIn<'_>, timestamp: &str) -> Result<()> {
    let says = timestamp_ms(timestamp).ok_or_else(|| {
        Error::invalid_parameter("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.")
    })?;
    let off = says.abs_diff(sign_in.engine.now_ms());
    if off <= MAX_CLOCK_SKEW_MS {
        Ok(())
    } else {
        Err(Problem::Expired.into())
    }
}

/// As much as AWS's request signatures allow.
const MAX_CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;
