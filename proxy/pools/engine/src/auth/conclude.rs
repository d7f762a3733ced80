//! The end of every sign-in with a password: the attempt is settled and answered by tokens, a challenge or a refusal.

use store::Tx;

use super::attempt::Subject;
use super::challenge::{self, Problem, Waiting};
use super::lockout::{self, Settled};
use super::refresh::{self, Family};
use super::state::{self, Basis, State};
use super::{Answer, SignIn, Tokens, new_password};
use crate::pool::Mfa;
use crate::revocation::Floor;
use crate::user::{self, Password, Status, User};
use crate::{Error, Result};

/// Settles an attempt whose password was compared, and answers. `waiting` is the challenge that it answers, if any.
pub(super) async fn conclude(
    sign_in: SignIn<'_>,
    subject: Subject,
    right: bool,
    waiting: Option<&Waiting>,
) -> Result<Answer> {
    let now_ms = sign_in.engine.now_ms();
    let next = subject
        .user
        .as_ref()
        .filter(|_| right)
        .map(|user| next(sign_in, user, now_ms))
        .transpose();
    let family = match (&next, &subject.user) {
        (Ok(Some(Next::Tokens)), Some(user)) => Some(Family::begin(sign_in, user, now_ms)),
        _ => None,
    };
    let mut plan = Plan::of(sign_in, &subject, right, now_ms);
    plan.waiting = waiting.map(|waiting| (waiting.id.clone(), waiting.expires_ms));
    plan.row = family.as_ref().map(|family| family.row.clone());
    let floor = Floor::now(sign_in.engine);
    let written = sign_in
        .engine
        .db()
        .write_with(plan, |tx, plan| Box::pin(settle(tx, plan)));
    let ahead = sign_ahead(sign_in, family.as_ref(), &subject);
    let (verdict, ahead) = tokio::join!(written, ahead);
    let basis = match verdict? {
        Verdict::Used => return Err(Problem::Used.into()),
        Verdict::Locked => return Err(lockout::attempts_exceeded()),
        Verdict::Wrong => return Err(subject.refusal(sign_in)),
        Verdict::Changed => return Err(Error::incorrect_credentials()),
        Verdict::Right(basis) => basis,
    };
    match (next?, &subject.user, family) {
        (Some(Next::Tokens), Some(user), Some(family)) => match ahead {
            Some(tokens) if subject.basis == basis => Ok(Answer::Tokens(tokens)),
            // The groups changed while the password was hashed, or the tokens were revoked.
            _ => family
                .issue(
                    sign_in,
                    user,
                    &basis.groups,
                    floor.known_ms(basis.latest_ms),
                )
                .await
                .map(Answer::Tokens),
        },
        (Some(Next::NewPassword), Some(user), _) => {
            new_password::challenge(sign_in, user).map(Answer::Challenge)
        }
        _ => Err(Error::incorrect_credentials()),
    }
}

/// Signs while the transaction runs, for what was read before the password was hashed. INVARIANT: the tokens are handed out
/// after the commit only, and only if the transaction found the same.
pub(super) async fn sign_ahead(
    sign_in: SignIn<'_>,
    family: Option<&Family>,
    subject: &Subject,
) -> Option<Tokens> {
    let user = subject.user.as_ref()?;
    let Basis { groups, latest_ms } = &subject.basis;
    // An error comes again when they are signed after the commit.
    let known_ms = subject.floor.known_ms(*latest_ms);
    let signed = family?.issue(sign_in, user, groups, known_ms);
    signed.await.ok()
}

/// Refuses users who may not sign in although they gave the right password, and says what others do next.
pub(super) fn next(sign_in: SignIn<'_>, user: &User, now_ms: i64) -> Result<Next> {
    if !user.enabled {
        return Err(Error::user_disabled());
    }
    // A pool that asks everybody for a second factor gives nobody tokens for the first alone.
    if sign_in.pool.mfa() == Mfa::On {
        return Err(Error::not_built("multi-factor authentication"));
    }
    match user.status {
        Status::Confirmed => Ok(Next::Tokens),
        Status::Unconfirmed => Err(Error::user_not_confirmed()),
        Status::ResetRequired => Err(Error::password_reset_required()),
        Status::ForceChangePassword => {
            let expires_ms = user
                .password
                .as_ref()
                .and_then(|password| password.expires_ms);
            if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
                return Err(Error::not_authorized(
                    "Temporary password has expired and must be reset by an administrator.",
                ));
            }
            Ok(Next::NewPassword)
        }
    }
}

/// What a user with the right password does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Tokens,
    NewPassword,
}

/// What the transaction needs to know.
struct Plan {
    pool_id: String,
    subject: String,
    client_id: String,
    right: bool,
    now_ms: i64,
    waiting: Option<(String, i64)>,
    seen: Option<Seen>,
    row: Option<refresh::Row>,
}

impl Plan {
    fn of(sign_in: SignIn<'_>, subject: &Subject, right: bool, now_ms: i64) -> Self {
        Self {
            pool_id: sign_in.pool.id().to_owned(),
            subject: subject.sub().to_owned(),
            client_id: sign_in.client.id().to_owned(),
            right,
            now_ms,
            waiting: None,
            seen: subject.user.as_ref().filter(|_| right).map(Seen::of),
            row: None,
        }
    }
}

/// What the decision was made on.
#[derive(PartialEq, Eq)]
struct Seen {
    enabled: bool,
    status: Status,
    password: Option<String>,
}

impl Seen {
    fn of(user: &User) -> Self {
        let mark = |password: &Password| password.mark().to_owned();
        Self {
            enabled: user.enabled,
            status: user.status,
            password: user.password.as_ref().map(mark),
        }
    }
}

enum Verdict {
    Used,
    Locked,
    Wrong,
    Changed,
    Right(Basis),
}

async fn settle(tx: &mut Tx, plan: &Plan) -> Result<Verdict> {
    if let Some((id, expires_ms)) = &plan.waiting
        && !challenge::take(tx, id, *expires_ms).await?
    {
        return Ok(Verdict::Used);
    }
    let state = read(tx, plan).await?;
    let settled = lockout::settle(
        tx,
        &plan.pool_id,
        &plan.subject,
        state.failures,
        plan.right,
        plan.now_ms,
    );
    match settled.await? {
        Settled::Locked => return Ok(Verdict::Locked),
        Settled::Wrong => return Ok(Verdict::Wrong),
        Settled::Right => {}
    }
    // Hashing took its time: a user who was disabled or got another password meanwhile is not signed in with the old.
    if plan.seen != state.user.as_ref().map(Seen::of) {
        return Ok(Verdict::Changed);
    }
    if let Some(row) = &plan.row {
        refresh::insert(tx, row).await?;
    }
    Ok(Verdict::Right(state.basis))
}

async fn read(tx: &mut Tx, plan: &Plan) -> Result<State> {
    let wanted = user::query_sub(&plan.pool_id, &plan.subject);
    let (sql, args) = state::statement(wanted, &plan.subject, &plan.client_id);
    State::read(&tx.rows(sql, args).await?, &plan.pool_id)
}
