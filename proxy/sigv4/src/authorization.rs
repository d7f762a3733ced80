//! The `Authorization` header: who claims to have signed what.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::key::sha256;
use crate::{ALGORITHM, Refusal, TERMINATOR};

/// A parsed header; nothing of it is proved before [`crate::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub(crate) access_key_id: String,
    pub(crate) scope: Scope,
    /// Lower case, in the order of the header.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: [u8; 32],
}

/// What a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `20150830`.
    pub date: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// The signing name, such as `cognito-idp`.
    pub service: String,
}

impl Authorization {
    /// Reads the request's one `Authorization` header.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::Missing)?;
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let text = text.ok_or_else(|| {
            Refusal::Incomplete("Authorization header must be one line of ASCII".into())
        })?;
        if text.is_empty() {
            return Err(Refusal::Missing);
        }
        let given = Given::read(text);
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (given.credential, given.signed_headers, given.signature)
        else {
            return Err(Refusal::Incomplete(given.missing(text)));
        };
        let (access_key_id, scope) = credential_parts(credential)?;
        Ok(Self {
            access_key_id,
            scope,
            signed_headers: header_names(signed_headers),
            signature: digest(signature)?,
        })
    }

    /// Whose signature it claims to be.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// What it claims to be good for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Scope {
    /// `20150830/us-east-1/iam/aws4_request`.
    pub(crate) fn text(&self) -> String {
        format!(
            "{}/{}/{}/{TERMINATOR}",
            self.date, self.region, self.service
        )
    }
}

/// The header's parameters, as far as they are there.
#[derive(Default)]
struct Given<'a> {
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn read(text: &'a str) -> Self {
        let mut given = Self::default();
        let Some(rest) = text
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with([' ', '\t']))
        else {
            return given;
        };
        for (name, value) in rest
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
        {
            match name {
                "Credential" => given.credential = Some(value),
                "SignedHeaders" => given.signed_headers = Some(value),
                "Signature" => given.signature = Some(value),
                _ => {}
            }
        }
        given
    }

    /// AWS names each missing parameter, and shows the header only as a hash.
    fn missing(&self, text: &str) -> String {
        let parameters = [
            ("Credential", self.credential),
            ("Signature", self.signature),
            ("SignedHeaders", self.signed_headers),
        ];
        let mut out = String::new();
        for (name, _) in parameters.iter().filter(|(_, value)| value.is_none()) {
            out.extend(["Authorization header requires '", name, "' parameter. "]);
        }
        out.push_str("(Hashed with SHA-256 and encoded with Base64) Authorization=");
        STANDARD.encode_string(sha256(text.as_bytes()), &mut out);
        out
    }
}

fn credential_parts(credential: &str) -> Result<(String, Scope), Refusal> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, service, terminator] = parts.as_slice() else {
        return Err(Refusal::Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term".into(),
        ));
    };
    if *terminator != TERMINATOR {
        return Err(Refusal::Invalid(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
        )));
    }
    if access_key_id.is_empty() || region.is_empty() {
        return Err(Refusal::Invalid(
            "Credential should be scoped to a valid region.".into(),
        ));
    }
    let scope = Scope {
        date: (*date).to_owned(),
        region: (*region).to_owned(),
        service: (*service).to_owned(),
    };
    Ok(((*access_key_id).to_owned(), scope))
}

fn header_names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_ascii_lowercase).collect()
}

fn digest(signature: &str) -> Result<[u8; 32], Refusal> {
    let mut bytes = [0; 32];
    // A signature of the wrong form cannot match; AWS answers it the same way.
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| Refusal::Mismatch)?;
    Ok(bytes)
}
