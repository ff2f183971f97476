//! The dates of replies tell the clock how far it is off: against a server whose clock is set at will.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use qsketch_core::JobId;
use qsketch_runtime::clock::SystemClock;
use qsketch_runtime::config::{Environment, Settings};
use qsketch_runtime::{Clock, Ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with an empty object, by a clock that is so many milliseconds behind ours.
async fn serve(listener: TcpListener, behind: Arc<AtomicI64>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&behind)));
    }
}

async fn answer(mut stream: TcpStream, behind: Arc<AtomicI64>) -> std::io::Result<()> {
    let mut heard = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        heard.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&heard).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() < length {
            continue;
        }
        heard.clear();
        let theirs = i64::try_from(SystemClock.now().0).unwrap() - behind.load(Ordering::SeqCst);
        let date = DateTime::from_secs(theirs.div_euclid(1_000)).fmt(Format::HttpDate).unwrap();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn ports(behind: &Arc<AtomicI64>) -> Ports {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, Arc::clone(behind)));
    let settings = [("TABLE", "t"), ("BUCKET", "b"), ("QUEUE_URL_PREFIX", &format!("{endpoint}/0/q-"))];
    let settings = settings.map(|(name, value)| (format!("QSKETCH_{name}"), value.to_owned()));
    let settings = Settings::read(&Environment::from(settings)).unwrap();
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("x", "x", None, None, "test"))
        .load()
        .await;
    qsketch_aws::connect(&settings, &sdk)
}

#[tokio::test]
async fn every_reply_tells_how_far_the_clock_is_off() {
    let behind = Arc::new(AtomicI64::new(0));
    let ports = ports(&behind).await;
    assert_eq!(ports.clock.offset(), None, "nothing was heard");
    let job = JobId::try_from("j").unwrap();
    for (theirs, is_off) in [(0, false), (5_000, true), (-5_000, true), (0, false)] {
        behind.store(theirs, Ordering::SeqCst);
        ports.table.load_job(&job).await.unwrap();
        let offset = ports.clock.offset().unwrap();
        assert!(offset.least <= theirs && theirs <= offset.most, "{offset:?}, it is {theirs}");
        assert_eq!(offset.is_off(), is_off, "{offset:?}");
    }
    behind.store(9_000, Ordering::SeqCst);
    ports.queues.depth(&qsketch_runtime::QueueName::new("a")).await.unwrap();
    assert!(ports.clock.offset().unwrap().is_off(), "the queues' replies count too");
}
