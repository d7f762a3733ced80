//! Single stages of one request, each as often as asked.

use std::{io::Cursor, net::IpAddr, time::SystemTime};

use pingora::proxy::Session;

use super::{Admission, at_once};
use crate::gateway::{
    admit::admit,
    forward::upstream_head,
    head::Head,
    judge,
    record::{self, Micros, Record},
};

/// A request of HTTP/1 that was read and admitted, to go through stages of its way again and again.
pub struct Stages {
    admission: Admission,
    session: Session,
    peer: IpAddr,
    head: Head,
}

impl Stages {
    /// Reads and admits a request; `None` if it is none or is refused.
    pub fn new(admission: Admission, bytes: &[u8], peer: IpAddr) -> Option<Self> {
        let mut session = Session::new_h1(Box::new(Cursor::new(bytes.to_vec())));
        at_once(session.read_request())?.ok().filter(|read| *read)?;
        let head = admit(&judge::raw(&session, peer), &admission.0).ok()?;
        Some(Self {
            admission,
            session,
            peer,
            head,
        })
    }

    /// Admits it anew; gives the number of fields that go on.
    pub fn admit(&self) -> Option<usize> {
        let raw = judge::raw(&self.session, self.peer);
        Some(admit(&raw, &self.admission.0).ok()?.headers.len())
    }

    /// Builds the head that goes upstream; gives the number of its fields.
    pub fn upstream_head(&self) -> Option<usize> {
        let head = upstream_head(&self.head, self.session.req_header(), None).ok()?;
        Some(head.headers.len())
    }

    /// Writes the decision record of it, permitted by these policies and answered, in the place of what is in `line`.
    pub fn record(&self, time: SystemTime, policies: &[&str], line: &mut Vec<u8>) -> bool {
        let record = Record {
            time: record::told(time),
            request_id: REQUEST_ID,
            route: Some("pets"),
            generation: 7,
            outcome: "allow",
            code: None,
            limit: None,
            principal: Some(PRINCIPAL),
            certificate: None,
            action: Some(ACTION),
            resource: Some(RESOURCE),
            policies: policies.to_vec(),
            upstream: Some("127.0.0.1:8081"),
            status: 200,
            micros: Micros {
                admit: 11,
                identify: 3,
                decide: 2,
                total: 412,
            },
            method: self.head.method.as_str(),
            host: Some(self.head.authority.host()),
            path: Some(&self.head.path),
            client: self.head.client,
            bytes: 512,
        };
        line.clear();
        record.write(line).is_ok()
    }
}

const REQUEST_ID: &str = "7f1c3f5e-0000-4000-8000-000000000000";
const PRINCIPAL: &str =
    "PetStore::User::\"us-east-1_PetStore1|7f1c3f5e-0000-4000-8000-000000000001\"";
const ACTION: &str = "PetStore::Action::\"get /pets/{petId}\"";
const RESOURCE: &str = "PetStore::Application::\"PetStore\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(request: &str) -> Option<Stages> {
        let admission = Admission::default();
        Stages::new(admission, request.as_bytes(), [192, 0, 2, 7].into())
    }

    #[test]
    fn each_stage_does_what_it_is_named_for() {
        let stages = stages("GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n").unwrap();
        // With what tells the upstream who is behind the gate.
        let admitted = stages.admit().unwrap();
        assert!(admitted > 2, "{admitted}");
        assert_eq!(stages.upstream_head(), Some(admitted));
        let mut line = b"old".to_vec();
        assert!(stages.record(SystemTime::UNIX_EPOCH, &["p"], &mut line));
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(record["time"], "1970-01-01T00:00:00Z");
        assert_eq!(record["policies"], serde_json::json!(["p"]));
        assert_eq!(record["path"], "/a");
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn what_is_refused_has_no_stages() {
        assert!(stages("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n").is_none());
        assert!(stages("GET / HTTP/1.1\r\nHost").is_none());
    }
}
