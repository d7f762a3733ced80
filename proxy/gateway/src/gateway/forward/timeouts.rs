//! How long an upstream may take.

use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use crate::upstream::Endpoint;

/// A route's patience.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// To be connected to, TLS apart.
    pub(super) connect: Duration,
    /// Until the answer begins, and between two octets in either direction.
    pub(super) silence: Duration,
    /// Until the answer is whole.
    pub(crate) total: Option<Duration>,
}

impl Timeouts {
    /// A peer that is waited for as long as this.
    pub(super) fn peer(&self, endpoint: &Endpoint) -> Box<HttpPeer> {
        let mut peer = endpoint.peer();
        let options = &mut peer.options;
        options.connection_timeout = Some(self.connect);
        options.total_connection_timeout = Some(self.connect.saturating_add(HANDSHAKE));
        options.read_timeout = Some(self.silence);
        options.write_timeout = Some(self.silence);
        peer
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        settings::Timeouts::default().into()
    }
}

impl From<settings::Timeouts> for Timeouts {
    fn from(timeouts: settings::Timeouts) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            connect: seconds(timeouts.connect_seconds),
            silence: seconds(timeouts.silence_seconds),
            total: timeouts.total_seconds.map(seconds),
        }
    }
}

/// Of TLS.
const HANDSHAKE: Duration = Duration::from_secs(3);
