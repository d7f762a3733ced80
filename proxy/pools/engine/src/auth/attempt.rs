//! Whose password is tried.

use super::SignIn;
use super::absent::Absent;
use super::lockout::{self, Failures};
use super::state::{self, Basis, State, Wanted};
use crate::credential::Owner;
use crate::revocation::Floor;
use crate::user::{self, Password, Status, User};
use crate::{Error, Result};

/// A user, or a name nobody has, with the failures so far.
pub(super) struct Subject {
    /// The user, if there is one.
    pub(super) user: Option<User>,
    /// What a user who does not exist is shown.
    pub(super) absent: Absent,
    /// What tokens of the sign-in rest on.
    pub(super) basis: Basis,
    /// Of when the store was asked for that.
    pub(super) floor: Floor,
    failures: Failures,
}

impl Subject {
    /// The subject that a caller names. Nobody of that name is an error only where the client says so openly.
    pub(super) async fn named(sign_in: SignIn<'_>, given: &str) -> Result<Self> {
        if given.len() > MAX_NAME_BYTES {
            // It comes back in the challenge, so it must not be of any length.
            let limit = "have length less than or equal to 128";
            return Err(Error::beyond_limit("username", limit));
        }
        let absent = Absent::of(sign_in, given).await?;
        // A name that nobody can have is looked for like any other: the answer takes the same time.
        let wanted = user::query(sign_in.pool, given)
            .unwrap_or_else(|| user::query_sub(sign_in.pool.id(), ""));
        Self::load(sign_in, wanted, absent).await
    }

    /// The subject of a challenge, found again by its `sub`; `given` is the name the sign-in began with.
    pub(super) async fn again(sign_in: SignIn<'_>, sub: &str, given: &str) -> Result<Self> {
        let absent = Absent::of(sign_in, given).await?;
        Self::load(sign_in, user::query_sub(sign_in.pool.id(), sub), absent).await
    }

    /// One statement, whether there is such a user or not.
    async fn load(sign_in: SignIn<'_>, wanted: Wanted, absent: Absent) -> Result<Self> {
        let (sql, args) = state::statement(wanted, &absent.sub, sign_in.client.id());
        let floor = Floor::now(sign_in.engine);
        let rows = sign_in.engine.db().rows(sql, args).await?;
        let state = State::read(&rows, sign_in.pool.id())?;
        Self {
            user: state.user,
            absent,
            basis: state.basis,
            floor,
            failures: state.failures,
        }
        .shown(sign_in)
    }

    /// Under what failures are counted, and what seals are bound to.
    pub(super) fn sub(&self) -> &str {
        self.user
            .as_ref()
            .map_or(&self.absent.sub, |user| &user.sub)
    }

    /// The password, if there is one.
    pub(super) fn password(&self) -> Option<&Password> {
        self.user.as_ref().and_then(|user| user.password.as_ref())
    }

    /// Whose password it is.
    pub(super) fn owner<'a>(&'a self, sign_in: SignIn<'a>) -> Owner<'a> {
        let username = self.user.as_ref().map_or(self.sub(), |user| &user.username);
        Owner {
            pool_id: sign_in.pool.id(),
            sub: self.sub(),
            username,
        }
    }

    /// Refuses the attempt while a wait is on.
    pub(super) fn refuse_locked(&self, sign_in: SignIn<'_>) -> Result<()> {
        lockout::refuse_locked(&self.failures, sign_in.engine.now_ms())
    }

    /// What whoever gave the wrong password is told.
    pub(super) fn refusal(&self, sign_in: SignIn<'_>) -> Error {
        let reset = self
            .user
            .as_ref()
            .is_some_and(|user| user.status == Status::ResetRequired);
        // A user who was imported or reset has no password that could be right, and must learn what to do.
        if reset && !sign_in.client.hides_absent_users() {
            Error::password_reset_required()
        } else {
            Error::incorrect_credentials()
        }
    }

    fn shown(self, sign_in: SignIn<'_>) -> Result<Self> {
        if self.user.is_none() && !sign_in.client.hides_absent_users() {
            return Err(Error::user_not_found());
        }
        Ok(self)
    }
}

/// The longest name or address that somebody could have: 128 characters of at most 4 bytes, or an address of 254.
const MAX_NAME_BYTES: usize = 512;
