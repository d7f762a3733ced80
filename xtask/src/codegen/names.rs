//! AWS's names → Rust's.

/// The words of a name in any of AWS's styles: `UserPoolId`, `SMSMfaSettings`, `USER_SRP_AUTH`, `callbackURLs`.
pub(crate) fn words(name: &str) -> Vec<String> {
    // `OAuth` is one word to everybody but a case rule.
    let letters: Vec<char> = name.replace("OAuth", "Oauth").chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut previous: Option<char> = None;
    for (index, &letter) in letters.iter().enumerate() {
        let next = letters.get(index + 1).copied();
        if !letter.is_ascii_alphanumeric() {
            previous = None;
            continue;
        }
        let starts = match previous {
            None => true,
            Some(before) => {
                letter.is_ascii_uppercase()
                    && (!before.is_ascii_uppercase() || ends_acronym(next, &letters, index))
            }
        };
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
        previous = Some(letter);
    }
    words
}

/// Whether the capital at `index`, after another capital, starts a word: `SMSMfa` → `SMS`, `Mfa`, but `URLs` is one word.
fn ends_acronym(next: Option<char>, letters: &[char], index: usize) -> bool {
    let plural = next == Some('s') && !letters.get(index + 2).is_some_and(char::is_ascii_lowercase);
    next.is_some_and(|next| next.is_ascii_lowercase()) && !plural
}

/// A field: `UserPoolId` → `user_pool_id`.
pub(crate) fn field(name: &str) -> String {
    let snake = words(name).join("_");
    match snake.as_str() {
        "type" | "enum" | "match" | "ref" | "use" | "where" | "static" | "move" => {
            format!("r#{snake}")
        }
        _ => snake,
    }
}

/// A type or an enum's variant: `USER_SRP_AUTH` → `UserSrpAuth`.
pub(crate) fn pascal(name: &str) -> String {
    let joined: String = words(name).iter().map(|word| capitalised(word)).collect();
    if joined.starts_with(|first: char| first.is_ascii_digit()) {
        format!("V{joined}")
    } else {
        joined
    }
}

/// A static: `UserPoolIdType` → `USER_POOL_ID_TYPE`.
pub(crate) fn screaming(name: &str) -> String {
    words(name).join("_").to_ascii_uppercase()
}

/// The name serde's `rename_all = "PascalCase"` (or `camelCase`) makes of a field.
pub(crate) fn serde_rename(field: &str, pascal: bool) -> String {
    let parts = field.trim_start_matches("r#").split('_').enumerate();
    parts
        .map(|(index, part)| {
            if index == 0 && !pascal {
                part.to_owned()
            } else {
                capitalised(part)
            }
        })
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_snake_case() {
        for (aws, rust) in [
            ("UserPoolId", "user_pool_id"),
            ("SMSMfaSettings", "sms_mfa_settings"),
            ("CallbackURLs", "callback_urls"),
            (
                "AllowedOAuthFlowsUserPoolClient",
                "allowed_oauth_flows_user_pool_client",
            ),
            ("MFAConfiguration", "mfa_configuration"),
            ("headerName", "header_name"),
            ("Type", "r#type"),
        ] {
            assert_eq!(field(aws), rust, "{aws}");
        }
    }

    #[test]
    fn variants_are_pascal_case() {
        for (aws, rust) in [
            ("USER_SRP_AUTH", "UserSrpAuth"),
            ("code", "Code"),
            ("CEDAR_4", "Cedar4"),
            ("us-east-1", "UsEast1"),
        ] {
            assert_eq!(pascal(aws), rust, "{aws}");
        }
    }

    #[test]
    fn serde_is_mirrored() {
        assert_eq!(serde_rename("user_pool_id", true), "UserPoolId");
        assert_eq!(serde_rename("policy_store_id", false), "policyStoreId");
        assert_eq!(serde_rename("r#type", true), "Type");
    }
}
