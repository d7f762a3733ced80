//! The tables of operations: one row each, and what a row says.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use serde_json::Value;
use wire::{Protocol, Request};

use crate::caller::Call;
use crate::{Error, Result, respond};

/// How far an operation is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does what AWS's does.
    Built(Who),
    /// It is stored and returned to the letter, with no effect yet.
    Recorded(Who),
    /// It answers 501.
    NotBuilt,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An operator.
    Admin,
    /// A user with an access token.
    Bearer,
    /// Anybody.
    Public,
}

/// A call on its way to an answer's body.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + 'a>>;

/// A request for one operation, and how its answer is encoded.
pub(crate) struct Job<'a, R: Request> {
    call: Call<'a>,
    answer: PhantomData<fn(R::Response)>,
}

impl<'a, R: Request> Job<'a, R> {
    /// The typed request of a row.
    pub(crate) fn new(call: Call<'a>, row: R::Operation, input: Value) -> Result<(R, Self)> {
        if R::OPERATION != row {
            let name = call.spec.name;
            return Err(Error::internal(format!(
                "the row of {name} names a function of another operation"
            )));
        }
        let request = wire::typed::<R>(input)
            .map_err(|rejected| respond::rejected(call.service, rejected))?;
        Ok((
            request,
            Self {
                call,
                answer: PhantomData,
            },
        ))
    }

    /// The body of the answer.
    pub(crate) fn encode(&self, response: &R::Response) -> Result<Vec<u8>> {
        let Call {
            service,
            spec,
            request_id,
            ..
        } = self.call;
        let body = match service.protocol {
            Protocol::Query => wire::query::encode(service, spec, response, request_id),
            Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => {
                wire::json::encode(response)
            }
        };
        body.map_err(Error::internal)
    }
}

/// Makes a service's `state` and `run` of its rows. The enum of operations is matched without a wildcard: an operation
/// that AWS adds stops the build until it has a row.
macro_rules! table {
    ($operations:ty; $($name:ident => $first:ident $($second:ident)? $(($caller:ident))?,)*) => {
        /// How far an operation is built.
        pub(crate) fn state(operation: $operations) -> $crate::table::State {
            match operation { $(<$operations>::$name => $crate::table::row!(state $first $($second)? $(($caller))?),)* }
        }

        /// Runs an operation on a checked request.
        pub(crate) fn run(
            operation: $operations,
            call: $crate::caller::Call<'_>,
            input: serde_json::Value,
        ) -> $crate::table::Running<'_> {
            match operation {
                $(<$operations>::$name => {
                    $crate::table::row!(run call, operation, input; $first $($second)? $(($caller))?)
                })*
            }
        }
    };
}

/// What one row says.
macro_rules! row {
    (state not_built) => { $crate::table::State::NotBuilt };
    (state recorded $function:ident($caller:ident)) => {
        $crate::table::State::Recorded($crate::table::Who::$caller)
    };
    (state $function:ident($caller:ident)) => { $crate::table::State::Built($crate::table::Who::$caller) };
    (admit Admin $call:ident, $input:ident) => { $call.admin()? };
    (admit Bearer $call:ident, $input:ident) => { $call.bearer(&$input).await? };
    (admit Public $call:ident, $input:ident) => { $call.public() };
    (run $call:ident, $operation:ident, $input:ident; not_built) => {{
        let _ = ($call, $input);
        Box::pin(std::future::ready(Err($crate::Error::not_built($operation.name()))))
    }};
    (run $call:ident, $operation:ident, $input:ident; recorded $function:ident($caller:ident)) => {
        $crate::table::row!(run $call, $operation, $input; $function($caller))
    };
    (run $call:ident, $operation:ident, $input:ident; $function:ident($caller:ident)) => {
        Box::pin(async move {
            let caller = $crate::table::row!(admit $caller $call, $input);
            let (request, job) = $crate::table::Job::new($call, $operation, $input)?;
            job.encode(&$function::$function(caller, request).await?)
        })
    };
}

pub(crate) use {row, table};
