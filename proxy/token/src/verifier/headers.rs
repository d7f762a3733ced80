//! Headers of tokens that verified: an issuer writes the same text into each, so it is read once for each key.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::jws::Header;

/// What texts of headers were read as; bounded in number and size.
///
/// INVARIANT: an entry depends on its text alone, so it is right for as long as it stands, and no issuer can put one in that
/// means another thing for another issuer. Only tokens whose signature holds put one in, so that nobody else flushes them.
#[derive(Default)]
pub(super) struct Headers(ArcSwap<Vec<Entry>>);

#[derive(Clone)]
struct Entry {
    text: Arc<str>,
    header: Arc<Header>,
}

impl Headers {
    pub(super) fn get(&self, text: &str) -> Option<Arc<Header>> {
        let entries = self.0.load();
        let found = entries.iter().find(|entry| *entry.text == *text)?;
        Some(Arc::clone(&found.header))
    }

    /// Remembers a header, in the place of the oldest if there are many. Of two that come at once, one may be lost.
    pub(super) fn put(&self, text: &str, header: &Arc<Header>) {
        let entries = self.0.load();
        if text.len() > LONGEST || entries.iter().any(|entry| *entry.text == *text) {
            return;
        }
        let spare = (entries.len() + 1).saturating_sub(MOST);
        let mut entries: Vec<Entry> = entries.iter().skip(spare).cloned().collect();
        entries.push(Entry {
            text: text.into(),
            header: Arc::clone(header),
        });
        self.0.store(Arc::new(entries));
    }
}

/// So many headers are remembered: more than issuers have keys in use.
const MOST: usize = 32;
/// A longer text, in bytes, is read each time.
const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn the_last_headers_are_remembered_and_long_ones_are_not() {
        let headers = Headers::default();
        let header = |kid: usize| {
            Arc::new(Header {
                algorithm: Algorithm::Rs256,
                kid: Some(kid.to_string()),
            })
        };
        for kid in 0..=MOST {
            headers.put(&format!("h{kid}"), &header(kid));
            headers.put(&format!("h{kid}"), &header(0));
        }
        assert!(headers.get("h0").is_none());
        for kid in 1..=MOST {
            let found = headers.get(&format!("h{kid}")).unwrap();
            assert_eq!(found.kid, Some(kid.to_string()));
        }
        assert!(headers.get("h").is_none());
        let long = "h".repeat(LONGEST + 1);
        headers.put(&long, &header(1));
        assert!(headers.get(&long).is_none());
    }
}
