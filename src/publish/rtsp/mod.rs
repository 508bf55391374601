//! An RTSP server for players: `rtsp://HOST:PORT/NAME` is the masked stream, `NAME/raw` the frames as they came, and
//! `NAME/classes` the class maps. All clients of one address share one encoder, which runs only while there are any; each has
//! a queue of its own.

mod door;
mod factory;
mod mounts;

use super::{Coders, View};
use crate::error::{Kind, fault};
use crate::media::init;
use crate::privacy::Secret;
use anyhow::{Context, Result};
use door::{Door, Open};
use factory::CoderFactory;
use gstreamer::glib;
use gstreamer_rtsp_server as server;
use gstreamer_rtsp_server::prelude::*;
use mounts::Mounts;
use server::gst_rtsp::RTSPAuthMethod;
use server::{RTSPAuth, RTSPFilterResult, RTSPServer, RTSPSessionPool, RTSPThreadPool, RTSPToken};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

const VIEWS: [View; 3] = [View::Masked, View::Raw, View::Classes];
/// What clients may do; the only role there is.
const ROLE: &str = "viewer";
/// Seconds between looks for clients that have gone without a word.
const SWEEP_S: u32 = 2;

/// Where and for whom the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RtspOptions {
    pub listen: SocketAddr,
    /// User and password; without them anybody may watch.
    pub login: Option<(String, Secret)>,
    /// How many clients at once.
    pub clients: u32,
    /// How long a client may be connected and have no session. A request for a stream that is silent takes less.
    pub idle: Duration,
}

impl Default for RtspOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8554)),
            login: None,
            clients: 64,
            idle: Duration::from_secs(60),
        }
    }
}

/// A server on a thread of its own. It ends when it is dropped.
pub(crate) struct RtspServer {
    server: RTSPServer,
    mounts: Mounts,
    door: Option<Open>,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    guarded: bool,
}

/// The addresses of one stream. They go when it is dropped, and whoever watches there is told the end.
pub(crate) struct Mount {
    server: Arc<RtspServer>,
    paths: Vec<String>,
}

impl RtspServer {
    /// Begins to listen.
    ///
    /// # Errors
    /// 69 where the address cannot be had, 78 where it is open to others and there is no login.
    pub fn start(options: &RtspOptions) -> Result<Arc<Self>> {
        init()?;
        options.check().map_err(|problem| fault(Kind::Config, problem))?;
        let (server, mounts) = (RTSPServer::new(), Mounts::default());
        server.set_mount_points(Some(&mounts));
        let sessions = RTSPSessionPool::new();
        sessions.set_max_sessions(options.clients);
        server.set_session_pool(Some(&sessions));
        // A thread a client: one that waits for a silent stream holds up no other.
        let threads = RTSPThreadPool::new();
        threads.set_max_threads(-1);
        server.set_thread_pool(Some(&threads));
        if let Some((user, password)) = &options.login {
            server.set_auth(Some(&auth(user, password)));
        }
        let context = glib::MainContext::new();
        let door = Door::open(&server, options, &context)?;
        let sweep = move || {
            sessions.cleanup();
            glib::ControlFlow::Continue
        };
        glib::timeout_source_new_seconds(SWEEP_S, None, glib::Priority::DEFAULT, sweep).attach(Some(&context));
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let run = main_loop.clone();
        let thread = thread::Builder::new().name("rtsp".into()).spawn(move || {
            // It is nobody else's, so it can always be had.
            context.with_thread_default(|| run.run()).ok();
        });
        Ok(Arc::new(Self {
            server,
            mounts,
            address: door.address,
            door: Some(door),
            main_loop,
            thread: Some(thread.context("cannot start a thread for RTSP")?),
            guarded: options.login.is_some(),
        }))
    }

    /// Where it listens.
    #[cfg(test)]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a view of a stream, as players take it.
    pub fn url(&self, name: &str, view: View) -> String {
        format!("rtsp://{}{}", self.address, path(name, view))
    }

    /// Lets clients watch a stream.
    pub fn mount(self: &Arc<Self>, name: &str, coders: &Coders) -> Mount {
        let mount = |view: View| {
            let path = path(name, view);
            let factory = CoderFactory::of(coders.of(view).clone());
            if self.guarded {
                factory.admit(ROLE);
            }
            self.mounts.add_factory(&path, factory);
            path
        };
        Mount {
            paths: VIEWS.map(mount).into(),
            server: self.clone(),
        }
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.server.client_filter(None).len()
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        self.door.take();
        let mut all = |_: &RTSPServer, _: &server::RTSPClient| RTSPFilterResult::Remove;
        self.server.client_filter(Some(&mut all));
        // From within, since what is not running yet cannot be told to quit.
        let (quit, priority) = (self.main_loop.clone(), glib::Priority::DEFAULT);
        let leave = move || {
            quit.quit();
            glib::ControlFlow::Break
        };
        glib::idle_source_new(None, priority, leave).attach(Some(&self.main_loop.context()));
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.paths.iter().for_each(|path| self.server.mounts.remove_factory(path));
        let is_ours = |media: &server::RTSPSessionMedia| {
            let whole = |path: &String| media.matches(path) == i32::try_from(path.len()).ok();
            self.paths.iter().any(whole)
        };
        let mut leave = |_: &RTSPServer, client: &server::RTSPClient| {
            let mut watches = false;
            client.session_filter(Some(&mut |_, session| {
                let medias = session.filter(Some(&mut |_, media| match is_ours(media) {
                    true => RTSPFilterResult::Ref,
                    false => RTSPFilterResult::Keep,
                }));
                watches |= !medias.is_empty();
                RTSPFilterResult::Keep
            }));
            match watches {
                true => RTSPFilterResult::Remove,
                false => RTSPFilterResult::Keep,
            }
        };
        self.server.server.client_filter(Some(&mut leave));
    }
}

impl RtspOptions {
    /// Whether they can be.
    ///
    /// # Errors
    /// One line: what was found and what was wanted.
    pub fn check(&self) -> Result<(), String> {
        if self.login.is_none() && !self.listen.ip().is_loopback() {
            let found = self.listen;
            return Err(format!(
                "rtsp.listen {found} can be reached from outside and nobody has to log in: set rtsp.user and rtsp.password, or listen on 127.0.0.1"
            ));
        }
        Ok(())
    }
}

/// Where a view of a stream is mounted.
fn path(name: &str, view: View) -> String {
    let name = mounts::encoded(name.as_bytes());
    match view {
        View::Masked => format!("/{name}"),
        View::Raw | View::Classes => format!("/{name}/{}", view.name()),
    }
}

fn auth(user: &str, password: &Secret) -> RTSPAuth {
    let token = RTSPToken::builder().field(server::RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE).build();
    let auth = RTSPAuth::new();
    auth.set_realm(Some("maskline"));
    // Basic would send the password as it is, for everybody on the way to read.
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    auth.add_digest(user, password.reveal(), &token);
    auth
}

#[cfg(test)]
mod tests;
