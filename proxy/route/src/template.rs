//! placeholder
/// t
#[derive(Debug)]
pub struct PathTemplate;
