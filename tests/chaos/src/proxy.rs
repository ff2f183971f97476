//! A proxy between one worker and the stack, that does to calls what a network and a busy service do.
//!
//! ```text
//!   request ─┬─ dropped: the connection closes, nothing was done
//!            ├─ refused: an answer 500, nothing was done
//!            ├─ delayed: before it is handed on, or its answer afterwards
//!            ├─ doubled: handed on twice
//!            ├─ lost: handed on; the connection closes without an answer
//!            └─ torn: handed on; half of the answer, and the connection closes
//! ```
//! What is handed on is carried out to its end, whether the caller is still there or not, so that every write is watched. A
//! poll alone ends with its caller: a queue sees a closed connection.

use core::pin::Pin;
use core::task::{Context as Turn, Poll};
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use qsketch_sim::Random;
use tokio::net::{TcpListener, TcpStream};

use crate::watch::{Span, Watch};

/// The longest that a call is delayed.
const DELAY_MS_MAX: u64 = 700;

/// What happens to a call, and to how many of 1,000.
const CHANCES: [(Fault, u64); 6] = [
    (Fault::Dropped, 10),
    (Fault::Refused, 8),
    (Fault::Delayed, 30),
    (Fault::Doubled, 10),
    (Fault::Lost, 12),
    (Fault::Torn, 12),
];

/// What a proxy does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Dropped,
    Refused,
    Delayed,
    Doubled,
    Lost,
    Torn,
}

/// What all proxies of a run share.
#[derive(Debug, Default)]
pub struct Weather {
    is_bad: AtomicBool,
    counts: [AtomicU64; CHANCES.len()],
    calls: AtomicU64,
}

impl Weather {
    /// From now on calls go wrong.
    pub fn turn_bad(&self) {
        self.is_bad.store(true, Ordering::Relaxed);
    }

    /// From now on they don't.
    pub fn turn_fine(&self) {
        self.is_bad.store(false, Ordering::Relaxed);
    }

    /// How many calls there were, and what happened to how many of them.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counts = CHANCES.iter().zip(&self.counts);
        let counts = counts.map(|((fault, _), count)| (format!("{fault:?}").to_lowercase(), count));
        let counts = counts.map(|(name, count)| (format!("calls {name}"), count.load(Ordering::Relaxed)));
        [("calls".to_owned(), self.calls.load(Ordering::Relaxed))].into_iter().chain(counts).collect()
    }
}

/// A proxy; it ends with the runtime.
pub struct Proxy {
    /// Where it listens.
    pub endpoint: String,
}

struct Path {
    to: SocketAddr,
    slot: usize,
    weather: Arc<Weather>,
    watch: Arc<Watch>,
    random: Mutex<Random>,
}

impl Proxy {
    /// Starts the proxy of a slot.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(to: &str, slot: usize, seed: u64, weather: &Arc<Weather>, watch: &Arc<Watch>) -> Result<Self> {
        let to = to.trim_start_matches("http://").parse().context("the stack's endpoint")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (weather, watch) = (Arc::clone(weather), Arc::clone(watch));
        let path = Arc::new(Path { to, slot, weather, watch, random: Mutex::new(Random::new(seed)) });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let path = Arc::clone(&path);
                tokio::spawn(async move {
                    let service = service_fn(|request| path.pass(request));
                    // A connection that breaks is what this is for.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { endpoint })
    }
}

/// Why a connection is closed.
#[derive(Debug)]
struct Closed(String);

impl core::fmt::Display for Closed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Closed {}

fn closed(why: impl core::fmt::Display) -> Closed {
    Closed(why.to_string())
}

/// A request or an answer, whole.
type Whole<P> = (P, Bytes);

impl Path {
    fn draw(&self) -> (Option<Fault>, Duration) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut number, delay) = (random.under(1_000), Duration::from_millis(random.under(DELAY_MS_MAX)));
        drop(random);
        self.weather.calls.fetch_add(1, Ordering::Relaxed);
        if !self.weather.is_bad.load(Ordering::Relaxed) {
            return (None, delay);
        }
        for ((fault, share), count) in CHANCES.into_iter().zip(&self.weather.counts) {
            match number.checked_sub(share) {
                Some(rest) => number = rest,
                None => {
                    count.fetch_add(1, Ordering::Relaxed);
                    return (Some(fault), delay);
                }
            }
        }
        (None, delay)
    }

    async fn pass(self: &Arc<Self>, request: Request<Incoming>) -> Result<Response<Torn>, Closed> {
        let (head, body) = request.into_parts();
        let request = (head, body.collect().await.map_err(closed)?.to_bytes());
        let (fault, delay) = self.draw();
        match fault {
            Some(Fault::Dropped) => return Err(closed("dropped")),
            Some(Fault::Refused) => {
                let mut answer = Response::new(Torn::whole(Bytes::new()));
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(answer);
            }
            // Half of what is delayed is delayed before it is handed on.
            Some(Fault::Delayed) if delay.as_millis().is_multiple_of(2) => tokio::time::sleep(delay).await,
            Some(Fault::Doubled) => {
                let (path, again) = (Arc::clone(self), request.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    path.hand_on(&again).await
                });
            }
            _ => {}
        }
        let (head, body) = if is_poll(&request.0) {
            self.hand_on(&request).await?
        } else {
            let path = Arc::clone(self);
            let request = request.clone();
            tokio::spawn(async move { path.hand_on(&request).await }).await.map_err(closed)??
        };
        match fault {
            Some(Fault::Delayed) if !delay.as_millis().is_multiple_of(2) => tokio::time::sleep(delay).await,
            Some(Fault::Lost) => return Err(closed("lost")),
            Some(Fault::Torn) if body.len() > 1 => return Ok(Response::from_parts(head, Torn::half(body))),
            _ => {}
        }
        Ok(Response::from_parts(head, Torn::whole(body)))
    }

    /// Hands a request on, and tells the watch what came of it.
    async fn hand_on(
        &self,
        (head, body): &Whole<hyper::http::request::Parts>,
    ) -> Result<Whole<hyper::http::response::Parts>, Closed> {
        let stream = TcpStream::connect(self.to).await.map_err(closed)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(closed)?;
        let mut request = Request::from_parts(head.clone(), Full::new(body.clone()));
        for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            request.headers_mut().remove(name);
        }
        let from = Instant::now();
        let talk = async {
            let (head, body) = sender.send_request(request).await.map_err(closed)?.into_parts();
            Ok((head, body.collect().await.map_err(closed)?.to_bytes()))
        };
        tokio::pin!(connection, talk);
        let answer: Result<Whole<hyper::http::response::Parts>, Closed> = tokio::select! {
            biased;
            answer = &mut talk => answer,
            ended = &mut connection => match ended {
                Ok(()) => talk.await,
                Err(error) => Err(closed(error)),
            },
        };
        let (mut answered, bytes) = answer?;
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        if answered.status.is_success() && target.starts_with("DynamoDB") {
            self.watch.wrote(self.slot, target, body, &bytes, Span { from, to: Instant::now() });
        }
        for name in [CONNECTION, TRANSFER_ENCODING] {
            answered.headers.remove(name);
        }
        if head.method != Method::HEAD {
            answered.headers.remove(CONTENT_LENGTH);
        }
        Ok((answered, bytes))
    }
}

fn is_poll(head: &hyper::http::request::Parts) -> bool {
    head.headers.get("x-amz-target").is_some_and(|target| target.as_bytes().ends_with(b"ReceiveMessage"))
}

/// An answer that may break off.
struct Torn {
    left: Option<Bytes>,
    promised: u64,
    is_torn: bool,
}

impl Torn {
    fn whole(body: Bytes) -> Self {
        let promised = body.len() as u64;
        Self { left: Some(body).filter(|body| !body.is_empty()), promised, is_torn: false }
    }

    fn half(body: Bytes) -> Self {
        Self { left: Some(body.slice(..body.len() / 2)), promised: body.len() as u64, is_torn: true }
    }
}

impl Body for Torn {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Turn<'_>) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        Poll::Ready(match self.left.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.is_torn => Some(Err(closed("torn"))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && !self.is_torn
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
