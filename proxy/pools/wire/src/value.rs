//! The scalar types of the shapes, and the macros their structures are made with.

mod time;

pub(crate) use time::parse as parse_time;
pub use time::{DateTime, EpochSeconds};

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Any JSON document; what it holds never reaches `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(pub serde_json::Value);

/// Bytes, base64 on the wire; what they are never reaches `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(..)")
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|_| D::Error::custom("invalid base64"))
    }
}

/// Stands for a member's value in `Debug`.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// `Debug` that shows some members and names the others.
macro_rules! debug_redacted {
    ($name:ident { shown: [$($shown:ident),*], hidden: [$($hidden:ident),*] }) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), &self.$shown))*
                    $(.field(stringify!($hidden), &$crate::value::Redacted))*
                    .finish()
            }
        }
    };
}

/// Enums whose variants are texts on the wire.
macro_rules! enumeration {
    ($($name:ident { $($variant:ident = $text:literal),* $(,)? })*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),* }

        impl $name {
            /// The texts of all its values.
            pub const TEXTS: &'static [&'static str] = &[$($text),*];

            /// Its text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The value of that text.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::from_text(&text)
                    .ok_or_else(|| serde::de::Error::unknown_variant("of another service's version", Self::TEXTS))
            }
        }
    )*};
}

pub(crate) use {debug_redacted, enumeration};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_base64() {
        assert_eq!(
            serde_json::to_string(&Blob(vec![1, 2, 255]))
                .ok()
                .as_deref(),
            Some("\"AQL/\"")
        );
        assert_eq!(
            serde_json::from_str::<Blob>("\"AQL/\"").ok(),
            Some(Blob(vec![1, 2, 255]))
        );
        assert!(serde_json::from_str::<Blob>("\"*\"").is_err());
    }

    #[test]
    fn debug_shows_neither_bytes_nor_documents() {
        assert_eq!(format!("{:?}", Blob(b"secret".to_vec())), "Blob(6 bytes)");
        assert_eq!(
            format!("{:?}", Document(serde_json::json!({"secret": 1}))),
            "Document(..)"
        );
    }
}
