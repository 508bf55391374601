//! Who is let in: no more clients than allowed, and none that stays without watching.

use super::server::prelude::*;
use super::server::{RTSPClient, RTSPServer, gio};
use super::{RtspOptions, SWEEP_S};
use crate::error::{Kind, fault};
use anyhow::{Context, Result, bail};
use gstreamer::glib;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A listening socket in front of an RTSP server. The server's own cannot turn a client away: each client has a thread of its
/// own there, and closing it from another races with its beginning.
pub(super) struct Door {
    server: RTSPServer,
    /// How many clients at once.
    most: usize,
    /// How long a client may be connected and have no session.
    idle: Duration,
    guests: Arc<Mutex<Vec<Guest>>>,
}

/// A client that was let in.
struct Guest {
    client: glib::WeakRef<RTSPClient>,
    watched: Instant,
}

impl Guest {
    fn new(client: &RTSPClient) -> Self {
        Self {
            client: client.downgrade(),
            watched: Instant::now(),
        }
    }
}

/// It is open until this is dropped.
pub(super) struct Open {
    pub address: SocketAddr,
    sources: [glib::Source; 2],
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sources.iter().for_each(glib::Source::destroy);
    }
}

impl Door {
    /// Listens, on the thread that runs `context`.
    ///
    /// # Errors
    /// 69 where the address cannot be had.
    pub fn open(server: &RTSPServer, options: &RtspOptions, context: &glib::MainContext) -> Result<Open> {
        let listen = options.listen;
        let listener = TcpListener::bind(listen).map_err(|error| {
            let text = format!("RTSP cannot listen on {listen} ({error}): set another rtsp.listen");
            fault(Kind::Unavailable, text)
        })?;
        let address = listener.local_addr().context("cannot tell where RTSP listens")?;
        let listening = gio::Socket::from_fd(OwnedFd::from(listener))?;
        listening.set_blocking(false);
        let guests = Arc::new(Mutex::new(Vec::new()));
        let book = guests.clone();
        server.connect_client_connected(move |_, client| locked(&book).push(Guest::new(client)));
        let door = Arc::new(Self {
            server: server.clone(),
            most: options.clients as usize,
            idle: options.idle,
            guests,
        });
        let priority = glib::Priority::DEFAULT;
        let at_door = door.clone();
        let answer = move |listening: &gio::Socket, _| {
            at_door.answer(listening);
            glib::ControlFlow::Continue
        };
        let knocks = SocketExtManual::create_source(&listening, glib::IOCondition::IN, gio::Cancellable::NONE, None, priority, answer);
        let sweep = move || {
            door.sweep();
            glib::ControlFlow::Continue
        };
        let sources = [knocks, glib::timeout_source_new_seconds(SWEEP_S, None, priority, sweep)];
        for source in &sources {
            source.attach(Some(context));
        }
        Ok(Open { address, sources })
    }

    /// Lets everybody in who waits, as long as there is room.
    fn answer(&self, listening: &gio::Socket) {
        loop {
            match listening.accept(gio::Cancellable::NONE) {
                Ok(socket) => {
                    if let Err(error) = self.let_in(socket) {
                        tracing::warn!("an RTSP client was turned away: {error:#}");
                    }
                }
                Err(error) if error.matches(gio::IOErrorEnum::WouldBlock) => return,
                // No descriptors are left, or the client has gone: those who wait are asked again in a moment.
                Err(error) => {
                    tracing::warn!("an RTSP client could not be let in: {}", error.message());
                    thread::sleep(Duration::from_millis(100));
                    return;
                }
            }
        }
    }

    fn let_in(&self, socket: gio::Socket) -> Result<()> {
        let most = self.most;
        if self.server.client_filter(None).len() >= most {
            let _ = socket.close();
            bail!("{most} are connected, which is what rtsp.clients allows");
        }
        let Ok(from) = socket.remote_address()?.downcast::<gio::InetSocketAddress>() else {
            bail!("it has no address");
        };
        let from = SocketAddr::from(from);
        self.server
            .transfer_connection(socket, &from.ip().to_string(), from.port().into(), None)?;
        Ok(())
    }

    /// Ends the connections of those who have not watched for long, and forgets those who have gone.
    fn sweep(&self) {
        locked(&self.guests).retain_mut(|guest| {
            let Some(client) = guest.client.upgrade() else { return false };
            if !client.session_filter(None).is_empty() {
                guest.watched = Instant::now();
            } else if guest.watched.elapsed() >= self.idle {
                client.close();
            }
            true
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
