//! A running server: its runtime, its signals, its end.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::app::App;
use super::net::{self, NetSettings};
use super::{auth, detection, openapi, page, routes};

/// A server that answers requests, in threads of its own.
pub struct Server {
    runtime: Runtime,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Begins to answer: that it is loading, until the app is opened. SIGTERM and SIGINT end it; at SIGHUP it loads policies again.
    ///
    /// # Errors
    /// [`io::Error`] when the operating system gives no threads or signals, or the certificate cannot be used.
    pub fn start(app: &Arc<App>, listener: TcpListener, settings: NetSettings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let tls = runtime.block_on(net::tls(&settings))?;
        let serving = {
            let _entered = runtime.enter();
            let stop = stopped()?;
            runtime.spawn(reload_when_told(Arc::clone(app), hangups()?));
            let detection = detection::router(Arc::clone(&app.detection))
                .layer(axum::middleware::from_fn(auth::callers_only));
            let pages = page::router().merge(openapi::router(app.settings.detect_only));
            let router = routes::router(Arc::clone(app), detection.merge(pages));
            runtime.spawn(net::serve(Arc::clone(app), router, listener, settings, tls, stop))
        };
        Ok(Self { runtime, serving })
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`io::Error`] when it could not listen.
    pub fn wait(self) -> io::Result<()> {
        let ended = self.runtime.block_on(self.serving);
        // Threads that examine a text for a client who has gone are not waited for.
        self.runtime.shutdown_background();
        ended.map_err(io::Error::other)?
    }
}

/// Comes when the server is told to stop.
#[cfg(unix)]
fn stopped() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stopped() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    })
}

/// Comes with each SIGHUP; on other systems there is `POST /admin/reload`.
struct Hangups(#[cfg(unix)] tokio::signal::unix::Signal);

impl Hangups {
    #[cfg(unix)]
    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            pending::<()>().await;
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        pending::<()>().await;
    }
}

#[cfg(unix)]
fn hangups() -> io::Result<Hangups> {
    use tokio::signal::unix::{SignalKind, signal};

    signal(SignalKind::hangup()).map(Hangups)
}

#[cfg(not(unix))]
fn hangups() -> io::Result<Hangups> {
    Ok(Hangups())
}

async fn reload_when_told(app: Arc<App>, mut hangups: Hangups) {
    loop {
        hangups.next().await;
        let loading = Arc::clone(&app);
        // What fails was logged.
        let _ = tokio::task::spawn_blocking(move || loading.reload()).await;
    }
}
