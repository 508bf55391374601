//! The HTTP server of `maskline serve`: a page to look at the streams and to change them, the same for programs, metrics and
//! health.

mod accept;
mod api;
mod ask;
mod auth;
mod events;
mod fail;
mod guard;
mod health;
mod live;
mod metrics;
mod page;
mod recordings;
mod routes;
#[cfg(test)]
mod tests;
mod whep;

use crate::error::{Kind, fault};
use crate::privacy::Secret;
use crate::serve::Host;
use accept::Bounded;
use anyhow::{Context, Result};
use auth::Auth;
use axum::Router;
use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use guard::Guard;
use hyper_util::rt::TokioTimer;
use live::Previews;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Connections at once; those beyond are closed. A page has one for each stream and up to six for all else.
const CONNECTIONS: usize = 512;
/// A request's head is there after so long, or the connection is closed.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A connection over which nothing goes for so long is closed: nobody is at its other end, or somebody who does not read.
const IDLE: Duration = Duration::from_secs(60);
/// Answers that are under way when the server stops have so long; pictures and events would go on for ever.
const GRACE: Duration = Duration::from_millis(800);

/// How the server is reached, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens it. Without one it listens for this machine only.
    pub token: Option<Secret>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
    /// Files with the certificate chain and its key, both PEM; `None` for HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Other origins under which it is reached, such as `https://cams.example.org`.
    pub origins: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            token: None,
            token_file: None,
            tls: None,
            origins: Vec::new(),
        }
    }
}

/// What every request may use.
struct App {
    host: Arc<Host>,
    auth: Auth,
    guard: Guard,
    previews: Previews,
    /// When this process began to serve, in milliseconds since 1970: ids of events count from 0 in each.
    epoch: u64,
    /// The OpenAPI document.
    document: String,
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    tls: Option<(RustlsConfig, PathBuf, PathBuf)>,
    handle: Handle<SocketAddr>,
    /// Both there until it is stopped.
    running: Option<(Runtime, JoinHandle<io::Result<()>>)>,
}

impl Server {
    /// Listens, and serves from threads of its own.
    ///
    /// # Errors
    /// 78 for an address that others reach without a token, for a token or a certificate that cannot be used; 69 where the
    /// address cannot be had.
    pub fn start(host: Arc<Host>, options: &ServerOptions) -> Result<Self> {
        let token = auth::token(options.token.as_ref(), options.token_file.as_deref())?;
        let listen = options.listen;
        if token.is_none() && !listen.ip().is_loopback() {
            let line = format!("server.listen is {listen}, which others reach: set server.token_file, or listen on 127.0.0.1");
            return Err(fault(Kind::Config, line));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("http")
            .enable_all()
            .build()
            .context("cannot start the threads of the HTTP server")?;
        let tls = options.tls.as_ref().map(|(cert, key)| {
            let config = runtime.block_on(certificate(cert.clone(), key.clone()))?;
            anyhow::Ok((config, cert.clone(), key.clone()))
        });
        let tls = tls.transpose()?;
        let listener = listener(listen)?;
        let address = listener.local_addr().context("a socket has no address")?;
        let app = App {
            host,
            auth: Auth::new(token.as_ref(), address.port(), tls.is_some()),
            guard: Guard::new(address.ip(), &options.origins),
            previews: Previews::default(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64),
            document: routes::document(),
        };
        let handle = Handle::new();
        let config = tls.as_ref().map(|(config, ..)| config.clone());
        let serving = serve(listener, config, handle.clone(), routes::router(app));
        let task = runtime.spawn(serving);
        Ok(Self {
            address,
            tls,
            handle,
            running: Some((runtime, task)),
        })
    }

    /// Where it listens, as a browser takes it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// Reads certificate and key again, if there are any: new connections have the new ones.
    ///
    /// # Errors
    /// 78 where they cannot be used; the old ones stay.
    pub fn reload_certificate(&self) -> Result<()> {
        let Some(((config, cert, key), (runtime, _))) = self.tls.as_ref().zip(self.running.as_ref()) else {
            return Ok(());
        };
        let new = runtime.block_on(certificate(cert.clone(), key.clone()))?;
        config.reload_from_config(new.get_inner());
        Ok(())
    }

    /// Ends all connections, within two seconds.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some((runtime, task)) = self.running.take() else { return };
        self.handle.graceful_shutdown(Some(GRACE));
        // It ends by itself when all answers are out or their time is over.
        runtime.block_on(async { tokio::time::timeout(2 * GRACE, task).await }).ok();
        runtime.shutdown_timeout(GRACE / 4);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn listener(listen: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let line = format!("cannot listen on {listen}: {error}; name another address with server.listen");
        fault(Kind::Unavailable, line)
    })
}

async fn certificate(cert: PathBuf, key: PathBuf) -> Result<RustlsConfig> {
    // The second time it is there already.
    rustls::crypto::ring::default_provider().install_default().ok();
    RustlsConfig::from_pem_file(&cert, &key).await.map_err(|error| {
        let line = format!(
            "server.tls_cert {} and server.tls_key {} cannot be used: {error}",
            cert.display(),
            key.display()
        );
        fault(Kind::Config, line)
    })
}

async fn serve(listener: TcpListener, tls: Option<RustlsConfig>, handle: Handle<SocketAddr>, router: Router) -> io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.handle(handle).http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME);
    let service = router.into_make_service();
    match tls {
        Some(config) => {
            server
                .acceptor(Bounded::new(RustlsAcceptor::new(config), CONNECTIONS, IDLE))
                .serve(service)
                .await
        }
        None => {
            server
                .acceptor(Bounded::new(DefaultAcceptor::new(), CONNECTIONS, IDLE))
                .serve(service)
                .await
        }
    }
}
