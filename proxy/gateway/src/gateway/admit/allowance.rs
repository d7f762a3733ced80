//! What a head has that is refused unless its route allows it.

use settings::Allow;

use crate::gateway::refuse::{Malformed, Refusal};

/// A set of rules: those that a head breaks, or those that a route lets go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Allowances(u8);

impl Allowances {
    /// Adds a rule.
    pub(crate) fn insert(&mut self, rule: Allow) {
        self.0 |= bit(rule);
    }

    /// Whether no rule is in it.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of them are about header fields, and none about the path.
    pub(crate) fn spares_the_path(self) -> bool {
        self.0 & !bit(Allow::HeaderAlias) == 0
    }

    /// The first of these rules that the others lack, as a refusal.
    pub(crate) fn check_within(self, allowed: Self) -> Result<(), Refusal> {
        let missing = Self(self.0 & !allowed.0);
        if missing.is_empty() {
            return Ok(());
        }
        Err(if missing.spares_the_path() {
            Malformed::HeaderAmbiguous.into()
        } else {
            Malformed::PathAmbiguous.into()
        })
    }
}

impl FromIterator<Allow> for Allowances {
    fn from_iter<I: IntoIterator<Item = Allow>>(rules: I) -> Self {
        let mut all = Self::default();
        rules.into_iter().for_each(|rule| all.insert(rule));
        all
    }
}

fn bit(rule: Allow) -> u8 {
    match rule {
        Allow::EncodedSlash => 1,
        Allow::Backslash => 1 << 1,
        Allow::Semicolon => 1 << 2,
        Allow::DoubleEncoding => 1 << 3,
        Allow::EmptySegment => 1 << 4,
        Allow::HeaderAlias => 1 << 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_member_of_its_own() {
        for needed in Allow::ALL {
            let needs: Allowances = [needed].into_iter().collect();
            assert!(!needs.is_empty());
            for allowed in Allow::ALL {
                let within = needs.check_within([allowed].into_iter().collect());
                assert_eq!(within.is_ok(), needed == allowed, "{needed:?} {allowed:?}");
            }
            assert_eq!(needs.check_within(Allow::ALL.into_iter().collect()), Ok(()));
            let refusal = if needed == Allow::HeaderAlias {
                Malformed::HeaderAmbiguous
            } else {
                Malformed::PathAmbiguous
            };
            let refused = needs.check_within(Allowances::default());
            assert_eq!(refused, Err(refusal.into()), "{needed:?}");
        }
    }
}
