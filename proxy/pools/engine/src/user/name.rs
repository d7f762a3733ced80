//! What names a user: one canonical form for equal names, and the shapes of addresses.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfkc};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Something besides the username that a user may sign in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alias {
    /// The email address.
    Email,
    /// The phone number.
    PhoneNumber,
    /// A name the user may change.
    PreferredUsername,
}

impl Alias {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Email, Self::PhoneNumber, Self::PreferredUsername];

    /// The attribute that holds it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::PhoneNumber => "phone_number",
            Self::PreferredUsername => "preferred_username",
        }
    }

    /// The kind kept in an attribute of that name.
    pub fn named(attribute: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|alias| alias.as_str() == attribute)
    }

    /// Whether messages can be sent to it.
    pub fn is_address(self) -> bool {
        self != Self::PreferredUsername
    }

    /// Whether a text has the shape of this kind; any text may be a preferred username.
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::PhoneNumber => is_phone(text),
            Self::PreferredUsername => true,
        }
    }
}

/// Whether a pool tells `Ada` from `ada`; fixed when the pool is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Two users.
    Sensitive,
    /// One user.
    Insensitive,
}

/// The form under which a name is kept and looked up: names that read the same have the same one.
///
/// That is NFKC without characters that show nothing, with case folded where the pool asks for it. Applying it twice
/// changes nothing.
pub fn canonical(name: &str, case: Case) -> Cow<'_, str> {
    if name.is_ascii() {
        return if case == Case::Sensitive || !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(name.to_ascii_lowercase())
        };
    }
    let mut form = pass(name, case);
    // Folding can undo normalisation and the reverse; both only ever shrink the set of forms, so few passes are needed.
    for _ in 0..MAX_PASSES {
        let next = pass(&form, case);
        if next == form {
            break;
        }
        form = next;
    }
    Cow::Owned(form)
}

/// Whether a name has 1 to 128 characters, each a letter, mark, symbol, number or punctuation: AWS's
/// `[\p{L}\p{M}\p{S}\p{N}\p{P}]+`, which leaves out spaces, controls and direction marks.
pub fn is_username(name: &str) -> bool {
    let long = name.len() > MAX_USERNAME && name.chars().count() > MAX_USERNAME;
    !name.is_empty()
        && !long
        && name.chars().all(is_visible)
        && !canonical(name, Case::Insensitive).is_empty()
}

/// Whether a text is an email address a message can be sent to: one `@`, a local part of dot-separated atoms and a
/// host name. Quoted local parts and address literals of RFC 5321 are not taken: parsers disagree on them.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= MAX_EMAIL
        && local.len() <= MAX_LOCAL
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
        && domain.split('.').all(is_label)
}

/// Whether a text is a phone number in E.164: `+`, then at most 15 digits.
pub fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether a text may be a user's `sub`: a UUID in lower case with hyphens.
pub fn is_sub(text: &str) -> bool {
    text.len() == SUB_LENGTH
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn pass(name: &str, case: Case) -> String {
    let shown = name.chars().filter(|&c| !shows_nothing(c));
    match case {
        Case::Sensitive if is_nfkc(name) => shown.collect(),
        Case::Sensitive => shown.nfkc().collect(),
        // Through upper case, so that forms which share one (σ and ς, ß and ss) fold together, and character by
        // character, so that the neighbours of a character never matter.
        Case::Insensitive => shown
            .nfkc()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfkc()
            .collect(),
    }
}

/// Default-ignorable characters that are marks or letters, so that the username pattern lets them through.
fn shows_nothing(c: char) -> bool {
    matches!(c,
        '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180D}' | '\u{180F}'
        | '\u{3164}' | '\u{FFA0}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

fn is_visible(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Mark, Number, Punctuation, Symbol};
    c.is_ascii_graphic()
        || (!c.is_ascii()
            && matches!(
                c.general_category_group(),
                Letter | Mark | Symbol | Number | Punctuation
            ))
}

fn is_atom(c: char) -> bool {
    // RFC 5321 section 4.1.2 `atext`, and RFC 6531's wider characters as far as they can be seen.
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && is_visible(c))
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| {
            c == '-' || c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric())
        })
}

const MAX_PASSES: usize = 4;
const MAX_USERNAME: usize = 128;
const MAX_EMAIL: usize = 254;
const MAX_LOCAL: usize = 64;
const MAX_LABEL: usize = 63;
const MAX_DIGITS: usize = 15;
const SUB_LENGTH: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        canonical(left, Case::Insensitive) == canonical(right, Case::Insensitive)
    }

    #[test]
    fn names_that_read_the_same_are_one() {
        assert!(same("Ada", "aDA"));
        assert!(same("ｆｕｌｌ", "full"), "width");
        assert!(same("ﬁne", "fine"), "ligature");
        assert!(same("e\u{301}tude", "\u{e9}tude"), "composition");
        assert!(same("\u{212a}elvin", "kelvin"), "letter-like symbol");
        assert!(same("ΟΔΟΣ", "οδος") && same("οδοσ", "οδος"), "final sigma");
        assert!(same("STRASSE", "straße"), "sharp s");
        assert!(same("a\u{fe0f}b", "ab"), "variation selector");
        assert!(!same("ada", "adb"));
        assert!(
            !same("paypal", "pаypal"),
            "Cyrillic а: another script is another name"
        );
    }

    #[test]
    fn case_stays_where_the_pool_tells_it_apart() {
        assert_eq!(canonical("Ada", Case::Sensitive), "Ada");
        assert_eq!(canonical("Ｅda", Case::Sensitive), "Eda");
    }

    #[test]
    fn the_form_is_stable() {
        for name in [
            "İstanbul",
            "ǅ",
            "ŉ",
            "\u{1fb3}\u{345}",
            "\u{fdfa}",
            "ΐ",
            "\u{0390}\u{301}",
            "ᾳ\u{342}",
        ] {
            for case in [Case::Sensitive, Case::Insensitive] {
                let once = canonical(name, case).into_owned();
                assert_eq!(canonical(&once, case), once, "{name}");
            }
        }
    }

    #[test]
    fn the_form_of_any_text_is_stable() {
        let rng = crate::testing::SeededRng::new(7);
        for _ in 0..20_000 {
            let drawn: [u8; 16] = crate::rng::bytes(&rng);
            let points = drawn
                .as_chunks::<4>()
                .0
                .iter()
                .map(|four| u32::from_be_bytes(*four) % 0x3_0000);
            let text: String = points.filter_map(char::from_u32).collect();
            for case in [Case::Sensitive, Case::Insensitive] {
                let once = canonical(&text, case).into_owned();
                assert_eq!(canonical(&once, case), once, "{text:?}");
            }
        }
    }

    #[test]
    fn usernames_are_visible_and_bounded() {
        assert!(
            is_username("ada")
                && is_username("пользователь")
                && is_username("a.b+c@d")
                && is_username("🦀")
        );
        for name in [
            "",
            " ada",
            "ada ",
            "a b",
            "a\0b",
            "a\u{200f}b",
            "a\u{ad}b",
            "a\tb",
            "\u{fe0f}",
        ] {
            assert!(!is_username(name), "{name:?}");
        }
        assert!(is_username(&"é".repeat(128)) && !is_username(&"a".repeat(129)));
    }

    #[test]
    fn addresses_have_one_reading() {
        assert!(
            is_email("ada@example.com")
                && is_email("a.b+c@localhost")
                && is_email("ü@bücher.example")
        );
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a..b@c",
            ".a@c",
            "a@b.",
            "a@-b",
            "a@b..c",
            "\"a\"@b",
            "a@[1.2.3.4]",
            "a@b\r\nBcc: c",
            "a\0@b",
        ] {
            assert!(!is_email(text), "{text:?}");
        }
        assert!(!is_email(&format!("{}@b", "a".repeat(65))));
        assert!(is_phone("+12065550100") && is_phone("+123456789012345"));
        for text in ["", "+", "12065550100", "+1 206", "+1234567890123456", "+١٢"] {
            assert!(!is_phone(text), "{text:?}");
        }
    }

    #[test]
    fn subs_are_lower_case_uuids() {
        assert!(is_sub("0f8fad5b-d9cb-469f-a165-70867728950e"));
        assert!(!is_sub("0F8FAD5B-D9CB-469F-A165-70867728950E"));
        assert!(!is_sub("0f8fad5bd9cb469fa16570867728950e"));
    }
}
