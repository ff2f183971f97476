//! Being told to stop: one sender, any number of listeners.

use tokio_util::sync::CancellationToken;

/// Tells every [`Stop`] of its pair to stop.
#[derive(Clone, Debug)]
pub struct Stopper(CancellationToken);

/// Hears when it is time to stop. All that wait for it are woken in the order in which they began to.
#[derive(Clone, Debug)]
pub struct Stop(CancellationToken);

/// A stopper and its listener.
#[must_use]
pub fn pair() -> (Stopper, Stop) {
    let token = CancellationToken::new();
    (Stopper(token.clone()), Stop(token))
}

impl Stopper {
    /// Tells everybody to stop; again is no harm.
    pub fn stop(&self) {
        self.0.cancel();
    }
}

impl Stop {
    /// Whether it is time to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is time to stop; for ever where nobody is left who could say so.
    pub async fn stopping(&self) {
        self.0.cancelled().await;
    }
}

/// Listens for SIGTERM and SIGINT from now on; the future ends with the first.
///
/// # Errors
/// When the signals can't be listened to.
pub fn signal() -> std::io::Result<impl Future<Output = ()> + Send> {
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
