use aws_lc_rs::digest::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::*;
use crate::Rng;
use crate::testing::SeededRng;

/// One exchange computed by `pycognito`'s client code, with a server of plain Python integers.
#[derive(Deserialize)]
struct Vector {
    pool_name: String,
    user_id: String,
    password: String,
    salt: String,
    verifier: String,
    client_public: String,
    server_secret: String,
    server_public: String,
    secret_block: String,
    timestamp: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

#[test]
fn exchanges_with_pycognito_agree() {
    for vector in vectors() {
        let salt = Salt::from_hex(&vector.salt).unwrap();
        let verifier = Verifier::of(&vector.pool_name, &vector.user_id, &vector.password, &salt);
        let expected = hex::decode(format!("{:0>768}", vector.verifier)).unwrap();
        assert_eq!(verifier.to_bytes().as_slice(), expected);

        let client = ClientPublic::from_hex(&vector.client_public).unwrap();
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        hex::decode_to_slice(&vector.server_secret, secret.as_mut_slice()).unwrap();
        let (exchange, server_public) = Exchange::begin(&client, &verifier, &secret).unwrap();
        assert_eq!(server_public, vector.server_public);

        let block = hex::decode(&vector.secret_block).unwrap();
        let claim = Claim {
            pool_name: &vector.pool_name,
            user_id: &vector.user_id,
            block: &block,
            timestamp: &vector.timestamp,
        };
        let exchange = Exchange::from_bytes(&exchange.to_bytes()).unwrap();
        let other = Verifier::of(&vector.pool_name, &vector.user_id, "another", &salt);
        let signature = STANDARD.decode(&vector.signature).unwrap();
        assert!(exchange.key(&verifier).verifies(&claim, &signature));
        assert!(!exchange.key(&other).verifies(&claim, &signature));
    }
}

/// A client of our own, so that passwords, salts and secrets nobody thought of are tried too.
pub(crate) struct Client {
    secret: U256,
    public: U3072,
}

impl Client {
    pub(crate) fn new(rng: &dyn Rng) -> Self {
        let secret = exponent(&crate::rng::bytes::<SECRET_BYTES>(rng));
        Self {
            secret,
            public: GENERATOR.pow(&secret).retrieve(),
        }
    }

    pub(crate) fn srp_a(&self) -> String {
        hex::encode(number_bytes(&self.public))
            .trim_start_matches('0')
            .to_owned()
    }

    /// `PASSWORD_CLAIM_SIGNATURE`.
    pub(crate) fn sign(
        &self,
        claim: &Claim<'_>,
        password: &str,
        salt: &str,
        server_public: &str,
    ) -> String {
        let server = number(&hex::decode(format!("{server_public:0>768}")).unwrap()).unwrap();
        let mut hash = Context::new(&SHA256);
        hash.update(&pad(&number_bytes(&self.public)));
        hash.update(&pad(&number_bytes(&server)));
        let scramble = exponent(hash.finish().as_ref());

        let identity = digest(
            &SHA256,
            [claim.pool_name, claim.user_id, ":", password]
                .concat()
                .as_bytes(),
        );
        let salted = [
            pad(&hex::decode(salt).unwrap()).as_slice(),
            identity.as_ref(),
        ]
        .concat();
        let x = exponent(digest(&SHA256, &salted).as_ref());
        // S = (B - k·g^x)^(a + u·x), with the power taken in two steps.
        let base = Element::new(&server) - Element::new(&multiplier().resize()) * GENERATOR.pow(&x);
        let shared = (base.pow(&self.secret) * base.pow(&scramble).pow(&x)).retrieve();
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &pad(&scalar_bytes(&scramble)));
        let prk = hmac::sign(&salt, &pad(&number_bytes(&shared)));
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()), INFO);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.as_ref()[..16]);
        STANDARD.encode(hmac::sign(&key, &claim.message()))
    }
}

#[test]
fn a_client_with_the_password_is_believed_and_no_other() {
    let rng = SeededRng::new(5);
    for round in 0..6 {
        let password = crate::rng::text(&rng, b"aZ9 $\"\\", 1 + round * 40);
        let salt = Salt::new(crate::rng::bytes(&rng));
        let verifier = Verifier::of("Pool1", "ada", &password, &salt);
        let client = Client::new(&rng);
        let public = ClientPublic::from_hex(&client.srp_a()).unwrap();
        let secret = Zeroizing::new(crate::rng::bytes(&rng));
        let (exchange, server_public) = Exchange::begin(&public, &verifier, &secret).unwrap();
        let claim = Claim {
            pool_name: "Pool1",
            user_id: "ada",
            block: b"block",
            timestamp: "now",
        };

        let sign = |password: &str| {
            STANDARD
                .decode(client.sign(&claim, password, &salt.hex(), &server_public))
                .unwrap()
        };
        let key = exchange.key(&verifier);
        assert!(key.verifies(&claim, &sign(&password)));
        assert!(!key.verifies(&claim, &sign(&format!("{password} "))));
        assert!(!key.verifies(&claim, &sign(&password)[..31]));
        assert!(!key.verifies(
            &Claim {
                timestamp: "then",
                ..claim
            },
            &sign(&password)
        ));
        assert!(!key.verifies(
            &Claim {
                block: b"blocc",
                ..claim
            },
            &sign(&password)
        ));
        assert!(!key.verifies(
            &Claim {
                user_id: "adb",
                ..claim
            },
            &sign(&password)
        ));
    }
}

#[test]
fn client_values_without_a_secret_are_refused() {
    let modulus: &U3072 = Group::PARAMS.modulus().as_ref();
    let n = hex::encode(number_bytes(modulus));
    let above = hex::encode(number_bytes(&modulus.wrapping_add(&U3072::ONE)));
    // 2N has 3073 bits.
    let twice = format!(
        "1{}",
        hex::encode(number_bytes(&modulus.wrapping_add(modulus)))
    );
    let bad = [
        "",
        "0",
        "0000",
        &n,
        &above,
        &twice,
        "xyz",
        "-1",
        " 1",
        &"f".repeat(769),
        &format!("00{twice}"),
    ];
    for text in bad {
        assert_eq!(ClientPublic::from_hex(text), None, "{text}");
    }
    assert!(
        ClientPublic::from_hex("1").is_some()
            && ClientPublic::from_hex(&format!("000{}", "a".repeat(767))).is_some()
    );
    let below = hex::encode(number_bytes(&modulus.wrapping_sub(&U3072::ONE)));
    assert!(ClientPublic::from_hex(&below).is_some());
    assert!(
        Exchange::from_bytes(&[1; EXCHANGE_BYTES - 1]).is_none()
            && Exchange::from_bytes(&[0; EXCHANGE_BYTES]).is_none()
    );
}

#[test]
fn salts_read_the_same_as_text_and_as_numbers() {
    let rng = SeededRng::new(9);
    let mut extremes = vec![Salt::new([0; 16]), Salt::new([0xff; 16])];
    extremes.extend((0..500).map(|_| Salt::new(crate::rng::bytes(&rng))));
    for salt in extremes {
        let hex = salt.hex();
        assert!((b'1'..=b'7').contains(&hex.as_bytes()[0]), "{hex}");
        assert_eq!(pad(&salt.0).as_slice(), salt.0);
        assert_eq!(Salt::from_hex(&hex), Some(salt));
    }
}

#[test]
fn numbers_are_padded_as_clients_do() {
    assert_eq!(pad(&[0, 0, 0x7f, 1]).as_slice(), [0x7f, 1]);
    assert_eq!(pad(&[0, 0x80]).as_slice(), [0, 0x80]);
    assert_eq!(pad(&[0, 0]).as_slice(), [0]);
}

#[test]
fn timestamps_are_read_as_clients_write_them() {
    assert_eq!(
        timestamp_ms("Tue Sep 5 09:05:01 UTC 2017"),
        Some(1_504_602_301_000)
    );
    assert_eq!(
        timestamp_ms("Wed Nov 15 23:59:59 UTC 2023"),
        Some(1_700_092_799_000)
    );
    for bad in [
        "",
        "2017-09-05T09:05:01Z",
        "Tue Sep 5 09:05:01 GMT 2017",
        "Tue Sep 31 09:05:01 UTC 2017",
        "Sep 5 2017",
    ] {
        assert_eq!(timestamp_ms(bad), None, "{bad}");
    }
}

#[test]
fn nothing_secret_is_left_to_debug() {
    // Compiles only while these types have no Debug: an added derive would be ambiguous here.
    trait Silent<A> {
        fn silent() {}
    }
    impl<T: ?Sized> Silent<()> for T {}
    struct Shown;
    impl<T: ?Sized + std::fmt::Debug> Silent<Shown> for T {}
    <Verifier as Silent<_>>::silent();
    <Exchange as Silent<_>>::silent();
    <SessionKey as Silent<_>>::silent();
}
