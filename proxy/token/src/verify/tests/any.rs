//! Whatever is sent is answered, and nothing that was changed passes.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(token in ".{0,200}") {
        prop_assert!(outcome(&token).is_err());
    }

    #[test]
    fn any_header_and_payload_are_answered(header in "\\PC{0,60}", payload in "\\PC{0,60}", signature in "[A-Za-z0-9_-]{0,90}") {
        let token = format!("{}.{}.{signature}", b64(header), b64(payload));
        prop_assert!(outcome(&token).is_err());
    }

    #[test]
    fn no_flipped_bit_passes(index in 0_usize..2000, bit in 0_u8..8) {
        let mut bytes = sign(&header(), &access()).into_bytes();
        let index = index % bytes.len();
        bytes[index] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(bytes) {
            prop_assert!(outcome(&token).is_err());
        }
    }

    #[test]
    fn any_claim_value_is_answered(name in "(exp|nbf|iat|aud|sub|iss|scope|client_id|token_use|cognito:groups)",
                                   value in "(-?[0-9]{1,25}(e[0-9]{1,3})?|\"[a-z]{0,5}\"|\\[\\[\\]\\]|\\{\\}|null|true)") {
        if let Ok(value) = serde_json::from_str::<Value>(&value) {
            let mut claims = access();
            claims[&name] = value;
            let _ = outcome(&sign(&header(), &claims));
        }
    }
}
