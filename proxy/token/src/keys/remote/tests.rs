mod fetch;
mod last_good;
mod provider;
mod refresh;

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::net::TcpListener;

use self::provider::{Provider, start};
use super::*;
use crate::{
    Proxy, Transport,
    fixture::{OTHER_RSA, RSA, rsa_jwk},
};
