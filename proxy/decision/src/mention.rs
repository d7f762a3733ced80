//! Which inputs policies mention.

mod paths;

use cedar_policy::{
    Policy,
    pst::{
        BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
        ResourceConstraint, Template, Var,
    },
};

pub(crate) use paths::Paths;

/// The inputs that the results of some policies can depend on.
///
/// INVARIANT: never fewer than they do depend on. Where an expression has a form that is not followed here, everything is
/// taken to be mentioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mentions {
    pub(crate) caller: CallerMentions,
    /// The context.
    pub(crate) context: Paths,
    /// Which resource it is.
    pub(crate) resource: bool,
    /// What the resource is in.
    pub(crate) resource_parents: bool,
    /// The resource's attributes, which it has where it is the caller.
    resource_attributes: Paths,
}

/// The part of [`Mentions`] that depends on who asks, besides `context.token`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct CallerMentions {
    /// Which principal it is.
    pub(crate) principal: bool,
    /// The principal's groups.
    pub(crate) groups: bool,
    /// The principal's attributes.
    pub(crate) attributes: Paths,
}

impl Mentions {
    /// What policies mention for callers of one principal type.
    pub(crate) fn of<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        principal_type: &str,
    ) -> Self {
        let mut walk = Walk {
            principal_type,
            mentions: Self::default(),
        };
        for policy in policies {
            match policy.to_pst() {
                Ok(policy) => walk.policy(policy.body()),
                Err(_) => walk.everything(),
            }
        }
        walk.mentions
    }

    /// These, where resources are in the application and the caller can be one or in one: with it the caller is in the
    /// application, so what policies ask about the caller's groups depends on which resource it is, and on what that is in.
    pub(crate) fn with_resource_above_caller(mut self) -> Self {
        self.resource_parents |= self.caller.groups;
        self.resource |= self.resource_parents;
        self
    }

    /// These, where resources are of the principal's type: the resource can be the caller, one entity under two names. What
    /// policies ask of the one then depends on who the other is, on its groups and on its attributes.
    pub(crate) fn with_self_as_resource(mut self) -> Self {
        self.caller.principal |= self.resource;
        self.caller.groups |= self.resource;
        self.caller.attributes.extend(&self.resource_attributes);
        self
    }
}

struct Walk<'a> {
    principal_type: &'a str,
    mentions: Mentions,
}

impl Walk<'_> {
    fn policy(&mut self, policy: &Template) {
        match &policy.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => {}
            PrincipalConstraint::Eq(_) => self.mentions.caller.principal = true,
            PrincipalConstraint::In(group) | PrincipalConstraint::IsIn(_, group) => match group {
                EntityOrSlot::Entity(group) => self.principal_in(&[group]),
                EntityOrSlot::Slot(_) => self.var(&Var::Principal),
            },
        }
        match &policy.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => {}
            ResourceConstraint::Eq(_) => self.mentions.resource = true,
            ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => self.resource_within(),
        }
        for clause in policy.clauses() {
            let (Clause::When(condition) | Clause::Unless(condition)) = clause;
            self.expr(condition);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if let Some((var, path)) = chain(expr) {
            return self.path(&var, path, true);
        }
        match expr {
            Expr::Literal(_) => {}
            Expr::HasAttr { expr, attrs } => match chain(expr) {
                Some((var, mut path)) => {
                    path.extend(attrs.iter().map(ToString::to_string));
                    self.path(&var, path, false);
                }
                None => self.dereference(expr),
            },
            Expr::GetAttr { expr, .. } => self.dereference(expr),
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.expr(expr),
            Expr::Is { expr, in_expr, .. } => self.is(expr, in_expr.as_deref()),
            Expr::BinaryOp {
                op: BinaryOp::Eq | BinaryOp::NotEq,
                left,
                right,
            } => {
                self.compared(left);
                self.compared(right);
            }
            Expr::BinaryOp {
                op: BinaryOp::In,
                left,
                right,
            } => self.within(left, right),
            Expr::BinaryOp { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                for part in [cond, then_expr, else_expr] {
                    self.expr(part);
                }
            }
            Expr::Set(items) => items.iter().for_each(|item| self.expr(item)),
            Expr::Record(members) => members.values().for_each(|member| self.expr(member)),
            _ => self.everything(),
        }
    }

    /// An entity that is only compared counts by which one it is.
    fn compared(&mut self, side: &Expr) {
        match side {
            Expr::Var(Var::Principal) => self.mentions.caller.principal = true,
            Expr::Var(Var::Resource) => self.mentions.resource = true,
            other => self.expr(other),
        }
    }

    /// The types of variables are fixed for a route; those of other entities are part of their ids.
    fn is(&mut self, expr: &Expr, parent: Option<&Expr>) {
        match (expr, parent) {
            (_, Some(parent)) => self.within(expr, parent),
            (Expr::Var(_), None) => {}
            (other, None) => self.expr(other),
        }
    }

    fn within(&mut self, left: &Expr, right: &Expr) {
        match (left, literals(right)) {
            (Expr::Var(Var::Principal), Some(parents)) => return self.principal_in(&parents),
            (Expr::Var(Var::Principal), None) => {
                self.mentions.caller.principal = true;
                self.mentions.caller.groups = true;
            }
            (Expr::Var(Var::Resource), _) => self.resource_within(),
            (Expr::Var(Var::Action), _) => {}
            // It may be the principal or the resource under another name.
            (other, _) => {
                self.expr(other);
                self.var(&Var::Principal);
                self.resource_within();
            }
        }
        self.expr(right);
    }

    /// The principal is in itself too, so which one it is matters where a parent could be one.
    fn principal_in(&mut self, parents: &[&EntityUID]) {
        self.mentions.caller.groups = true;
        self.mentions.caller.principal |= parents
            .iter()
            .any(|parent| parent.ty.to_string() == self.principal_type);
    }

    fn resource_within(&mut self) {
        self.mentions.resource = true;
        self.mentions.resource_parents = true;
    }

    /// An attribute of something that is no variable: perhaps of the principal under another name.
    fn dereference(&mut self, expr: &Expr) {
        self.expr(expr);
        self.var(&Var::Principal);
    }

    fn everything(&mut self) {
        self.var(&Var::Principal);
        self.var(&Var::Context);
        self.resource_within();
    }

    /// A variable that is used as a whole.
    fn var(&mut self, var: &Var) {
        self.path(var, Vec::new(), true);
    }

    fn path(&mut self, var: &Var, path: Vec<String>, whole: bool) {
        match var {
            Var::Principal => {
                let caller = &mut self.mentions.caller;
                caller.principal |= path.is_empty();
                caller.groups |= path.is_empty();
                caller.attributes.insert(path, whole);
            }
            Var::Context => self.mentions.context.insert(path, whole),
            // Only a resource that is the caller has attributes, so which one it is counts for each.
            Var::Resource => {
                self.mentions.resource = true;
                self.mentions.resource_attributes.insert(path, whole);
            }
            Var::Action => {}
        }
    }
}

/// A variable and the attributes that are taken from it, one after the other.
fn chain(expr: &Expr) -> Option<(Var, Vec<String>)> {
    match expr {
        Expr::Var(var) => Some((var.clone(), Vec::new())),
        Expr::GetAttr { expr, attr } => {
            let (var, mut path) = chain(expr)?;
            path.push(attr.to_string());
            Some((var, path))
        }
        _ => None,
    }
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

#[cfg(test)]
mod tests;
