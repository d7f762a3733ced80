//! Texts and numbers of a fixed form: what has another form is told with the form it should have, and with the text where it can be
//! nothing secret.

use std::{fmt, marker::PhantomData, net::SocketAddr, num::NonZeroU16, str::FromStr};

use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// An IP address with a port.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    Formed::deserialize(deserializer).map(|Formed(address)| address)
}

/// A list of networks.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Formed<IpNet>>::deserialize(deserializer)?;
    Ok(networks
        .into_iter()
        .map(|Formed(network)| network)
        .collect())
}

/// A port that can be connected to.
pub(super) fn port<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroU16>, D::Error> {
    let port = |number: u64| u16::try_from(number).ok().and_then(NonZeroU16::new);
    let wrong = || de::Error::custom("must be a port, 1 to 65535");
    let number = Option::<u64>::deserialize(deserializer)?;
    number
        .map(|number| port(number).ok_or_else(wrong))
        .transpose()
}

/// What a text of some form is read as.
trait Form: FromStr {
    /// The form, with examples.
    const FORM: &str;
}

impl Form for SocketAddr {
    const FORM: &str = "an IP address with a port, as `127.0.0.1:8080` or `[::1]:8080`";
}

impl Form for IpNet {
    const FORM: &str = "a network as `10.0.0.0/8` or `fd00::/8`; one peer alone is `10.0.0.7/32`";
}

struct Formed<T>(T);

impl<'de, T: Form> Deserialize<'de> for Formed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData)).map(Self)
    }
}

struct Text<T>(PhantomData<T>);

impl<T: Form> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::FORM)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let form = T::FORM;
        text.parse().map_err(|_| {
            // No address is longer; what is may be a secret in the wrong place.
            if text.len() > LONGEST || text.contains(char::is_control) {
                E::custom(format!("is not {form}"))
            } else {
                E::custom(format!("`{text}` is not {form}"))
            }
        })
    }
}

/// An IPv6 address that ends in an IPv4 one, in brackets with a port, and a little.
const LONGEST: usize = 56;
