//! Refund tokens: redeemed once, whatever fails on the way, and kept apart from redrives.

mod scene;

use qsketch_core::redrive::IfRefunded;
use qsketch_core::refund::{Issuing, Refused, Secret, Token, issue};
use qsketch_core::{Commit, Job, JobId, JobStatus, Reference, Verdict};
use qsketch_ops::{OpsError, redeem, redrive, redrive_with};
use qsketch_sim::{Fault, Sim};
use scene::{Scene, Tried, at};

fn id() -> Tried<JobId> {
    Ok(JobId::try_from("j1")?)
}

fn reference(text: &str) -> Tried<Reference> {
    Ok(Reference::try_from(text)?)
}

fn job_of(sim: &Sim) -> Tried<Job> {
    Ok(sim.parts(&id()?).job.ok_or("no job")?)
}

/// A job that failed and whose notification is recorded, and its token.
async fn failed() -> Tried<(Sim, Token)> {
    let sim = Scene::new("j1")?
        .ran("generate-script", 100, 200, Some(2))?
        .closed(Verdict::Failed, 900, None, None)?
        .ran("notify@0", 950, 1_000, None)?
        .stand()
        .await?;
    let secret = Secret::try_from("a secret of no less than thirty-two bytes")?;
    let Issuing::Write(write) = issue(&secret, &job_of(&sim)?, 0, at(960)) else { return Err("no write".into()) };
    let Commit::Written(_) = sim.observer().table.commit(&id()?, &write).await? else { return Err("refused".into()) };
    let token = Token::new(&secret, &id()?, 0, at(900));
    Ok((sim, token))
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_is_told_and_the_same_reference_asks_again() -> Tried {
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::LostReply] {
        // The load, and the write.
        for call in 0..2 {
            let (sim, token) = failed().await?;
            let ports = sim.ports();
            sim.fail_call(sim.calls().len() as u64 + call, fault);
            let first = redeem(&ports, &token, &reference("p-1")?).await;
            assert!(matches!(first, Err(OpsError::Port(_))), "{fault:?} at {call} is told: {first:?}");
            let again = redeem(&ports, &token, &reference("p-1")?).await?;
            assert_eq!(again.is_again, fault == Fault::LostReply && call == 1, "{fault:?} at {call}");
            let other = redeem(&ports, &token, &reference("p-2")?).await;
            assert!(matches!(other, Err(OpsError::NoRefund { refusal: Refused::Redeemed(_), .. })), "{other:?}");
            assert_eq!(job_of(&sim)?.refunded, Some(again.redemption), "{fault:?} at {call}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn of_two_who_redeem_at_the_same_instant_one_wins_and_the_other_is_told_who() -> Tried {
    for seed in 0..20 {
        let (sim, token) = failed().await?;
        let (one, two) = (sim.process(&format!("one-{seed}")).ports(), sim.process("two").ports());
        let (first, second) = (reference("p-1")?, reference("p-2")?);
        let (a, b) = tokio::join!(redeem(&one, &token, &first), redeem(&two, &token, &second));
        assert!(a.is_ok() != b.is_ok(), "{a:?}, {b:?}");
        let winner = if a.is_ok() { "p-1" } else { "p-2" };
        let lost = a.err().or(b.err()).ok_or("both won")?;
        assert_eq!(lost.code(), "refund_redeemed");
        assert!(lost.line().contains(winner), "{}", lost.line());
        assert_eq!(job_of(&sim)?.refunded.map(|it| it.reference.to_string()).as_deref(), Some(winner));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn of_a_redrive_and_a_redemption_at_the_same_instant_one_wins() -> Tried {
    let (sim, token) = failed().await?;
    let (one, two, job, by) = (sim.ports(), sim.process("two").ports(), id()?, reference("p-1")?);
    let (redeemed, redriven) = tokio::join!(redeem(&one, &token, &by), redrive(&two, &job, None));
    assert!(redeemed.is_ok() != redriven.is_ok(), "{redeemed:?}, {redriven:?}");
    let job = job_of(&sim)?;
    assert_eq!(job.refunded.is_some(), job.status == JobStatus::Failed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refunded_job_is_redriven_only_after_consent_and_a_redriven_one_is_not_refunded() -> Tried {
    let (sim, token) = failed().await?;
    let ports = sim.ports();
    redeem(&ports, &token, &reference("p-1")?).await?;
    let refused = redrive(&ports, &id()?, None).await.map_err(|error| error.line());
    assert!(refused.is_err_and(|line| line.contains("--after-refund")));
    redrive_with(&ports, &id()?, None, IfRefunded::Redrive).await?;
    assert_eq!(job_of(&sim)?.status, JobStatus::Running);

    let (sim, token) = failed().await?;
    let ports = sim.ports();
    redrive(&ports, &id()?, None).await?;
    let refused = redeem(&ports, &token, &reference("p-1")?).await;
    assert!(matches!(refused, Err(OpsError::NoRefund { refusal: Refused::Runs, .. })), "{refused:?}");
    assert_eq!(job_of(&sim)?.refunded, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_guessed_token_and_one_of_no_job_redeem_nothing() -> Tried {
    let (sim, _) = failed().await?;
    let guess = |job: &str| Token::try_from(format!("qsr1.{job}.0.{}", "0".repeat(64)).as_str());
    let ports = sim.ports();
    let code = async |token: &Token| {
        let refused = redeem(&ports, token, &reference("p-1")?).await;
        Tried::Ok(refused.err().map(|error| error.code()))
    };
    assert_eq!(code(&guess("j1")?).await?, Some("refund_unknown"));
    assert_eq!(code(&guess("j2")?).await?, Some("not_found"));
    assert_eq!(job_of(&sim)?.refunded, None);
    Ok(())
}
