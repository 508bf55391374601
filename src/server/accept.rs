//! Connections: so many at once, and none for ever over which nothing goes.

use axum_server::accept::Accept;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Lets so many connections in at once and closes those beyond, and those that are idle for so long.
#[derive(Debug, Clone)]
pub(super) struct Bounded<A> {
    inner: A,
    room: Arc<Semaphore>,
    idle: Duration,
}

impl<A> Bounded<A> {
    pub fn new(inner: A, connections: usize, idle: Duration) -> Self {
        Self {
            inner,
            room: Arc::new(Semaphore::new(connections)),
            idle,
        }
    }
}

type Accepted<T, S> = Pin<Box<dyn Future<Output = io::Result<(Held<T>, S)>> + Send>>;

impl<A, S> Accept<TcpStream, S> for Bounded<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = Held<A::Stream>;
    type Service = A::Service;
    type Future = Accepted<A::Stream, A::Service>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        };
        // A socket that takes no option is still a socket.
        stream.set_nodelay(true).ok();
        let (accepted, idle) = (self.inner.accept(stream, service), self.idle);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let held = Held {
                stream,
                idle,
                alarm: Box::pin(sleep(idle)),
                _permit: permit,
            };
            Ok((held, service))
        })
    }
}

/// A connection that counts for as long as it lives, and fails once nothing went over it for a while.
#[derive(Debug)]
pub(super) struct Held<T> {
    stream: T,
    idle: Duration,
    alarm: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<T> Held<T> {
    /// Every step of a read or a write comes through here.
    fn watch<V>(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<V>>) -> Poll<io::Result<V>> {
        if step.is_ready() {
            self.alarm.as_mut().reset(Instant::now() + self.idle);
            return step;
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, step)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, step)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(cx, step)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum_server::accept::DefaultAcceptor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn one_too_many_is_closed_until_another_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let bounded = Bounded::new(DefaultAcceptor::new(), 1, Duration::from_secs(60));
        let mut clients = Vec::new();
        let mut accept = async || {
            clients.push(TcpStream::connect(place).await.unwrap());
            bounded.accept(listener.accept().await.unwrap().0, ()).await
        };
        let first = accept().await.unwrap();
        assert!(accept().await.is_err());
        drop(first);
        assert!(accept().await.is_ok());
    }

    #[tokio::test]
    async fn a_connection_over_which_nothing_goes_fails_and_one_that_is_used_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let bounded = Bounded::new(DefaultAcceptor::new(), 1, Duration::from_millis(300));
        let (mut held, ()) = bounded.accept(listener.accept().await.unwrap().0, ()).await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(held.read_u8().await.unwrap(), b'x');
        }
        assert_eq!(held.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Nor may a client keep it by not reading.
        let (mut held, flood) = (held, [0; 1 << 16]);
        let stuck = tokio::time::timeout(Duration::from_secs(20), async { while held.write_all(&flood).await.is_ok() {} });
        stuck.await.unwrap();
    }
}
