//! SRP-6a as Cognito speaks it: the 3072-bit group of RFC 5054 appendix A, g = 2, SHA-256, and the padding of its
//! first JavaScript library, which every client copied.
//!
//! Numbers are hashed as Java's `BigInteger` writes them: no leading zeros, then one zero byte where the top bit is
//! set ([`pad`]). The server's part costs 256-bit exponents only; exponentiation takes the same time for all of them.

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::hmac;
use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, U3072, const_monty_params};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a number of the group.
pub const GROUP_BYTES: usize = 384;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of the server's secret and of the scrambling parameter.
pub const SECRET_BYTES: usize = 32;

/// A user's salt; public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; SALT_BYTES]);

impl Salt {
    /// A salt from random bytes.
    ///
    /// Its first byte becomes one of 0x10 to 0x7f: such a number reads the same with every client's notion of leading
    /// zeros and sign, at the price of less than two of 128 bits.
    pub fn new(mut random: [u8; SALT_BYTES]) -> Self {
        let [first, ..] = &mut random;
        *first = (*first & 0x7f) | 0x10;
        Self(random)
    }

    /// The hexadecimal text that clients are given.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads [`hex`](Self::hex).
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; SALT_BYTES];
        hex::decode_to_slice(text, &mut bytes)
            .ok()
            .map(|()| Self(bytes))
    }
}

/// `v = g^x`: who has it can test passwords at the speed of one hash and one exponentiation, so it is kept sealed.
#[derive(Clone, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Verifier(U3072);

impl Verifier {
    /// The verifier of a password; `pool_name` is the part of the pool's id after `_`.
    pub fn of(pool_name: &str, user_id: &str, password: &str, salt: &Salt) -> Self {
        let mut inner = Context::new(&SHA256);
        for part in [pool_name, user_id, ":", password] {
            inner.update(part.as_bytes());
        }
        let mut outer = Context::new(&SHA256);
        outer.update(&pad(&salt.0));
        outer.update(inner.finish().as_ref());
        let x = Zeroizing::new(exponent(outer.finish().as_ref()));
        Self(GENERATOR.pow(&*x).retrieve())
    }

    /// The number, most significant byte first.
    pub fn to_bytes(&self) -> Zeroizing<[u8; GROUP_BYTES]> {
        Zeroizing::new(number_bytes(&self.0))
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        number(bytes).map(Self)
    }

    fn element(&self) -> Element {
        Element::new(&self.0)
    }
}

/// The client's public value `A`, between 1 and N - 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPublic(U3072);

impl ClientPublic {
    /// Reads the hexadecimal text a client sends; `None` for what is none, is 0, or is N or more (RFC 5054 section
    /// 2.5.4 wants A mod N = 0 refused; an honest client's A is always reduced).
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches('0');
        if digits.len() > GROUP_BYTES * 2 {
            return None;
        }
        let even = format!("{digits:0>width$}", width = GROUP_BYTES * 2);
        Self::from_bytes(&hex::decode(even).ok()?)
    }

    /// Reads [`to_bytes`](Self::to_bytes), with the same refusals.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let a = number(bytes)?;
        (a != U3072::ZERO && &a < Group::PARAMS.modulus().as_ref()).then_some(Self(a))
    }

    /// The number, most significant byte first.
    pub fn to_bytes(&self) -> [u8; GROUP_BYTES] {
        number_bytes(&self.0)
    }
}

/// The server's side of one exchange: its secret `b`, the client's `A`, and `u = H(pad A ‖ pad B)`.
#[derive(Clone, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Exchange {
    secret: U256,
    scramble: U256,
    client: U3072,
}

impl Exchange {
    /// Begins an exchange; returns it and `B = k·v + g^b` as clients are given it. `None` if the numbers cannot be
    /// used, which random secrets never make (RFC 5054 section 2.5.3).
    pub fn begin(
        client: &ClientPublic,
        verifier: &Verifier,
        secret: &Zeroizing<[u8; SECRET_BYTES]>,
    ) -> Option<(Self, String)> {
        let secret = exponent(secret.as_slice());
        let multiplied = Element::new(&multiplier().resize()) * verifier.element();
        let public = (multiplied + GENERATOR.pow(&secret)).retrieve();
        let server = number_bytes(&public);
        let mut hash = Context::new(&SHA256);
        hash.update(&pad(&client.to_bytes()));
        hash.update(&pad(&server));
        let scramble = exponent(hash.finish().as_ref());
        let usable = public != U3072::ZERO && scramble != U256::ZERO;
        let text = hex::encode(server).trim_start_matches('0').to_owned();
        usable.then_some((
            Self {
                secret,
                scramble,
                client: client.0,
            },
            text,
        ))
    }

    /// The shared key: S = (A·v^u)^b, then HKDF with the first 16 bytes of its only block.
    pub fn key(&self, verifier: &Verifier) -> SessionKey {
        let base = Element::new(&self.client) * verifier.element().pow(&self.scramble);
        let mut shared = base.pow(&self.secret).retrieve();
        let bytes = Zeroizing::new(number_bytes(&shared));
        shared.zeroize();
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &pad(&scalar_bytes(&self.scramble)));
        let prk = hmac::sign(&salt, &pad(bytes.as_slice()));
        let block = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()), INFO);
        SessionKey(hmac::Key::new(
            hmac::HMAC_SHA256,
            block.as_ref().get(..KEY_BYTES).unwrap_or_default(),
        ))
    }

    /// What must be kept, sealed, until the client answers.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(EXCHANGE_BYTES));
        bytes.extend_from_slice(&scalar_bytes(&self.secret));
        bytes.extend_from_slice(&scalar_bytes(&self.scramble));
        bytes.extend_from_slice(&number_bytes(&self.client));
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (secret, rest) = bytes.split_at_checked(SECRET_BYTES)?;
        let (scramble, client) = rest.split_at_checked(SECRET_BYTES)?;
        let client = ClientPublic::from_bytes(client)?.0;
        Some(Self {
            secret: exponent(secret),
            scramble: exponent(scramble),
            client,
        })
    }
}

/// The key both sides have if the client knows the password.
pub struct SessionKey(hmac::Key);

impl SessionKey {
    /// Whether `signature` is the client's over what it was given and the time it says; compared in constant time.
    pub fn verifies(&self, claim: &Claim<'_>, signature: &[u8]) -> bool {
        hmac::verify(&self.0, &claim.message(), signature).is_ok()
    }
}

/// What a client signs to prove that it knows the password.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The pool's id after `_`.
    pub pool_name: &'a str,
    /// `USER_ID_FOR_SRP`.
    pub user_id: &'a str,
    /// The bytes of `SECRET_BLOCK`.
    pub block: &'a [u8],
    /// `TIMESTAMP`, to the letter.
    pub timestamp: &'a str,
}

impl Claim<'_> {
    fn message(&self) -> Vec<u8> {
        [
            self.pool_name.as_bytes(),
            self.user_id.as_bytes(),
            self.block,
            self.timestamp.as_bytes(),
        ]
        .concat()
    }
}

/// Epoch milliseconds of a `TIMESTAMP`, as in `Tue Sep 5 09:05:01 UTC 2017`.
pub fn timestamp_ms(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text, TIMESTAMP).ok()?.assume_utc();
    time.unix_timestamp().checked_mul(1000)
}

/// Big-endian bytes as clients hash them.
fn pad(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    let digits = bytes.get(start..).unwrap_or_default();
    let mut padded = Zeroizing::new(Vec::with_capacity(digits.len() + 1));
    if digits.first().is_none_or(|first| *first >= 0x80) {
        padded.push(0);
    }
    padded.extend_from_slice(digits);
    padded
}

/// `k = H(pad N ‖ pad g)`.
fn multiplier() -> U256 {
    static K: std::sync::LazyLock<U256> = std::sync::LazyLock::new(|| {
        let modulus: &U3072 = Group::PARAMS.modulus().as_ref();
        let padded = [pad(&number_bytes(modulus)).as_slice(), &[2]].concat();
        exponent(digest(&SHA256, &padded).as_ref())
    });
    *K
}

fn number(bytes: &[u8]) -> Option<U3072> {
    (bytes.len() == GROUP_BYTES).then(|| U3072::from_be_slice(bytes))
}

fn number_bytes(number: &U3072) -> [u8; GROUP_BYTES] {
    number.to_be_bytes().into()
}

fn scalar_bytes(number: &U256) -> [u8; SECRET_BYTES] {
    number.to_be_bytes().into()
}

/// 32 bytes as a number; 0 for another length, which no caller has.
fn exponent(bytes: &[u8]) -> U256 {
    if bytes.len() == SECRET_BYTES {
        U256::from_be_slice(bytes)
    } else {
        U256::ZERO
    }
}

const_monty_params!(
    Group,
    U3072,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B\
     302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6\
     49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D\
     670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
     B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    "The modulus N of RFC 5054's 3072-bit group"
);

type Element = ConstMontyForm<Group, { U3072::LIMBS }>;

const GENERATOR: Element = Element::new(&U3072::from_u8(2));
const INFO: &[u8] = b"Caldera Derived Key\x01";
const KEY_BYTES: usize = 16;
const EXCHANGE_BYTES: usize = SECRET_BYTES * 2 + GROUP_BYTES;
const TIMESTAMP: &[BorrowedFormatItem<'static>] = format_description!(
    "[weekday repr:short] [month repr:short] [day padding:none] [hour]:[minute]:[second] UTC [year]"
);

#[cfg(test)]
pub(crate) mod tests;
