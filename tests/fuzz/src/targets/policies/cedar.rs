//! Cedar's own authoriser, given every policy, every entity and the whole context.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, EntityUid,
    PolicyId, PolicySet, Request, RestrictedExpression as Expression, Schema,
};
use decision::{Certificate, CertificateField, Code, Decided};

use super::{
    SCHEMA,
    cases::{Asked, NOW, Who},
};

/// A set that loaded.
pub(super) struct Whole {
    policies: PolicySet,
    actions: Vec<Entity>,
}

impl Whole {
    pub(super) fn read(files: &[(String, &str)]) -> Self {
        let mut policies = PolicySet::new();
        let is_cedar = |name: &str| Path::new(name).extension().is_some_and(|it| it == "cedar");
        let files = files.iter().filter(|(name, _)| is_cedar(name));
        for (_, text) in files {
            let set: PolicySet = text.parse().expect("what loaded can be read");
            for policy in set.policies() {
                let id = policy.annotation("id").expect("what loaded has ids");
                policies.add(policy.new_id(PolicyId::new(id))).unwrap();
            }
        }
        let schema: Schema = SCHEMA.parse().unwrap();
        let actions = schema.action_entities().unwrap();
        Self {
            policies,
            actions: actions.iter().cloned().collect(),
        }
    }

    /// `route` is the action, and whether a pet is the resource.
    pub(super) fn check(&self, decided: &Decided, asked: &Asked, who: &Who, route: (&str, bool)) {
        let (action, is_pet) = route;
        let application = uid("Application", "Pets");
        let resource = match asked.pet.filter(|_| is_pet) {
            Some(pet) => uid("Pet", pet),
            None => application.clone(),
        };
        let request = Request::new(
            uid("User", who.id),
            uid("Action", action),
            resource.clone(),
            context(asked, who),
            None,
        );
        let mut entities = self.actions.clone();
        entities.push(principal(who));
        entities.push(Entity::new_no_attrs(application.clone(), HashSet::new()));
        if is_pet {
            entities.push(Entity::new_no_attrs(resource, [application].into()));
        }
        let entities = Entities::from_entities(entities, None).unwrap();
        let response =
            Authorizer::new().is_authorized(&request.unwrap(), &self.policies, &entities);
        // A forbid that fails might have forbidden.
        let unsure = response.diagnostics().errors().any(|error| {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            let policy = self.policies.policy(error.policy_id()).unwrap();
            policy.effect() == Effect::Forbid
        });
        let permits = response.decision() == Decision::Allow && !unsure;
        let outcome = decided.outcome();
        assert_eq!(outcome.is_permit(), permits, "{outcome:?}: {response:?}");
        let reasons: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
        assert!(outcome.policies().eq(reasons), "{outcome:?}: {response:?}");
        let unacceptable = [
            Code::ClaimsInvalid,
            Code::InputMissing,
            Code::InputAmbiguous,
        ];
        assert!(!unacceptable.contains(&outcome.code()), "{outcome:?}");
    }
}

fn principal(who: &Who) -> Entity {
    let groups = who
        .groups
        .iter()
        .map(|group| uid("Group", &format!("pool|{group}")));
    let attributes = if who.scopes.is_some() {
        HashMap::new()
    } else {
        let email = who.email.map(|email| ("email".to_owned(), text(email)));
        let level = who
            .level
            .map(|level| ("level".to_owned(), Expression::new_long(level)));
        email.into_iter().chain(level).collect()
    };
    Entity::new(uid("User", who.id), attributes, groups.collect()).unwrap()
}

fn context(asked: &Asked, who: &Who) -> Context {
    let optional = |name: &str, value: Option<&str>| {
        let member = value.map(|value| (name.to_owned(), text(value)));
        Expression::new_record(member).unwrap()
    };
    let token = who.scopes.map(|scopes| {
        let scopes = Expression::new_set(scopes.iter().map(|scope| text(scope)));
        let members = [
            ("sub".to_owned(), text(who.id)),
            ("scope".to_owned(), scopes),
        ];
        Expression::new_record(members).unwrap()
    });
    let members = [
        ("method", text("GET")),
        ("path", text(&asked.path)),
        ("clientIp", Expression::new_ip(asked.client.to_string())),
        ("time", Expression::new_datetime(NOW)),
        ("pathParameters", optional("petId", asked.pet)),
        ("queryStringParameters", optional("limit", asked.limit)),
        ("headers", optional("x-tenant", asked.tenant)),
    ];
    let certificate = asked.certificate.as_ref().map(shown);
    let members = members
        .into_iter()
        .chain(token.map(|token| ("token", token)))
        .chain(certificate.map(|shown| ("certificate", shown)));
    Context::from_pairs(members.map(|(name, value)| (name.to_owned(), value))).unwrap()
}

fn shown(certificate: &Certificate) -> Expression {
    let fields = CertificateField::ALL.map(|field| {
        let mut values = certificate.values(field).iter().map(|value| text(value));
        let value = if field.is_list() {
            Expression::new_set(values)
        } else {
            values.next().unwrap()
        };
        (field.as_str().to_owned(), value)
    });
    Expression::new_record(fields).unwrap()
}

fn text(text: &str) -> Expression {
    Expression::new_string(text.to_owned())
}

fn uid(ty: &str, id: &str) -> EntityUid {
    let ty = format!("Pets::{ty}").parse().unwrap();
    EntityUid::from_type_name_and_id(ty, cedar_policy::EntityId::new(id))
}
