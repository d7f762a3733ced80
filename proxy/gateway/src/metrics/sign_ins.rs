//! How sign-ins ended, of the clients that are there.

use engine::auth::SignIns;
use prometheus::{IntCounterVec, core::Collector as _};

use super::raise;

/// Takes over what the engine counted. It drops what it counted of a client that is deleted, and so do we.
pub(super) fn observe(counters: &IntCounterVec, counted: &[SignIns]) {
    for one in counted {
        raise(&counters.with_label_values(&labels(one)), one.count);
    }
    for shown in shown(counters) {
        if !counted.iter().any(|one| labels(one) == shown) {
            let _ = counters.remove_label_values(&shown);
        }
    }
}

fn labels(one: &SignIns) -> [&str; 3] {
    [&one.pool, &one.client, one.result.as_str()]
}

/// The labels there are, as [`labels`] has them.
fn shown(counters: &IntCounterVec) -> Vec<[String; 3]> {
    let mut shown = Vec::new();
    for family in counters.collect() {
        for metric in family.get_metric() {
            let value = |name| {
                let mut pairs = metric.get_label().iter();
                let pair = pairs.find(|pair| pair.name() == name);
                pair.map(|pair| pair.value().to_owned())
            };
            shown.push(LABELS.map(|name| value(name).unwrap_or_default()));
        }
    }
    shown
}

/// The names of the labels.
pub(super) const LABELS: [&str; 3] = ["pool", "client", "result"];

#[cfg(test)]
mod tests {
    use engine::auth::SignInResult;
    use prometheus::Opts;

    use super::*;

    fn counted(client: &str, count: u64) -> SignIns {
        SignIns {
            pool: "p".into(),
            client: client.into(),
            result: SignInResult::Success,
            count,
        }
    }

    #[test]
    fn clients_that_are_gone_are_shown_no_more() {
        let counters = IntCounterVec::new(Opts::new("sign_ins", "help"), &LABELS).unwrap();
        observe(&counters, &[counted("a", 1), counted("b", 2)]);
        observe(&counters, &[counted("b", 3)]);
        assert_eq!(shown(&counters), [["p", "b", "success"]]);
        let left = counters.with_label_values(&["p", "b", "success"]);
        assert_eq!(left.get(), 3);
    }
}
