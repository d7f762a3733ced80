//! The permit.

use crate::{Caller, Decided};

/// The right to forward one request.
///
/// INVARIANT: only this crate makes one, and it owns the head that was decided on; who builds the upstream request from
/// [`Permit::head`] alone cannot forward what nobody decided.
#[derive(Debug)]
pub struct Permit<H> {
    head: H,
    basis: Basis,
}

/// What a permit rests on.
#[derive(Debug, Clone)]
pub enum Basis {
    /// The route asks nothing (`authorize: none`).
    Unguarded,
    /// The caller proved who it is, and the route asks no more (`authorize: authenticated`).
    Authenticated,
    /// Policies permit.
    Policies(Box<Decided>),
}

impl<H> Permit<H> {
    /// For routes with `authorize: none`.
    pub fn unguarded(head: H) -> Self {
        Self {
            head,
            basis: Basis::Unguarded,
        }
    }

    /// For routes with `authorize: authenticated`; a [`Caller`] exists only for a verified token.
    pub fn authenticated(_: &impl Caller, head: H) -> Self {
        Self {
            head,
            basis: Basis::Authenticated,
        }
    }

    pub(crate) fn decided(decided: Decided, head: H) -> Self {
        Self {
            head,
            basis: Basis::Policies(Box::new(decided)),
        }
    }

    /// The request this permit is for.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// What it rests on.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Takes it apart, once the request is forwarded.
    pub fn into_parts(self) -> (H, Basis) {
        (self.head, self.basis)
    }
}

/// A request that may not be forwarded.
#[derive(Debug)]
pub struct Denied<H> {
    /// The request.
    pub head: H,
    /// Why, for the record and for the refusal.
    pub decided: Box<Decided>,
}
