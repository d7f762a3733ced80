//! Which operation a request asks for.

use http::{HeaderMap, Method};
use serde_json::Value;
use wire::query::Parameters;
use wire::{Service, Spec};

use crate::caller::Call;
use crate::table::{Running, State};
use crate::{Error, Result};

/// Makes `Target` of the services' modules, which are called the same here and in `wire`.
macro_rules! services {
    ($($variant:ident $module:ident,)*) => {
        /// An operation of any service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Target { $($variant(wire::$module::Operation)),* }

        impl Target {
            /// Every operation of every service.
            pub(crate) fn all() -> impl Iterator<Item = Self> {
                std::iter::empty()$(.chain(wire::$module::Operation::ALL.iter().copied().map(Self::$variant)))*
            }

            /// Its service.
            pub(crate) fn service(self) -> &'static Service {
                match self { $(Self::$variant(_) => &wire::$module::SERVICE),* }
            }

            /// What its model says.
            pub(crate) fn spec(self) -> &'static Spec {
                match self { $(Self::$variant(operation) => operation.spec()),* }
            }

            /// How far it is built.
            pub(crate) fn state(self) -> State {
                match self { $(Self::$variant(operation) => crate::$module::state(operation)),* }
            }

            /// Runs it on a checked request.
            pub(crate) fn run(self, call: Call<'_>, input: Value) -> Running<'_> {
                match self { $(Self::$variant(operation) => crate::$module::run(operation, call, input)),* }
            }

            /// `prefix` and `name` as in `X-Amz-Target`.
            fn named(prefix: &str, name: &str) -> Option<Self> {
                $(if wire::$module::SERVICE.target_prefix == Some(prefix) {
                    return wire::$module::Operation::from_name(name).map(Self::$variant);
                })*
                None
            }
        }
    };
}

services! {
    Idp idp,
    Identity identity,
    Sync sync,
    Sts sts,
    Permissions permissions,
    Operator operator,
}

impl Target {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.spec().name
    }

    /// From `X-Amz-Target`.
    pub(crate) fn of_header(headers: &HeaderMap) -> Result<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Error::unknown_operation(
                "a request needs one `X-Amz-Target` header",
            ));
        };
        let named = value.to_str().ok().and_then(|text| text.split_once('.'));
        let found = named.and_then(|(prefix, name)| Self::named(prefix, name));
        found.ok_or_else(|| Error::unknown_operation("`X-Amz-Target` names no operation"))
    }

    /// From `Action` and `Version` of a form.
    pub(crate) fn of_action(parameters: &Parameters) -> Result<Self> {
        let action = parameters
            .get("Action")
            .map(String::as_str)
            .unwrap_or_default();
        let version = parameters
            .get("Version")
            .map(String::as_str)
            .unwrap_or_default();
        let found = wire::sts::Operation::from_name(action)
            .filter(|_| version == wire::sts::SERVICE.version);
        found.map(Self::Sts).ok_or_else(|| {
            Error::unknown_operation("the form's `Action` and `Version` name no operation")
        })
    }

    /// From the path, for REST.
    pub(crate) fn of_path(method: &Method, path: &str) -> Option<(Self, Parameters)> {
        wire::sync::Operation::ALL.iter().find_map(|operation| {
            let parameters = wire::rest::matches(operation.spec(), method, path)?;
            Some((Self::Sync(*operation), parameters))
        })
    }
}

/// The header that names the operation.
pub(super) const HEADER: &str = "x-amz-target";
