//! Who is told how calls end.

/// Counts calls; both texts come from closed sets, never from callers.
pub trait Observer: Send + Sync + 'static {
    /// A call of `operation` (`Unknown` if it is none) ended with `result`: `ok` or the exception's name.
    fn api_call(&self, operation: &'static str, result: &'static str);
}

/// Nobody is told.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn api_call(&self, _operation: &'static str, _result: &'static str) {}
}
