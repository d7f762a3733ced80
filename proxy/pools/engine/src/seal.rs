//! Secrets at rest: AES-256-GCM under keys that never stand in the store.
//!
//! A sealed text is `s1.<key id>.<base64 of nonce, ciphertext and tag>`. Its additional data names the row and column
//! it belongs to ([`place`]), so a value moved to another row does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use store::args;
use zeroize::Zeroizing;

use crate::rng::{self, Rng};

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key is not 64 hexadecimal digits.
    #[error("a seal key must be 32 bytes as 64 hexadecimal digits")]
    MalformedKey,
    /// The store was sealed under a key that was not given.
    #[error(
        "the store is sealed with key `{0}`, which is not among the given seal keys: give that key's file back"
    )]
    WrongKey(String),
    /// The store's check value does not open under the key of its id.
    #[error(
        "the check value of seal key `{0}` does not open: the store was changed by another program"
    )]
    BadCheck(String),
    /// A sealed value names a key that was not given.
    #[error("a sealed value needs key `{0}`, which was not given")]
    UnknownKey(String),
    /// A sealed value is not of our form, or was changed or moved.
    #[error("a sealed value does not open")]
    Unreadable,
    /// No key was given.
    #[error("no seal key was given")]
    NoKey,
}

/// The additional data of a value: table, column, and the row's primary key.
///
/// Every sealed column uses it, so that [`reseal`](crate::reseal) can open and seal again without knowing the nouns.
pub(crate) fn place(table: &str, column: &str, key: &[&str]) -> String {
    // Length prefixes keep two different keys from reading the same.
    key.iter().fold(format!("{table}.{column}"), |text, part| {
        format!("{text}/{}:{part}", part.len())
    })
}

/// Seals and opens values; the first key seals, all open.
pub struct Sealer {
    keys: Vec<Key>,
}

struct Key {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

impl Sealer {
    /// Reads the keys, the active one first.
    pub fn new(keys: &[SecretString]) -> Result<Self, Error> {
        let keys = keys.iter().map(Key::read).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(Error::NoKey)
        } else {
            Ok(Self { keys })
        }
    }

    /// Seals `plain` for the row that `aad` names.
    pub fn seal(&self, rng: &dyn Rng, aad: &str, plain: &[u8]) -> Result<String, Error> {
        let active = self.keys.first().ok_or(Error::NoKey)?;
        let nonce: [u8; 12] = rng::bytes(rng);
        let mut sealed = nonce.to_vec();
        let mut text = plain.to_vec();
        active
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad.as_bytes()),
                &mut text,
            )
            .map_err(|_| Error::Unreadable)?;
        sealed.append(&mut text);
        Ok(format!("{FORM}.{}.{}", active.id, BASE64.encode(sealed)))
    }

    /// Opens a value sealed for the row that `aad` names.
    pub fn open(&self, aad: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (id, body) = parts(sealed)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| Error::UnknownKey(id.to_owned()))?;
        let mut bytes = Zeroizing::new(BASE64.decode(body).map_err(|_| Error::Unreadable)?);
        let (nonce, text) = bytes.split_at_mut_checked(12).ok_or(Error::Unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Unreadable)?;
        let length = key
            .key
            .open_in_place(nonce, Aad::from(aad.as_bytes()), text)
            .map_err(|_| Error::Unreadable)?
            .len();
        bytes.drain(..12);
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The id of the key that seals.
    pub(crate) fn active(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// Whether `sealed` is under the active key.
    pub(crate) fn is_current(&self, sealed: &str) -> bool {
        parts(sealed).is_ok_and(|(id, _)| self.keys.first().is_some_and(|key| key.id == id))
    }

    /// Refuses keys that do not fit the store, and leaves the active key's check value in it.
    pub(crate) async fn check(
        &self,
        tx: &mut store::Tx,
        rng: &dyn Rng,
    ) -> Result<(), crate::Error> {
        let mut known = Vec::new();
        for row in tx
            .rows("SELECT key_id, sealed FROM seal_checks", args![])
            .await?
        {
            let id = row.text("key_id")?;
            if !self.keys.iter().any(|key| key.id == id) {
                return Err(Error::WrongKey(id).into());
            }
            if self
                .open(
                    &place("seal_checks", "sealed", &[&id]),
                    &row.text("sealed")?,
                )
                .is_err()
            {
                return Err(Error::BadCheck(id).into());
            }
            known.push(id);
        }
        let active = self.keys.first().ok_or(Error::NoKey)?;
        if !known.contains(&active.id) {
            let sealed = self.seal(
                rng,
                &place("seal_checks", "sealed", &[&active.id]),
                b"portcullis",
            )?;
            tx.execute(
                "INSERT INTO seal_checks (key_id, sealed) VALUES ($1, $2)",
                args![active.id.as_str(), sealed.as_str()],
            )
            .await?;
        }
        Ok(())
    }
}

impl Key {
    fn read(text: &SecretString) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.expose_secret().trim(), bytes.as_mut_slice())
            .map_err(|_| Error::MalformedKey)?;
        let mut named = Zeroizing::new(b"portcullis seal key id".to_vec());
        named.extend_from_slice(bytes.as_slice());
        let id = hex::encode(
            digest(&SHA256, &named)
                .as_ref()
                .get(..8)
                .unwrap_or_default(),
        );
        let key =
            UnboundKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|_| Error::MalformedKey)?;
        Ok(Self {
            id,
            key: LessSafeKey::new(key),
        })
    }
}

/// Key id and body of a sealed text.
fn parts(sealed: &str) -> Result<(&str, &str), Error> {
    let rest = sealed
        .strip_prefix(FORM)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or(Error::Unreadable)?;
    rest.split_once('.').ok_or(Error::Unreadable)
}

const FORM: &str = "s1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRng;

    fn with_keys(keys: &[char]) -> Sealer {
        let keys: Vec<_> = keys
            .iter()
            .map(|digit| digit.to_string().repeat(64).into())
            .collect();
        Sealer::new(&keys).unwrap()
    }

    #[test]
    fn a_value_opens_only_for_its_row() {
        let sealed = with_keys(&['1'])
            .seal(&SeededRng::new(1), "a", b"secret")
            .unwrap();
        assert_eq!(
            with_keys(&['1']).open("a", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert!(matches!(
            with_keys(&['1']).open("b", &sealed),
            Err(Error::Unreadable)
        ));
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let keys = with_keys(&['1']);
        let sealed = keys.seal(&SeededRng::new(1), "a", b"secret").unwrap();
        for cut in 0..sealed.len() {
            assert!(
                keys.open("a", &sealed[..cut]).is_err(),
                "{cut} characters opened"
            );
        }
        let mut flipped = sealed.into_bytes();
        let last = flipped.len() - 2;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        assert!(
            keys.open("a", &String::from_utf8(flipped).unwrap())
                .is_err()
        );
    }

    #[test]
    fn older_keys_open_and_the_first_seals() {
        let old = with_keys(&['1'])
            .seal(&SeededRng::new(1), "a", b"secret")
            .unwrap();
        let both = with_keys(&['2', '1']);
        assert_eq!(both.open("a", &old).unwrap().as_slice(), b"secret");
        assert!(!both.is_current(&old));
        let new = both.seal(&SeededRng::new(2), "a", b"secret").unwrap();
        assert!(both.is_current(&new));
        assert!(matches!(
            with_keys(&['1']).open("a", &new),
            Err(Error::UnknownKey(_))
        ));
    }

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        for bad in ["", "12", &"g".repeat(64), &"1".repeat(65)] {
            assert!(
                matches!(
                    Sealer::new(&[bad.to_owned().into()]),
                    Err(Error::MalformedKey)
                ),
                "{bad}"
            );
        }
        assert!(matches!(Sealer::new(&[]), Err(Error::NoKey)));
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        assert!(!format!("{:?}", with_keys(&['1'])).contains("1111"));
    }

    #[test]
    fn places_of_different_rows_differ() {
        assert_ne!(place("t", "c", &["a", "b"]), place("t", "c", &["a/1:b"]));
    }
}
