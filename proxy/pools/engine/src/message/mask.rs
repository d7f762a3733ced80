//! How a destination is shown to a caller who may not be its owner.

/// `jane@example.com` as `j***@e***`.
pub(crate) fn email(address: &str) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    let first = |part: &str| part.chars().next().map(String::from).unwrap_or_default();
    format!("{}***@{}***", first(local), first(domain))
}

/// `+12065550123` as `+*******0123`.
pub(crate) fn phone(number: &str) -> String {
    let digits = number.trim_start_matches('+');
    // A number so short that four digits would show most of it shows none.
    let shown = if digits.len() > 2 * SHOWN {
        digits.get(digits.len() - SHOWN..).unwrap_or_default()
    } else {
        ""
    };
    format!("+{}{shown}", "*".repeat(digits.len() - shown.len()))
}

const SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_masked() {
        assert_eq!(email("jane@gmail.com"), "j***@g***");
        assert_eq!(email("ü@bücher.example"), "ü***@b***");
        assert_eq!(phone("+12065551234"), "+*******1234");
        assert_eq!(phone("+12345678"), "+********");
    }
}
