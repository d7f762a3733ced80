//! The service over a `TestEngine`, and calls to it.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::{Value, json};
use sigv4::{Credentials, Payload};
use testkit::TestEngine;
use tower::ServiceExt as _;

use crate::dispatch::Target;
use crate::{Api, Gate, Observer, Operator, Reloaded, service};

/// The pool that is declared.
pub(crate) const POOL: &str = "us-east-1_Test00001";

/// Its app client, with all flows and no secret.
pub(crate) const CLIENT: &str = "web";

/// The service with one pool, an operator of everything and one of another pool.
pub(crate) struct TestApi {
    pub(crate) engine: TestEngine,
    router: Router,
    counted: Arc<Counted>,
    gate: Arc<Reloads>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestApi {
    pub(crate) async fn new() -> Self {
        let clients = json!([{"id": CLIENT, "flows": ["USER_PASSWORD_AUTH", "USER_SRP_AUTH", "REFRESH_TOKEN_AUTH"]}]);
        let declare = json!([{"id": POOL, "clients": clients, "groups": ["readers"]}]);
        Self::over(
            TestEngine::with(json!({ "declare": declare }))
                .await
                .unwrap(),
        )
    }

    /// The service over any engine.
    pub(crate) fn over(engine: TestEngine) -> Self {
        let operators = [(ALL, "*"), (SCOPED, "us-east-1_Other0001")];
        let operator =
            |(id, pool): (&str, &str)| Operator::new(id.into(), SECRET.into(), vec![pool.into()]);
        let (counted, gate) = (Arc::<Counted>::default(), Arc::<Reloads>::default());
        let api = Api::new(
            engine.deref().clone(),
            operators.map(operator).into_iter().collect(),
            counted.clone(),
            gate.clone(),
        );
        Self {
            engine,
            router: service(api),
            counted,
            gate,
        }
    }

    /// From now on reloads fail.
    pub(crate) fn break_settings(&self) {
        self.gate.broken.store(true, Ordering::Relaxed);
    }

    /// A call of an operation of user pools, signed by the operator of everything.
    pub(crate) async fn admin(&self, operation: &str, body: Value) -> Reply {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        self.send(self.sign(request(&target, &body.to_string()), ALL, "cognito-idp"))
            .await
    }

    /// A call without a signature.
    pub(crate) async fn public(&self, operation: &str, body: Value) -> Reply {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        self.send(request(&target, &body.to_string()).map(Body::from))
            .await
    }

    /// Any request; an error that neither the operation's model declares nor all operations share is a defect.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let target = Target::of_header(request.headers());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        if let (Ok(target), false) = (target, reply.status.is_success()) {
            let (name, code) = (target.name(), reply.code());
            let declared = target.spec().errors.contains(&code.as_str());
            assert!(
                declared || SHARED.contains(&code.as_str()),
                "{name} does not declare {code}: {}",
                reply.text
            );
        }
        reply
    }

    /// `request`, signed now by that operator for that service.
    pub(crate) fn sign(
        &self,
        request: Request<String>,
        access_key_id: &str,
        service: &str,
    ) -> Request<Body> {
        let credentials = Credentials {
            access_key_id: access_key_id.into(),
            secret: SECRET.into(),
            session_token: None,
        };
        let (mut parts, body) = request.into_parts();
        let unsigned = sigv4::Request {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            payload: Payload::Bytes(body.as_bytes()),
        };
        let now = self.engine.deref().clock().now();
        let added = sigv4::sign(&unsigned, &credentials, "us-east-1", service, now).unwrap();
        parts.headers.extend(added);
        Request::from_parts(parts, Body::from(body))
    }

    /// The calls counted so far.
    pub(crate) fn counted(&self) -> Vec<(&'static str, &'static str)> {
        self.counted
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Reply {
    /// The JSON body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The exception's name, which stands in body and header alike.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let code = self
            .json()
            .get("__type")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            self.header("x-amzn-errortype"),
            format!("{code}:"),
            "{}",
            self.text
        );
        code
    }

    /// The exception's message.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing"))
            .to_str()
            .unwrap()
    }
}

/// `POST /` as SDKs send it, unsigned.
pub(crate) fn request(target: &str, body: &str) -> Request<String> {
    Request::builder()
        .method(Method::POST)
        .uri("/")
        .header(HOST, "auth.example.com")
        .header(CONTENT_TYPE, "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .body(body.to_owned())
        .unwrap()
}

/// A request with another `Authorization`.
pub(crate) fn authorized(mut request: Request<String>, value: &str) -> Request<Body> {
    request
        .headers_mut()
        .insert(AUTHORIZATION, HeaderValue::try_from(value).unwrap());
    request.map(Body::from)
}

/// The operator of everything.
pub(crate) const ALL: &str = "AKIDALL";

/// The operator of one other pool.
pub(crate) const SCOPED: &str = "AKIDSCOPED";

/// Errors that no model declares, since every operation can give them.
const SHARED: [&str; 10] = [
    "AccessDeniedException",
    "IncompleteSignatureException",
    "InternalErrorException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotImplementedException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
];

const SECRET: &str = "operator secret";

#[derive(Default)]
struct Counted(Mutex<Vec<(&'static str, &'static str)>>);

impl Observer for Counted {
    fn api_call(&self, operation: &'static str, result: &'static str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((operation, result));
    }
}

/// A gate whose settings are good until they are broken.
#[derive(Default)]
struct Reloads {
    broken: AtomicBool,
}

impl Gate for Reloads {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, Vec<String>>> + Send + '_>> {
        let outcome = if self.broken.load(Ordering::Relaxed) {
            Err(vec!["workers: one".to_owned(), "routes: two".to_owned()])
        } else {
            Ok(Reloaded {
                generation: 2,
                awaiting_restart: vec!["workers".to_owned()],
            })
        };
        Box::pin(std::future::ready(outcome))
    }
}
