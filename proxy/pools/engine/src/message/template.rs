//! What messages say: a pool's templates with their places filled in.

use std::borrow::Cow;

use super::Medium;
use crate::pool::Pool;

/// A message's words.
pub(super) struct Text {
    pub(super) subject: String,
    pub(super) body: String,
}

/// A verification code, in the pool's words.
pub(super) fn verification(pool: &Pool, medium: Medium, code: &str) -> Text {
    let body = match medium {
        Medium::Email => words(
            pool,
            &[
                &["VerificationMessageTemplate", "EmailMessage"],
                &["EmailVerificationMessage"],
            ],
        ),
        Medium::Sms => words(
            pool,
            &[
                &["VerificationMessageTemplate", "SmsMessage"],
                &["SmsVerificationMessage"],
            ],
        ),
    };
    let subject = words(
        pool,
        &[
            &["VerificationMessageTemplate", "EmailSubject"],
            &["EmailVerificationSubject"],
        ],
    );
    Text {
        subject: subject.unwrap_or(CODE_SUBJECT).to_owned(),
        body: fill(body.unwrap_or(CODE_BODY), medium, code, None),
    }
}

/// A temporary password, in the pool's words.
pub(super) fn invitation(pool: &Pool, medium: Medium, username: &str, password: &str) -> Text {
    let template = |key| {
        words(
            pool,
            &[&["AdminCreateUserConfig", "InviteMessageTemplate", key]],
        )
    };
    let body = match medium {
        Medium::Email => template("EmailMessage"),
        Medium::Sms => template("SMSMessage"),
    };
    Text {
        subject: template("EmailSubject")
            .unwrap_or(INVITATION_SUBJECT)
            .to_owned(),
        body: fill(
            body.unwrap_or(INVITATION_BODY),
            medium,
            password,
            Some(username),
        ),
    }
}

/// The first of the pool's settings that is there.
fn words<'p>(pool: &'p Pool, paths: &[&[&str]]) -> Option<&'p str> {
    paths.iter().find_map(|path| pool.template(path))
}

/// Fills `{####}` and, in invitations, `{username}`. One pass: what is filled in is not looked at again.
fn fill(template: &str, medium: Medium, secret: &str, username: Option<&str>) -> String {
    let places = [
        Some((CODE, secret)),
        username.map(|username| (USERNAME, username)),
    ];
    let mut out = String::with_capacity(template.len() + secret.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let place = places
            .iter()
            .flatten()
            .find_map(|(mark, value)| Some((here.strip_prefix(mark)?, value)));
        rest = if let Some((after, value)) = place {
            out.push_str(&escape(value, medium));
            after
        } else {
            out.push('{');
            here.get(1..).unwrap_or_default()
        };
    }
    out.push_str(rest);
    out
}

/// Mail bodies are HTML, and a user chooses the name: it must not be read as markup.
fn escape(value: &str, medium: Medium) -> Cow<'_, str> {
    if medium == Medium::Sms || !value.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

const CODE: &str = "{####}";
const USERNAME: &str = "{username}";
// AWS's default texts.
const CODE_SUBJECT: &str = "Your verification code";
const CODE_BODY: &str = "Your verification code is {####}. ";
const INVITATION_SUBJECT: &str = "Your temporary password";
const INVITATION_BODY: &str = "Your username is {username} and temporary password is {####}. ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_once() {
        assert_eq!(
            fill("a {####} b {####}", Medium::Sms, "123456", None),
            "a 123456 b 123456"
        );
        assert_eq!(
            fill(INVITATION_BODY, Medium::Sms, "{username}", Some("{####}")),
            "Your username is {####} and temporary password is {username}. "
        );
        assert_eq!(
            fill("{username} {x} {", Medium::Sms, "1", None),
            "{username} {x} {"
        );
    }

    #[test]
    fn mail_is_escaped_and_text_messages_are_not() {
        assert_eq!(
            fill("{####}", Medium::Email, "<a>&\"'", None),
            "&lt;a&gt;&amp;&quot;&#39;"
        );
        assert_eq!(fill("{####}", Medium::Sms, "<a>&", None), "<a>&");
    }
}
