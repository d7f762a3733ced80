//! Pingora with nothing around it: what `benches/compare` measures the gate against.
//!
//! `bare LISTEN UPSTREAM [h2]` proxies callers on HTTP/1 and HTTP/2 to one address on one thread, with the gate's allocator;
//! with `h2` the upstream is asked on HTTP/2, without TLS.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::{
    apps::HttpServerOptions,
    prelude::{HttpPeer, Server},
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::configuration::ServerConf,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare {
    upstream: SocketAddr,
    is_http2: bool,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _: &mut Session,
        (): &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.upstream, false, String::new());
        if self.is_http2 {
            peer.options.set_http_version(2, 2);
        }
        Ok(Box::new(peer))
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: bare LISTEN UPSTREAM [h2]");
    };
    let bare = Bare {
        upstream: upstream.parse()?,
        is_http2: arguments.next().is_some_and(|version| version == "h2"),
    };
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let mut proxy = http_proxy_service(&server.configuration, bare);
    proxy.add_tcp(&listen);
    if let Some(logic) = proxy.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        logic.server_options = Some(options);
    }
    server.add_service(proxy);
    server.run_forever()
}
