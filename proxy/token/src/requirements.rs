//! What one route asks of a verified token, beyond what its issuer's rules ask of all.

use std::collections::BTreeMap;

use serde_json::Number;

use crate::{Claim, Claims, Kind, Refusal, TokenUse, packed};

/// What a route asks of a token.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// Cognito token kinds accepted; empty means access tokens only.
    pub token_use: Vec<TokenUse>,
    /// Scopes of which one must be in the token; empty asks for none.
    pub scopes: Vec<String>,
    /// Claims that must have one of the given values; an array claim must contain one of them.
    pub claims: BTreeMap<String, Vec<String>>,
}

impl Requirements {
    /// Checks a token that verified; costs no allocation.
    pub fn check(&self, claims: &Claims) -> Result<(), Refusal> {
        self.check_token_use(claims)?;
        if !self.scopes.is_empty()
            && !claims
                .scopes()
                .any(|scope| self.scopes.iter().any(|asked| asked == scope))
        {
            return Err(Refusal::ScopeMissing);
        }
        let has = |(name, values): (&String, &Vec<String>)| {
            claims
                .raw()
                .get(name)
                .is_some_and(|claim| values.iter().any(|value| is_or_contains(claim, value)))
        };
        if self.claims.iter().all(has) {
            Ok(())
        } else {
            Err(Refusal::ClaimMismatch)
        }
    }

    fn check_token_use(&self, claims: &Claims) -> Result<(), Refusal> {
        if claims.rules().kind == Kind::Oidc {
            return Ok(());
        }
        let accepted: &[TokenUse] = if self.token_use.is_empty() {
            &[TokenUse::Access]
        } else {
            &self.token_use
        };
        let fits = claims
            .token_use()
            .is_some_and(|token_use| accepted.contains(&token_use));
        if fits {
            Ok(())
        } else {
            Err(Refusal::TokenUseInvalid)
        }
    }
}

fn is_or_contains(claim: Claim<'_>, value: &str) -> bool {
    match claim {
        Claim::Text(text) => text == value,
        Claim::Bool(flag) => value == if flag { "true" } else { "false" },
        Claim::Number(number) => value
            .parse()
            .is_ok_and(|value: Number| packed::number(number) == Some(value)),
        Claim::List(items) => items
            .iter()
            .any(|item| !matches!(item, Claim::List(_)) && is_or_contains(item, value)),
        Claim::Null | Claim::Object(_) => false,
    }
}
