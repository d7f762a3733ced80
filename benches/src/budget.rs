//! What each stage may cost in instructions, as a file of its own keeps it, and what was counted held against that.

use anyhow::{Context as _, Result, ensure};

/// By how much a stage may be over or under its budget, in percent, unless the file says otherwise.
const TOLERANCE: u64 = 5;

/// The budgets of all stages, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Budgets {
    /// The file's lines before the first budget.
    preamble: String,
    /// In percent.
    tolerance: u64,
    stages: Vec<(String, u64)>,
}

/// One line of what comes out.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The stage.
    pub stage: String,
    /// What was counted.
    pub counted: Option<u64>,
    /// What it may be, without the tolerance.
    pub budget: Option<u64>,
    /// What that comes to.
    pub finding: Finding,
}

/// How a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Within the tolerance.
    Within,
    /// Over it by this many instructions beyond the budget.
    Over(u64),
    /// Better than it by more than the tolerance: a budget that is too wide hides the next slowdown.
    Loose,
    /// Counted, but without a budget.
    Unknown,
    /// In the file, but not counted.
    Gone,
}

impl Budgets {
    /// Reads the file: comments, the tolerance, and a number and a name a line.
    pub fn parse(text: &str) -> Result<Self> {
        let is_comment = |line: &&str| line.starts_with('#') || line.trim().is_empty();
        let preamble = text.lines().take_while(is_comment);
        let mut budgets = Self {
            preamble: preamble.flat_map(|line| [line, "\n"]).collect(),
            tolerance: TOLERANCE,
            stages: Vec::new(),
        };
        for line in text.lines().filter(|line| !is_comment(line)) {
            budgets.read_line(line)?;
        }
        Ok(budgets)
    }

    fn read_line(&mut self, line: &str) -> Result<()> {
        let (value, name) = line.trim().split_once(' ').unwrap_or_default();
        let value = value
            .parse()
            .with_context(|| format!("`{line}` is no budget"))?;
        let name = name.trim();
        if name == "% tolerance" {
            self.tolerance = value;
            return Ok(());
        }
        ensure!(value > 0, "`{line}` lets nothing be counted");
        let is_new = self.stages.iter().all(|(known, _)| known != name);
        ensure!(is_new, "`{name}` has two budgets");
        self.stages.push((name.to_owned(), value));
        Ok(())
    }

    /// The file with what was counted as the budgets.
    pub fn updated(&self, counted: &[(String, u64)]) -> String {
        let tolerance = [(self.tolerance, "% tolerance")].into_iter();
        let stages = counted.iter().map(|(name, count)| (*count, name.as_str()));
        let lines = tolerance.chain(stages);
        let lines = lines.map(|(value, name)| format!("{value:>8}  {name}\n"));
        [self.preamble.clone()].into_iter().chain(lines).collect()
    }

    /// Each stage that was counted, and then those that were not.
    pub fn verdicts(&self, counted: &[(String, u64)]) -> Vec<Verdict> {
        let of_counted = counted.iter().map(|(stage, count)| {
            let budget = self.stages.iter().find(|(known, _)| known == stage);
            let budget = budget.map(|(_, budget)| *budget);
            Verdict {
                stage: stage.clone(),
                counted: Some(*count),
                budget,
                finding: budget.map_or(Finding::Unknown, |budget| self.finding(*count, budget)),
            }
        });
        let is_gone = |(known, _): &&(String, u64)| counted.iter().all(|(stage, _)| stage != known);
        let gone = self
            .stages
            .iter()
            .filter(is_gone)
            .map(|(stage, budget)| Verdict {
                stage: stage.clone(),
                counted: None,
                budget: Some(*budget),
                finding: Finding::Gone,
            });
        of_counted.chain(gone).collect()
    }

    fn finding(&self, count: u64, budget: u64) -> Finding {
        let slack = budget.saturating_mul(self.tolerance) / 100;
        match count {
            count if count > budget.saturating_add(slack) => Finding::Over(count - budget),
            count if count < budget - slack.min(budget) => Finding::Loose,
            _ => Finding::Within,
        }
    }
}

impl Verdict {
    /// Whether it lets the check pass.
    pub fn holds(&self) -> bool {
        matches!(self.finding, Finding::Within | Finding::Loose)
    }

    /// By what the count differs from the budget, in percent.
    fn change(&self) -> Option<String> {
        let (count, budget) = (i128::from(self.counted?), i128::from(self.budget?));
        let mills = (count - budget) * 1000 / budget.max(1);
        let sign = if mills < 0 { '-' } else { '+' };
        let mills = mills.unsigned_abs();
        Some(format!("{sign}{}.{} %", mills / 10, mills % 10))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let change = self.change().unwrap_or_default();
        let (counted, budget) = (number(self.counted), number(self.budget));
        let stage = &self.stage;
        write!(f, "{stage:<42} {counted:>10} {budget:>10} {change:>9}")?;
        match self.finding {
            Finding::Within => Ok(()),
            Finding::Over(by) => write!(f, "  over by {by}"),
            Finding::Loose => write!(f, "  better: `UPDATE=1 make bench-check` keeps it"),
            Finding::Unknown => write!(f, "  has no budget"),
            Finding::Gone => write!(f, "  was not counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# why\n\n       5  % tolerance\n    1000  decide afresh\n      10  route\n";

    fn findings(counted: &[(&str, u64)]) -> Vec<Finding> {
        let counted: Vec<_> = counted
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect();
        let verdicts = Budgets::parse(FILE).unwrap().verdicts(&counted);
        verdicts.iter().map(|verdict| verdict.finding).collect()
    }

    #[test]
    fn a_stage_is_over_beyond_the_tolerance() {
        use Finding::{Loose, Over, Within};
        for (count, expected) in [
            (1000, Within),
            (1050, Within),
            (1051, Over(51)),
            (950, Within),
            (949, Loose),
        ] {
            assert_eq!(
                findings(&[("decide afresh", count), ("route", 10)]),
                [expected, Within]
            );
        }
    }

    #[test]
    fn each_stage_needs_a_budget_and_each_budget_a_stage() {
        let found = findings(&[("decide afresh", 1000), ("new", 1)]);
        assert_eq!(found, [Finding::Within, Finding::Unknown, Finding::Gone]);
        let budgets = Budgets::parse(FILE).unwrap();
        assert!(!budgets.verdicts(&[]).iter().any(Verdict::holds));
    }

    #[test]
    fn a_verdict_says_by_how_much() {
        let budgets = Budgets::parse(FILE).unwrap();
        let verdicts = budgets.verdicts(&[("decide afresh".into(), 1234)]);
        let line = verdicts.first().unwrap().to_string();
        assert!(
            line.ends_with("1234       1000   +23.4 %  over by 234"),
            "{line}"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let budgets = Budgets::parse(FILE).unwrap();
        assert_eq!(budgets.updated(&budgets.stages), FILE);
        for bad in ["x  route", "0  route", "1  route\n2  route", "1"] {
            assert!(Budgets::parse(bad).is_err(), "{bad}");
        }
    }
}
