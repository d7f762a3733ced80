//! Services and their operations, as the models describe them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::shape::Shape;

/// How a service's requests and responses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// JSON-RPC with `application/x-amz-json-1.0`.
    Json10,
    /// JSON-RPC with `application/x-amz-json-1.1`.
    Json11,
    /// JSON bodies, with members in path, query and headers.
    RestJson,
    /// A form in, XML out.
    Query,
}

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Its endpoint's name, such as `cognito-idp`.
    pub name: &'static str,
    /// How it speaks.
    pub protocol: Protocol,
    /// The service in a signature's credential scope.
    pub signing_name: &'static str,
    /// What stands before the dot in `X-Amz-Target`.
    pub target_prefix: Option<&'static str>,
    /// `Version` of the query protocol.
    pub version: &'static str,
    /// Namespace of XML replies.
    pub xml_namespace: Option<&'static str>,
    /// Every error the service's model declares.
    pub errors: &'static [ErrorShape],
}

/// How one modelled error stands on the wire.
#[derive(Debug)]
pub struct ErrorShape {
    /// The exception's name.
    pub name: &'static str,
    /// What the wire calls it; differs from the name in the query protocol.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
}

/// One operation.
#[derive(Debug)]
pub struct Spec {
    /// Its name, as in `X-Amz-Target`.
    pub name: &'static str,
    /// Whether the caller must sign; the others ignore any `Authorization` header.
    pub signed: bool,
    /// HTTP method.
    pub method: &'static str,
    /// Path template; `/` outside REST.
    pub uri: &'static str,
    /// The element around the result in the query protocol.
    pub wrapper: Option<&'static str>,
    /// What a request must look like.
    pub input: &'static Shape,
    /// Exceptions the model declares for it.
    pub errors: &'static [&'static str],
}

/// A request that stands for one operation.
pub trait Request: DeserializeOwned + Send + 'static {
    /// The service's list of operations.
    type Operation: Copy + PartialEq;
    /// The operation it asks for.
    const OPERATION: Self::Operation;
    /// What answers it; `()` where the body stays empty.
    type Response: Serialize + Send + 'static;
}

/// What is done with the request type of an operation that is only known at run time; code is made for those who ask.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it for requests of type `R`.
    fn visit<R: Request + Serialize>(self) -> Self::Output;
}

/// Makes a service's `Operation` enum and the `Request` of each input.
macro_rules! operations {
    ($($(#[$about:meta])* $name:ident($input:ty) -> $output:ty {
        signed: $signed:literal, method: $method:literal, uri: $uri:literal, wrapper: $wrapper:expr,
        input: $shape:ident, errors: $errors:expr $(,)?
    })*) => {
        /// The service's operations.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { $($(#[$about])* $name),* }

        impl Operation {
            /// Every operation, by name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, as in `X-Amz-Target`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The operation of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                // INVARIANT: `ALL` is sorted, since the model's operations are.
                let index = Self::ALL.binary_search_by(|operation| operation.name().cmp(name)).ok()?;
                Self::ALL.get(index).copied()
            }

            /// Does something with the type of its requests.
            pub fn visit<V: $crate::Visitor>(self, visitor: V) -> V::Output {
                match self { $(Self::$name => visitor.visit::<$input>()),* }
            }

            /// What the model says of it.
            pub fn spec(self) -> &'static $crate::operation::Spec {
                match self { $(Self::$name => {
                    static SPEC: $crate::operation::Spec = $crate::operation::Spec {
                        name: stringify!($name), signed: $signed, method: $method, uri: $uri, wrapper: $wrapper,
                        input: &$shape, errors: &$errors,
                    };
                    &SPEC
                }),* }
            }
        }

        $(impl $crate::operation::Request for $input {
            type Operation = Operation;
            const OPERATION: Operation = Operation::$name;
            type Response = $output;
        })*
    };
}

pub(crate) use operations;
