//! What a policy's scope and conditions can come to, where the callers and the route are known and the request is not.

use cedar_policy::{
    Policy,
    pst::{
        BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
        ResourceConstraint, Template, UnaryOp, Var,
    },
};

use super::Callers;
use crate::{
    inputs::{CERTIFICATE, TOKEN},
    resource::{Part, Resource},
};

/// What an expression can come to, other than failing to evaluate.
///
/// INVARIANT: never less than it can. What is not followed here can do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Can {
    /// Be true.
    pub(super) hold: bool,
    /// Be false, or fail.
    pub(super) fail: bool,
}

/// What is known before a request comes.
pub(super) struct World<'w> {
    pub(super) callers: &'w Callers<'w>,
    /// Types of callers, of their groups, and of the application.
    pub(super) principal: String,
    pub(super) group: Option<String>,
    pub(super) application: String,
    /// Whether the action has `context.token` in the schema.
    pub(super) has_token: bool,
    /// Whether policies read of certificates what the action has in the schema.
    pub(super) reads_certificate: bool,
    pub(super) resource: &'w Resource,
    /// What every resource is in, as policies write it.
    pub(super) parent: Option<String>,
}

impl Can {
    const BOTH: Self = Self {
        hold: true,
        fail: true,
    };
    const HOLD: Self = Self {
        hold: true,
        fail: false,
    };
    const FAIL: Self = Self {
        hold: false,
        fail: true,
    };

    /// It may be or not, unless it cannot be.
    fn if_possible(possible: bool) -> Self {
        if possible { Self::BOTH } else { Self::FAIL }
    }

    fn certain(holds: bool) -> Self {
        if holds { Self::HOLD } else { Self::FAIL }
    }

    fn and(self, other: Self) -> Self {
        Self {
            hold: self.hold && other.hold,
            fail: self.fail || other.fail,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            hold: self.hold || other.hold,
            fail: self.fail && other.fail,
        }
    }
}

impl World<'_> {
    /// Whether a policy can be satisfied and not, and what it asks for in vain.
    pub(super) fn policy(&self, policy: &Policy) -> (Can, Option<String>) {
        let Ok(policy) = policy.to_pst() else {
            return (Can::BOTH, None);
        };
        let policy = policy.body();
        let parts = [self.principal_scope(policy), self.resource_scope(policy)];
        let clauses = policy.clauses().iter().map(|clause| self.clause(clause));
        let parts: Vec<_> = parts.into_iter().chain(clauses).collect();
        let all = parts.iter().fold(Can::HOLD, |all, (can, _)| all.and(*can));
        let vain = parts.into_iter().find(|(can, _)| !can.hold);
        (all, vain.and_then(|(_, asks)| asks))
    }

    fn principal_scope(&self, policy: &Template) -> (Can, Option<String>) {
        let (is, entity) = match &policy.principal {
            PrincipalConstraint::Any => return (Can::HOLD, None),
            PrincipalConstraint::Is(ty) => (Some(ty), None),
            PrincipalConstraint::Eq(EntityOrSlot::Entity(entity)) => {
                return (
                    self.principal_is(entity),
                    Some(self.asked("principal ==", entity)),
                );
            }
            PrincipalConstraint::In(EntityOrSlot::Entity(entity)) => (None, Some(entity)),
            PrincipalConstraint::IsIn(ty, EntityOrSlot::Entity(entity)) => (Some(ty), Some(entity)),
            _ => return (Can::BOTH, None),
        };
        let ty = is.map_or(Can::HOLD, |ty| {
            Can::certain(ty.to_string() == self.principal)
        });
        match entity {
            None => (ty, None),
            Some(entity) => {
                let can = ty.and(self.principal_in(entity));
                (can, Some(self.asked("principal in", entity)))
            }
        }
    }

    fn resource_scope(&self, policy: &Template) -> (Can, Option<String>) {
        let (is, entity) = match &policy.resource {
            ResourceConstraint::Any => return (Can::HOLD, None),
            ResourceConstraint::Is(ty) => (Some(ty), None),
            ResourceConstraint::Eq(EntityOrSlot::Entity(entity)) => {
                let asks = format!(
                    "`resource == {entity}`, and the route's resource is {}",
                    self.resource_text()
                );
                return (self.resource_is(entity), Some(asks));
            }
            ResourceConstraint::In(EntityOrSlot::Entity(entity)) => (None, Some(entity)),
            ResourceConstraint::IsIn(ty, EntityOrSlot::Entity(entity)) => (Some(ty), Some(entity)),
            _ => return (Can::BOTH, None),
        };
        let ty = is.map_or(Can::HOLD, |ty| {
            Can::certain(ty.to_string() == self.resource.ty().to_string())
        });
        match entity {
            None => (ty, None),
            Some(entity) => {
                let asks = format!("`resource in {entity}`, which the route's resource is not");
                (ty.and(self.resource_in(entity)), Some(asks))
            }
        }
    }

    fn clause(&self, clause: &Clause) -> (Can, Option<String>) {
        match clause {
            Clause::When(condition) => {
                let can = self.expr(condition);
                (can, Some(format!("`when {{ {condition} }}`{}", self.why())))
            }
            Clause::Unless(condition) => {
                let can = self.not(condition);
                (
                    can,
                    Some(format!("`unless {{ {condition} }}`{}", self.why())),
                )
            }
        }
    }

    fn expr(&self, expr: &Expr) -> Can {
        match expr {
            Expr::Literal(Literal::Bool(holds)) => Can::certain(*holds),
            Expr::UnaryOp {
                op: UnaryOp::Not,
                expr,
            } => self.not(expr),
            Expr::BinaryOp { op, left, right } => self.binary(*op, left, right),
            Expr::HasAttr { expr, attrs } => match &**expr {
                Expr::Var(Var::Principal) => Can::if_possible(self.callers.by_id_token),
                Expr::Var(Var::Context) if attrs.first().as_str() == TOKEN => {
                    self.token(attrs.len() == 1)
                }
                Expr::Var(Var::Context) if attrs.first().as_str() == CERTIFICATE => {
                    Can::if_possible(self.reads_certificate && self.callers.by_certificate)
                }
                _ => Can::BOTH,
            },
            Expr::Is {
                expr,
                entity_type,
                in_expr,
            } => {
                let ty = match &**expr {
                    Expr::Var(Var::Principal) => self.principal.clone(),
                    Expr::Var(Var::Resource) => self.resource.ty().to_string(),
                    _ => return Can::BOTH,
                };
                let within = in_expr.as_ref().map(|parent| self.within(expr, parent));
                Can::certain(ty == entity_type.to_string()).and(within.unwrap_or(Can::HOLD))
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                let then = self.expr(cond).and(self.expr(then_expr));
                then.or(self.not(cond).and(self.expr(else_expr)))
            }
            _ => Can::BOTH,
        }
    }

    /// Whether `context.token` is there, and something in it if that is asked.
    fn token(&self, alone: bool) -> Can {
        match (self.has_token && !self.callers.by_id_token, alone) {
            (false, _) => Can::FAIL,
            (true, true) => Can::HOLD,
            (true, false) => Can::BOTH,
        }
    }

    /// A negation fails where the expression fails to evaluate, and every expression may that is not certain.
    fn not(&self, expr: &Expr) -> Can {
        let can = self.expr(expr);
        Can {
            hold: can.fail,
            fail: can.hold || can.fail && !is_total(expr),
        }
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Can {
        match op {
            BinaryOp::And => self.expr(left).and(self.expr(right)),
            BinaryOp::Or => self.or(left, right),
            BinaryOp::In => self.within(left, right),
            BinaryOp::Eq => match (left, right) {
                (Expr::Var(var), other) | (other, Expr::Var(var)) => match (var, literals(other)) {
                    (Var::Principal, Some(entities)) => self.any(&entities, Self::principal_is),
                    (Var::Resource, Some(entities)) => self.any(&entities, Self::resource_is),
                    _ => Can::BOTH,
                },
                _ => Can::BOTH,
            },
            _ => Can::BOTH,
        }
    }

    /// Where the left side fails to evaluate, the whole does.
    fn or(&self, left: &Expr, right: &Expr) -> Can {
        let (one, other) = (self.expr(left), self.expr(right));
        let either = one.or(other);
        Can {
            fail: either.fail || one.fail && !is_total(left),
            ..either
        }
    }

    fn within(&self, left: &Expr, right: &Expr) -> Can {
        match (left, literals(right)) {
            (Expr::Var(Var::Principal), Some(entities)) => self.any(&entities, Self::principal_in),
            (Expr::Var(Var::Resource), Some(entities)) => self.any(&entities, Self::resource_in),
            _ => Can::BOTH,
        }
    }

    fn any(&self, entities: &[&EntityUID], can: impl Fn(&Self, &EntityUID) -> Can) -> Can {
        let each = entities.iter().map(|entity| can(self, entity));
        each.fold(Can::FAIL, Can::or)
    }

    fn principal_is(&self, entity: &EntityUID) -> Can {
        Can::if_possible(entity.ty.to_string() == self.principal && self.names(entity))
    }

    /// Callers are in their groups, and those that a route's resource is or is in may be in the application.
    fn principal_in(&self, entity: &EntityUID) -> Can {
        let ty = entity.ty.to_string();
        let is_named = ty == self.principal || self.group.as_ref() == Some(&ty);
        let is_application = self.application == ty;
        Can::if_possible(is_application || is_named && self.names(entity))
    }

    fn resource_is(&self, entity: &EntityUID) -> Can {
        if entity.ty.to_string() != self.resource.ty().to_string() {
            return Can::FAIL;
        }
        match self.resource {
            Resource::Fixed(named) => {
                Can::certain(named.uid.id().unescaped() == entity.eid.as_str())
            }
            Resource::Template { parts, .. } => Can::if_possible(may_make(parts, &entity.eid)),
        }
    }

    fn resource_in(&self, entity: &EntityUID) -> Can {
        let ty = self.resource.ty().to_string();
        // It may be the caller or a group, which can be in more than is known here.
        if ty == self.principal || self.group.as_ref() == Some(&ty) {
            return Can::BOTH;
        }
        let is_parent = self.parent.as_ref() == Some(&entity.to_string());
        self.resource_is(entity).or(Can::certain(is_parent))
    }

    /// Whether a caller or a group of theirs can have this entity's id.
    fn names(&self, entity: &EntityUID) -> bool {
        self.callers.prefix.is_none_or(|prefix| {
            let rest = entity.eid.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('|'))
        })
    }

    fn asked(&self, what: &str, entity: &EntityUID) -> String {
        format!("`{what} {entity}`{}", self.why())
    }

    fn why(&self) -> String {
        let kind = if self.callers.by_id_token {
            "ID"
        } else {
            "access"
        };
        let names = self
            .callers
            .prefix
            .map(|prefix| format!(" and names as `{prefix}|…`"));
        let shown = if self.reads_certificate && !self.callers.by_certificate {
            ", and no certificates, for which no listener asks"
        } else {
            ""
        };
        format!(
            ", and callers have {kind} tokens{}{shown}",
            names.unwrap_or_default()
        )
    }

    fn resource_text(&self) -> String {
        match self.resource {
            Resource::Fixed(named) => format!("`{}`", named.text),
            Resource::Template { ty, .. } => format!("another one of type `{ty}`"),
        }
    }
}

/// Whether an expression is known to evaluate whatever the request is.
fn is_total(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Var(_) => true,
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => is_total(expr),
        Expr::BinaryOp {
            op: BinaryOp::And | BinaryOp::Or | BinaryOp::Eq | BinaryOp::NotEq,
            left,
            right,
        } => is_total(left) && is_total(right),
        Expr::BinaryOp {
            op: BinaryOp::In,
            left,
            right,
        } => is_total(left) && literals(right).is_some(),
        Expr::HasAttr { expr, .. } => matches!(&**expr, Expr::Var(_)),
        Expr::Is { expr, in_expr, .. } => {
            let parent = in_expr.as_deref();
            is_total(expr) && parent.is_none_or(|parent| literals(parent).is_some())
        }
        _ => false,
    }
}

/// Whether some parameters make this id of a template.
fn may_make(parts: &[Part], id: &str) -> bool {
    let fits_start = match parts.first() {
        Some(Part::Text(text)) => id.starts_with(text.as_str()),
        _ => true,
    };
    let fits_end = match parts.last() {
        Some(Part::Text(text)) => id.ends_with(text.as_str()),
        _ => true,
    };
    fits_start && fits_end
}

/// The entities, where an expression is one or a set of them.
fn literals(expr: &Expr) -> Option<Vec<&EntityUID>> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid]),
        Expr::Set(items) => {
            let items = items.iter().map(|item| match &**item {
                Expr::Literal(Literal::EntityUID(uid)) => Some(uid),
                _ => None,
            });
            items.collect()
        }
        _ => None,
    }
}
