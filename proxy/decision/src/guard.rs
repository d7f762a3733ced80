//! A route's use of a policy set: everything that can be computed before a request comes.

use std::{sync::Arc, time::SystemTime};

use cedar_policy::{Authorizer, Context, EntityUid};

use crate::{
    Caller, Code, Decided, Denied, Memory, Outcome, Permit, Request,
    identity::{Facts, Identity},
    inputs::{Inputs, Values, write_text},
    policies::{Applicable, Decisions, Met, Plain, Shared},
    resource::{Named, Resource},
    said::Said,
};

/// What a route asks of its policies.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Id of the action; [`default_action`] where the settings say nothing.
    pub action: &'a str,
    /// `Type::"id"`, with `{name}` for path parameters within the id; the application when absent.
    pub resource: Option<&'a str>,
    /// Names of the path parameters that requests of the route have.
    pub parameters: &'a [&'a str],
    /// Headers, in lower case, that the route lets policies read.
    pub headers: &'a [&'a str],
}

/// The id of a route's action where the settings say nothing: `get /pets/{petId}`.
pub fn default_action(method: &str, template: &str) -> String {
    format!("{} {template}", method.to_ascii_lowercase())
}

/// A route's policies, ready to decide; belongs to one snapshot of [`crate::Policies`].
#[derive(Debug)]
pub struct Guard {
    /// Its number within the snapshot.
    pub(crate) number: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) applicable: Arc<Applicable>,
    pub(crate) action: EntityUid,
    pub(crate) action_text: Arc<str>,
    pub(crate) resource: Resource,
    pub(crate) inputs: Inputs,
}

impl Guard {
    /// Decides whether the request may be forwarded, at this time.
    ///
    /// Gives the permit, which owns the request from now on; or the request back, with the reason of the denial.
    pub fn decide<H: Request>(
        &self,
        head: H,
        caller: &impl Caller,
        now: SystemTime,
    ) -> Result<Permit<H>, Denied<H>> {
        settle(self.judge(&head, caller, now, true), head)
    }

    /// [`Guard::decide`], but neither looks decisions up nor remembers them.
    pub fn decide_afresh<H: Request>(
        &self,
        head: H,
        caller: &impl Caller,
        now: SystemTime,
    ) -> Result<Permit<H>, Denied<H>> {
        settle(self.judge(&head, caller, now, false), head)
    }

    /// The action, as `PetStore::Action::"get /pets/{petId}"`.
    pub fn action(&self) -> &str {
        &self.action_text
    }

    /// `@id`s of the policies that can apply, sorted.
    pub fn policies(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self
            .applicable
            .policies
            .policies()
            .map(|policy| policy.id().as_ref())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Whether a policy reads the time, so decisions cannot be remembered.
    pub fn reads_time(&self) -> bool {
        self.inputs.read_time()
    }

    /// Whether a policy reads the caller's address.
    pub fn reads_client_ip(&self) -> bool {
        self.inputs.read_client_ip()
    }

    fn judge<H: Request>(
        &self,
        head: &H,
        caller: &impl Caller,
        now: SystemTime,
        remember: bool,
    ) -> Decided {
        let met = self.shared.meet(caller, &self.applicable);
        let identity = &*met.identity;
        let resource = self.resource.of(head);
        let answer = match (identity, &resource) {
            (Err(refusal), _) | (_, Err(refusal)) => Answer::fresh(refusal.clone()),
            (Ok(identity), Ok(resource)) => match self.inputs.resolve(head, now) {
                Err(refusal) => Answer::fresh(refusal),
                Ok(values) => match &self.shared.decisions {
                    Some(remembered) if remember && !self.reads_time() => {
                        self.recall(remembered, identity, &met, resource, &values)
                    }
                    _ => self.answer(&met, resource, &values),
                },
            },
        };
        Decided {
            outcome: answer.outcome,
            generation: self.shared.generation,
            principal: identity.as_ref().map_or_else(
                |_| self.shared.principal_text(caller.id()),
                |it| Arc::clone(&it.text),
            ),
            action: Arc::clone(&self.action_text),
            resource: resource
                .map_or_else(|_| Arc::from(""), |resource| Arc::clone(&resource.text)),
            memory: answer.memory,
        }
    }

    /// Looks the outcome up, or evaluates.
    fn recall(
        &self,
        remembered: &Decisions,
        identity: &Identity,
        met: &Met<'_, impl Caller>,
        resource: &Named,
        values: &Values<'_>,
    ) -> Answer {
        let key = self.key(identity, resource, values);
        if let Some(outcome) = remembered.get(&*key) {
            return Answer {
                outcome,
                memory: Memory::Hit,
                is_evaluated: true,
            };
        }
        let mut answer = self.answer(met, resource, values);
        if key.len() <= LONGEST_KEY && answer.is_evaluated {
            let outcome = Arc::clone(&answer.outcome);
            remembered.insert(key.into(), outcome);
            answer.memory = Memory::Miss;
        }
        answer
    }

    fn answer(&self, met: &Met<'_, impl Caller>, resource: &Named, values: &Values<'_>) -> Answer {
        let facts = self.shared.facts(met, &self.applicable);
        match facts.and_then(|facts| self.evaluate(&facts, resource, values)) {
            Ok(outcome) => Answer {
                is_evaluated: true,
                ..Answer::fresh(outcome)
            },
            Err(refusal) => Answer::fresh(refusal),
        }
    }

    /// What the outcome depends on.
    ///
    /// INVARIANT: it has every input that an applicable policy mentions; see `Mentions`. The caller's own key has one length,
    /// each other part has its length in front and its absence has a sign of its own, so no two lists of parts make one key.
    /// The guard's number stands for what is fixed for the route: the action, the policies and which of their inputs are in
    /// the key.
    fn key(&self, identity: &Identity, resource: &Named, values: &Values<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(128);
        key.extend(identity.key);
        key.extend(self.number.to_le_bytes());
        if self.applicable.mentions.resource {
            write_text(&mut key, Some(&resource.text));
        }
        values.write_key(&mut key);
        key
    }

    /// What the policies say; an error where they cannot be asked.
    fn evaluate(
        &self,
        facts: &Facts,
        resource: &Named,
        values: &Values<'_>,
    ) -> Result<Outcome, Outcome> {
        if self.shared.is_empty {
            return Err(Outcome::refusal(Code::NoPolicies, "there are no policies"));
        }
        let unasked = |message| Outcome::refusal(Code::PolicyError, message);
        let parent = self.applicable.resource_parent.as_ref();
        let entities = facts.entities_with(&resource.uid, parent)?;
        let scoped = &self.applicable.scoped;
        let selected = scoped
            .select(&facts.uid, &resource.uid, &entities)
            .map_err(unasked)?;
        let applies = |policy: &&Plain| policy.applies(&facts.uid, &resource.uid, &entities);
        let mut said = Said::by_plain(selected.plain().filter(applies));
        if selected.conditional.is_empty() {
            return Ok(said.outcome(&self.applicable));
        }
        let context = self.context(facts, values)?;
        let request = cedar_policy::Request::new(
            facts.uid.clone(),
            self.action.clone(),
            resource.uid.clone(),
            context,
            None,
        );
        let request = request.map_err(|error| unasked(error.to_string()))?;
        let response = Authorizer::new().is_authorized(&request, &selected.conditional, &entities);
        said.add(&response);
        Ok(said.outcome(&self.applicable))
    }

    fn context(&self, facts: &Facts, values: &Values<'_>) -> Result<Context, Outcome> {
        if self.inputs.are_none() {
            return Ok(facts.context.clone());
        }
        let members = self
            .inputs
            .context(values)?
            .into_iter()
            .chain(facts.token.clone());
        Context::from_pairs(members)
            .map_err(|error| Outcome::refusal(Code::PolicyError, error.to_string()))
    }
}

/// What came of a decision, and what part memory had in it.
struct Answer {
    outcome: Arc<Outcome>,
    memory: Memory,
    /// Whether policies said it.
    is_evaluated: bool,
}

impl Answer {
    fn fresh(outcome: Outcome) -> Self {
        Self {
            outcome: Arc::new(outcome),
            memory: Memory::Bypass,
            is_evaluated: false,
        }
    }
}

fn settle<H>(decided: Decided, head: H) -> Result<Permit<H>, Denied<H>> {
    if decided.outcome.is_permit() {
        Ok(Permit::decided(decided, head))
    } else {
        Err(Denied {
            head,
            decided: Box::new(decided),
        })
    }
}

/// Longer keys are not remembered, in bytes: one request with a huge header must not push out what many others use.
const LONGEST_KEY: usize = 4096;
