//! Connections: how many, how slow they may be, TLS, and an orderly end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use super::app::App;

/// What connections may be.
#[derive(Clone, Debug)]
pub struct NetSettings {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// For headers to come in, and for a client to take what was written to it.
    pub client_timeout: Duration,
    /// For a client to say nothing: longer than any answer takes.
    pub idle_timeout: Duration,
    /// From the request to stop to the end of the last answer.
    pub grace: Duration,
    /// Certificate chain and private key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Answers requests until `stop` comes, then finishes those under way for as long as the grace time. What is left then is ended with
/// the reason `abort`, and clients have [`CLOSING`] to take that.
///
/// # Errors
/// [`io::Error`] when the listener fails.
pub async fn serve(
    app: Arc<App>,
    router: Router,
    listener: TcpListener,
    settings: NetSettings,
    tls: Option<RustlsConfig>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    tokio::spawn(end(Arc::clone(&app), handle.clone(), settings.grace, stop));
    let acceptor = Guard {
        permits: Arc::new(Semaphore::new(settings.connections)),
        silent: Arc::new(Semaphore::new(SILENT * settings.connections)),
        timeout: settings.client_timeout,
        idle: settings.idle_timeout,
    };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let mut http = server.http_builder().http1();
    http.timer(TokioTimer::new()).header_read_timeout(settings.client_timeout);
    match tls {
        None => server.acceptor(acceptor).serve(service).await,
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls).acceptor(acceptor);
            server.acceptor(acceptor).serve(service).await
        }
    }
}

/// Reads certificate and key.
///
/// # Errors
/// [`io::Error`] naming the files.
pub async fn tls(settings: &NetSettings) -> io::Result<Option<RustlsConfig>> {
    let Some((chain, key)) = &settings.tls else { return Ok(None) };
    // Another part of the program may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = RustlsConfig::from_pem_chain_file(chain, key).await.map_err(|error| {
        let files = format!("the certificate {} with the key {}", chain.display(), key.display());
        io::Error::new(error.kind(), format!("{files} cannot be used: {error}"))
    })?;
    Ok(Some(config))
}

/// The orderly end.
async fn end(
    app: Arc<App>,
    handle: Handle<SocketAddr>,
    grace: Duration,
    stop: impl Future<Output = ()>,
) {
    stop.await;
    app.drain();
    app.log.note("stopping: no more requests are taken, answers under way are finished");
    handle.graceful_shutdown(Some(grace + CLOSING));
    tokio::time::sleep(grace).await;
    // Those that are not finished still get their ends, their receipts and a reason.
    app.abort();
}

/// For the last words of answers that were ended.
const CLOSING: Duration = Duration::from_secs(5);

/// Connections that wait for a place or have said nothing yet, for each place; more are dropped.
const SILENT: usize = 4;

/// Lets in as many connections as allowed, and drops those that say nothing or do not read.
#[derive(Clone)]
struct Guard {
    permits: Arc<Semaphore>,
    silent: Arc<Semaphore>,
    timeout: Duration,
    idle: Duration,
}

impl Guard {
    /// Waits for the first word, then for a place.
    async fn admit(&self, stream: &TcpStream) -> io::Result<OwnedSemaphorePermit> {
        let _waiting = self.silent.try_acquire().map_err(io::Error::other)?;
        tokio::time::timeout(self.timeout, stream.peek(&mut [0])).await??;
        Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Guard {
    type Stream = Guarded;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Guarded, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let permit = guard.admit(&stream).await?;
            // Words are small and late ones annoy.
            stream.set_nodelay(true)?;
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(guard.timeout));
            stream.set_read_timeout(Some(guard.idle));
            Ok((Guarded { stream: Box::pin(stream), _permit: permit }, service))
        })
    }
}

/// A connection with its place among those allowed.
struct Guarded {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
