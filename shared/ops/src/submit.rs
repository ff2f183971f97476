//! Submitting: the rules of intake first, so that a person hears every reason before anything is sent.

use qsketch_core::JobId;
use qsketch_runtime::ports::{Clock, Outgoing};
use qsketch_runtime::{PortError, PortErrorKind, Ports, QueueName};
use qsketch_video::{Reason, VideoRequest};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::OpsError;

/// The queue of submissions.
pub const INTAKE_QUEUE: &str = "intake";

/// How many random bytes a new id is made of: 80 bits are enough never to meet one again.
const ID_BYTES: usize = 10;

/// The digits of new ids: base 32 without the letters that are read as another digit (i, l, o) or make words (u).
const ID_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What a person asks for, not checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What the video is to explain.
    pub prompt: String,
    /// The job's id; a new one is made where none is given.
    pub id: Option<String>,
    /// The title card's text.
    pub title: Option<String>,
    /// Who narrates.
    pub voice: Option<String>,
    /// The picture's quality.
    pub quality: Option<String>,
    /// Whose job it is.
    pub tenant: Option<String>,
    /// Whether it waits after its script until it is approved.
    pub approve: bool,
}

/// A valid submission with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The job's id.
    pub job: JobId,
    /// The message's body.
    pub body: String,
    /// The hash of its content, as the part `input` holds it.
    pub content_hash: String,
    /// Whose job it is.
    pub tenant: String,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way to intake.
    New,
    /// The same had been taken in before; it was sent again, and stays one job.
    Again,
}

/// Checks a wish by the rules of intake, and gives it an id.
///
/// # Errors
/// [`OpsError::Invalid`] with every reason at once.
pub fn prepare(wish: &Wish, clock: &dyn Clock) -> Result<Prepared, OpsError> {
    let id = wish.id.clone().unwrap_or_else(|| new_id(clock));
    let mut object = Map::from_iter([("prompt".to_owned(), Value::from(wish.prompt.as_str()))]);
    object.insert("id".to_owned(), Value::from(id.as_str()));
    let others = [("title", &wish.title), ("voice", &wish.voice), ("quality", &wish.quality), ("tenant", &wish.tenant)];
    for (name, value) in others {
        if let Some(value) = value {
            object.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    if wish.approve {
        object.insert("approve".to_owned(), Value::from(true));
    }
    let request = VideoRequest::from_value(&Value::Object(object))
        .map_err(|error| OpsError::Invalid { reasons: error.reasons().iter().map(Reason::to_string).collect() })?;
    let job = JobId::try_from(id).map_err(|error| OpsError::Invalid { reasons: vec![error.to_string()] })?;
    let body = serde_json::to_string(&request)
        .map_err(|error| PortError::new("write the submission", PortErrorKind::Invalid).because(error))?;
    let tenant = request.tenant().to_owned();
    Ok(Prepared { job, body, content_hash: request.content_hash(), tenant })
}

/// Sends a submission to intake. Sending the same again is safe: it stays one job.
///
/// # Errors
/// [`OpsError::IdTaken`] when the id belongs to another content, and nothing was sent; [`OpsError::Port`].
pub async fn submit(ports: &Ports, prepared: &Prepared) -> Result<Sent, OpsError> {
    let there = ports.table.load_input(&prepared.job).await?;
    let sent = match there {
        Some(input) if input.content_hash != prepared.content_hash => {
            return Err(OpsError::IdTaken { job: prepared.job.clone() });
        }
        Some(_) => Sent::Again,
        None => Sent::New,
    };
    let queue = QueueName::new(INTAKE_QUEUE);
    let answers = ports
        .queues
        .send(&queue, &[Outgoing { group: Some(prepared.tenant.clone()), ..Outgoing::new(prepared.body.clone()) }])
        .await?;
    for answer in answers {
        answer?;
    }
    Ok(sent)
}

/// A new id: 16 characters of `0-9 a-z`, without i, l, o and u.
#[must_use]
pub fn new_id(clock: &dyn Clock) -> String {
    // Hashed, so that the shape of the clock's nonce does not matter.
    let hash = Sha256::digest(clock.nonce().as_bytes());
    let bits = hash.iter().take(ID_BYTES).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let digits = (0..ID_BYTES * 8 / 5).rev();
    digits.map(|digit| char::from(ID_DIGITS[(bits >> (digit * 5)) as usize & 31])).collect()
}
