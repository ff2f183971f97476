//! Tokens, what a closing keeps of them, and what redeeming one comes to.

use proptest::prelude::*;

use super::*;
use crate::ids::Tenant;
use crate::limits::KEEP_AFTER_DEADLINE;
use crate::parts::{Closing, Part};
use crate::pipeline::{Pipeline, StepSpec};
use crate::redrive::{self, IfRefunded, Redriving, redrive, redrive_with};
use crate::write::apply;

type Tried<T = ()> = Result<T, Box<dyn std::error::Error>>;

const BORN: Time = Time(1_795_382_157_042);
const CLOSED: Time = Time(BORN.0 + 60_000);
const LATER: Time = Time(CLOSED.0 + 5_000);

fn secret() -> Tried<Secret> {
    Ok(Secret::try_from("a secret of no less than thirty-two bytes")?)
}

fn pipeline() -> Tried<Pipeline> {
    Ok(Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?)
}

fn closing(verdict: Verdict, at: Time) -> Closing {
    Closing { verdict, at, task: None, attempt: None, error_type: None, error: None, result: None, refund: None }
}

fn written(job: &Job, write: &Write) -> Tried<Job> {
    match apply(write, Some(&Part::Job(Box::new(job.clone())))) {
        Some(Part::Job(job)) => Ok(*job),
        other => Err(format!("{write:?} was refused: {other:?}").into()),
    }
}

fn is_refused(job: &Job, write: &Write) -> bool {
    apply(write, Some(&Part::Job(Box::new(job.clone())))).is_none()
}

/// The job closed like this, as a whole or after a redrive.
fn closed(job: &Job, verdict: Verdict) -> Tried<Job> {
    written(job, &Write::Close { closing: job.closing, entry: closing(verdict, CLOSED) })
}

fn begun() -> Tried<Job> {
    Ok(Job::begun(JobId::try_from("j1")?, Tenant::try_from("t")?, &pipeline()?, BORN))
}

/// The job with the token of its last closing kept, and that token.
fn issued(job: &Job) -> Tried<(Job, Token)> {
    let Issuing::Write(write) = issue(&secret()?, job, job.closing, LATER) else { return Err("no write".into()) };
    let job = written(job, &write)?;
    match issue(&secret()?, &job, job.closing, Time(LATER.0 + 9)) {
        Issuing::Is { token, .. } => Ok((job, token)),
        other => Err(format!("{other:?}").into()),
    }
}

fn failed() -> Tried<(Job, Token)> {
    issued(&closed(&begun()?, Verdict::Failed)?)
}

fn reopened(job: &Job, refunded: IfRefunded) -> Tried<Write> {
    let mut job = job.clone();
    let done = crate::parts::Done { attempt: 1, at: LATER, width: None, payload: None };
    job.done.insert(format!("z@{}", job.closing).parse()?, done);
    match redrive_with(&pipeline()?, &job, None, None, refunded, LATER) {
        Redriving::Write(Write::Reopen { closing, finalizer, is_refunded, set, .. }) => {
            // The notification is given up here: these jobs have no record of it.
            Ok(Write::Reopen { closing, finalizer, is_notified: false, is_refunded, set })
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn reference(text: &str) -> Tried<Reference> {
    Ok(Reference::try_from(text)?)
}

#[test]
fn the_code_is_the_one_that_everybody_computes() -> Tried {
    // RFC 4231, test case 6: a key of 131 bytes, which is longer than a block.
    let long = Secret(Hmac::new_from_slice(&[0xaa; 131])?);
    let words = "Test Using Larger Than Block-Size Key - Hash Key First";
    assert_eq!(code(&long, words), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    Ok(())
}

#[test]
fn a_token_reads_back_and_is_never_shown_by_itself() -> Tried {
    let token = Token::new(&secret()?, &JobId::try_from("j1")?, 3, CLOSED);
    let read = Token::try_from(format!(" {}\n", token.text()).as_str())?;
    assert_eq!((&read, read.closing(), read.hash()), (&token, 3, token.hash()));
    assert_eq!(format!("{token:?}"), "Token(qsr1.j1.3.…)");
    assert_eq!(format!("{:?}", secret()?), "Secret(…)");
    Ok(())
}

#[test]
fn what_is_no_token_or_no_secret_says_what_it_should_be() -> Tried {
    let code = "0f".repeat(32);
    let wrong = |text: &str| Token::try_from(text).err().map(|error| error.to_string()).unwrap_or_default();
    for (text, words) in [
        (String::new(), "reads qsr1.JOB.CLOSING.CODE"),
        (format!("qsr2.j1.0.{code}"), "reads qsr1.JOB.CLOSING.CODE"),
        (format!("qsr1.j1.0.{code}.x"), "reads qsr1.JOB.CLOSING.CODE"),
        (format!("qsr1.j 1.0.{code}"), "job is not valid"),
        (format!("qsr1.j1.00.{code}"), "no closing's number"),
        (format!("qsr1.j1.+1.{code}"), "no closing's number"),
        (format!("qsr1.j1.4294967296.{code}"), "no closing's number"),
        (format!("qsr1.j1.0.{}", &code[1..]), "has 63 characters: was it cut off?"),
        (format!("qsr1.j1.0.{}", code.to_uppercase()), "is not 64 of 0-9 a-f"),
    ] {
        assert!(wrong(&text).contains(words), "{text}: {}", wrong(&text));
        assert!(!wrong(&text).contains(&code[..60]), "a part of a token is shown");
    }
    assert_eq!(Secret::try_from("x".repeat(31).as_str()).err(), Some(BadSecret(31)));
    assert_eq!(Secret::try_from("x".repeat(4_097).as_str()).err(), Some(BadSecret(4_097)));
    assert!(Secret::try_from(format!("{}\n", "x".repeat(32)).as_str()).is_ok(), "a line end is none of it");
    Ok(())
}

#[test]
fn a_failed_closing_keeps_the_hash_of_its_one_token_and_every_repetition_makes_the_same() -> Tried {
    for verdict in [Verdict::Failed, Verdict::TimedOut] {
        let (job, token) = issued(&closed(&begun()?, verdict)?)?;
        let kept = job.closings[0].refund.clone().ok_or("nothing is kept")?;
        assert_eq!((&kept.hash, kept.at), (&token.hash(), LATER));
        assert_eq!(kept.expires_at, CLOSED.plus(REFUND_FOR));
        assert!(!serde_json::to_string(&job)?.contains(token.text()), "the token is stored");
        let late = Time(LATER.0 + 99);
        assert_eq!(issue(&secret()?, &job, 0, late), Issuing::Is { token, expires_at: kept.expires_at });
        let again = Write::Issue { closing: 0, issued: *kept };
        assert!(is_refused(&job, &again));
        let other = Secret::try_from("another secret of thirty-two bytes.....")?;
        assert_eq!(issue(&other, &job, 0, late), Issuing::OtherSecret);
    }
    Ok(())
}

#[test]
fn a_closing_that_did_not_fail_has_no_token_and_one_that_was_redriven_gets_none_any_more() -> Tried {
    for verdict in [Verdict::Completed, Verdict::Canceled] {
        assert_eq!(issue(&secret()?, &closed(&begun()?, verdict)?, 0, LATER), Issuing::None);
    }
    assert_eq!(issue(&secret()?, &begun()?, 0, LATER), Issuing::Overtaken);
    let bare = closed(&begun()?, Verdict::Failed)?;
    let again = written(&bare, &reopened(&bare, IfRefunded::Refuse)?)?;
    assert_eq!(issue(&secret()?, &again, 0, LATER), Issuing::Overtaken);
    Ok(())
}

#[test]
fn a_refunded_job_gets_no_further_token_but_keeps_the_one_that_was_told() -> Tried {
    let (job, token) = failed()?;
    let refunded = redeemed(&job, &token, "p-1")?;
    assert!(matches!(issue(&secret()?, &refunded, 0, LATER), Issuing::Is { .. }), "a repetition tells the same");
    let again = written(&refunded, &reopened(&refunded, IfRefunded::Redrive)?)?;
    let failed_again = closed(&again, Verdict::Failed)?;
    assert_eq!(issue(&secret()?, &failed_again, 1, LATER), Issuing::None);
    Ok(())
}

#[test]
fn a_token_does_not_outlive_its_job() -> Tried {
    let mut job = closed(&begun()?, Verdict::Failed)?;
    job.expires_at = LATER.0 / 1_000 + 60;
    let (job, token) = issued(&job)?;
    let end = Time(job.expires_at * 1_000);
    let refused = |job: &Job, at| match redeem(job, &token, &reference("p-1")?, at) {
        Redeeming::Refused(refused) => Tried::Ok(Some(refused)),
        _ => Ok(None),
    };
    assert_eq!(refused(&job, Time(end.0 - 1))?, None);
    assert_eq!(refused(&job, end)?, Some(Refused::Expired(end)));
    // A deletion begins with the end of its time: nothing may be redeemed that nobody will know of.
    let deleted = Job { expires_at: LATER.0 / 1_000, ..job };
    assert!(matches!(refused(&deleted, LATER)?, Some(Refused::Expired(_))));
    Ok(())
}

fn redeemed(job: &Job, token: &Token, by: &str) -> Tried<Job> {
    match redeem(job, token, &reference(by)?, LATER) {
        Redeeming::Write(write) => written(job, &write),
        other => Err(format!("{other:?}").into()),
    }
}

#[test]
fn each_refusal_has_its_reason() -> Tried {
    let (job, token) = failed()?;
    let refusal = |job: &Job, token: &Token, now| match redeem(job, token, &reference("p-2")?, now) {
        Redeeming::Refused(refused) => Tried::Ok(Some(refused)),
        _ => Ok(None),
    };
    assert_eq!(refusal(&job, &token, LATER)?, None);
    let guessed = Token::try_from(format!("qsr1.j1.0.{}", "0".repeat(64)).as_str())?;
    assert_eq!(refusal(&job, &guessed, LATER)?, Some(Refused::Unknown));
    assert_eq!(refusal(&begun()?, &token, LATER)?, Some(Refused::Unknown), "an id that is used again");
    let other = Job { job_id: JobId::try_from("j2")?, ..job.clone() };
    assert_eq!(refusal(&other, &token, LATER)?, Some(Refused::Unknown));
    let end = CLOSED.plus(REFUND_FOR);
    assert_eq!(refusal(&job, &token, end)?, Some(Refused::Expired(end)));
    let refunded = redeemed(&job, &token, "p-1")?;
    let told = refunded.refunded.clone().ok_or("not refunded")?;
    assert_eq!((told.closing, told.reference.as_str()), (0, "p-1"));
    assert_eq!(refusal(&refunded, &token, end)?, Some(Refused::Redeemed(told.clone())));
    assert_eq!(redeem(&refunded, &token, &reference("p-1")?, end), Redeeming::Is(told));
    let runs = written(&job, &reopened(&job, IfRefunded::Refuse)?)?;
    assert_eq!(refusal(&runs, &token, LATER)?, Some(Refused::Runs));
    let completed = closed(&runs, Verdict::Completed)?;
    assert_eq!(refusal(&completed, &token, LATER)?, Some(Refused::Completed));
    let Redeeming::Write(write) = redeem(&job, &token, &reference("p-1")?, LATER) else { return Err("no".into()) };
    let Write::Redeem { redemption, .. } = write else { return Err("another write".into()) };
    assert!(is_refused(&completed, &Write::Redeem { closing: 1, redemption }), "the write itself says so too");
    Ok(())
}

#[test]
fn a_token_of_an_earlier_failure_is_good_after_a_later_one_and_after_a_cancellation() -> Tried {
    for verdict in [Verdict::Failed, Verdict::TimedOut, Verdict::Canceled] {
        let (job, first) = failed()?;
        let again = closed(&written(&job, &reopened(&job, IfRefunded::Refuse)?)?, verdict)?;
        assert_eq!(redeemed(&again, &first, "p-1")?.refunded.map(|it| it.closing), Some(0), "{verdict:?}");
    }
    Ok(())
}

#[test]
fn of_two_redemptions_of_any_two_tokens_one_is_written() -> Tried {
    let (job, first) = failed()?;
    let (job, second) = issued(&closed(&written(&job, &reopened(&job, IfRefunded::Refuse)?)?, Verdict::Failed)?)?;
    for (one, two) in [(&first, &first), (&first, &second), (&second, &first)] {
        let planned = |token: &Token, by: &str| match redeem(&job, token, &reference(by)?, LATER) {
            Redeeming::Write(write) => Tried::Ok(write),
            other => Err(format!("{other:?}").into()),
        };
        let (one, two) = (planned(one, "p-1")?, planned(two, "p-2")?);
        assert!(is_refused(&written(&job, &one)?, &two));
        assert!(is_refused(&written(&job, &two)?, &one));
    }
    Ok(())
}

#[test]
fn a_redemption_and_a_redrive_keep_each_other_out() -> Tried {
    let (job, token) = failed()?;
    let Redeeming::Write(redemption) = redeem(&job, &token, &reference("p-1")?, LATER) else { return Err("no".into()) };
    for consent in [IfRefunded::Refuse, IfRefunded::Redrive] {
        let redriven = reopened(&job, consent)?;
        assert!(is_refused(&written(&job, &redemption)?, &redriven), "{consent:?} after the redemption");
        assert!(is_refused(&written(&job, &redriven)?, &redemption), "the redemption after {consent:?}");
    }
    Ok(())
}

#[test]
fn a_refunded_job_is_redriven_only_with_consent() -> Tried {
    let (job, token) = failed()?;
    let refunded = redeemed(&job, &token, "p-1")?;
    let Redriving::Refused(refused) = redrive(&pipeline()?, &refunded, None, None, LATER) else {
        return Err("not refused".into());
    };
    assert!(matches!(&refused, redrive::Refused::Refunded(told) if Some(told) == refunded.refunded.as_ref()));
    assert!(refused.to_string().contains("--after-refund"), "{refused}");
    let runs = written(&refunded, &reopened(&refunded, IfRefunded::Redrive)?)?;
    assert_eq!((runs.status, runs.refunded.clone()), (JobStatus::Running, refunded.refunded));
    assert_eq!(redrive(&pipeline()?, &runs, None, None, LATER), Redriving::Running, "what is lost is sent again");
    Ok(())
}

const _: () = assert!(
    REFUND_FOR.as_secs() <= KEEP_AFTER_DEADLINE.as_secs(),
    "a job that was redriven once is still there when its last token expires, or the token ends with it"
);

proptest! {
    #[test]
    fn a_token_of_another_secret_job_closing_or_time_is_unknown(
        key in "[a-z0-9]{32,80}",
        id in "[a-z0-9_-]{1,64}",
        number in 0_u32..16,
        off in 1_u64..1_000_000,
    ) {
        let fails = |error: String| TestCaseError::fail(error);
        let (job, token) = failed().map_err(|error| fails(error.to_string()))?;
        let (mine, theirs) = (
            secret().map_err(|error| fails(error.to_string()))?,
            Secret::try_from(key.as_str()).map_err(|error| fails(error.to_string()))?,
        );
        let other = JobId::try_from(id.as_str()).map_err(|error| fails(error.to_string()))?;
        prop_assume!(other != job.job_id && number > 0);
        let by = reference("p-1").map_err(|error| fails(error.to_string()))?;
        for forged in [
            Token::new(&theirs, &job.job_id, 0, CLOSED),
            Token::new(&mine, &other, 0, CLOSED),
            Token::new(&mine, &job.job_id, number, CLOSED),
            Token::new(&mine, &job.job_id, 0, Time(CLOSED.0 + off)),
        ] {
            prop_assert_ne!(forged.hash(), token.hash());
            prop_assert_eq!(redeem(&job, &forged, &by, LATER), Redeeming::Refused(Refused::Unknown));
        }
    }
}
