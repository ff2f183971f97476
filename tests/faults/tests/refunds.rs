//! Refund tokens by the thousand: each is redeemed once, whoever races for it, and refused with a reason otherwise.

use core::time::Duration;
use std::collections::BTreeMap;
use std::error::Error;

use qsketch_core::limits::REFUND_FOR;
use qsketch_core::pipeline::StepSpec;
use qsketch_core::refund::{Issuing, Secret, Token, issue};
use qsketch_core::{
    Closing, Commit, Done, Job, JobId, JobStatus, Pipeline, Reference, TaskId, Tenant, Time, Verdict, Write,
};
use qsketch_ops::{OpsError, redeem, redrive};
use qsketch_runtime::Ports;
use qsketch_sim::{Disorder, Sim};

/// How many tokens are raced for.
const TOKENS: usize = 10_000;

/// How many tokens are raced for in one world.
const AT_ONCE: usize = 500;

/// How many tokens are tried in each state that refuses them.
const REFUSED: usize = 200;

type Tried<T = ()> = Result<T, Box<dyn Error>>;

fn secret() -> Tried<Secret> {
    Ok(Secret::try_from("a secret of no less than thirty-two bytes")?)
}

/// A world with so many jobs that failed and were notified, and their tokens.
async fn failed(seed: u64, many: usize) -> Tried<(Sim, Vec<Token>)> {
    let sim = Sim::new(seed);
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    let (table, secret, now) = (sim.observer().table, secret()?, sim.now());
    table.keep_pipeline(&pipeline).await?;
    let mut tokens = Vec::new();
    for number in 0..many {
        let id = JobId::try_from(format!("job-{number}"))?;
        let mut job = Job::begun(id.clone(), Tenant::try_from("t")?, &pipeline, now);
        job.status = JobStatus::Failed;
        let told = TaskId::closing(pipeline.finalizer().name.clone(), 0);
        job.done.insert(told, Done { attempt: 1, at: now, width: None, payload: None });
        job.closings.push(closing(Verdict::Failed, now));
        let Issuing::Write(write) = issue(&secret, &job, 0, now) else { return Err("no token".into()) };
        table.commit(&id, &Write::CreateJob(Box::new(job))).await?;
        let Commit::Written(_) = table.commit(&id, &write).await? else { return Err("refused".into()) };
        tokens.push(Token::new(&secret, &id, 0, now));
    }
    Ok((sim, tokens))
}

fn closing(verdict: Verdict, at: Time) -> Closing {
    Closing { verdict, at, task: None, attempt: None, error_type: None, error: None, result: None, refund: None }
}

fn job_of(sim: &Sim, token: &Token) -> Tried<Job> {
    Ok(sim.parts(token.job()).job.ok_or("no job")?)
}

/// The code of the refusal with which a token is refused under this reference.
async fn refusal(ports: &Ports, token: &Token, by: &str) -> Tried<&'static str> {
    match redeem(ports, token, &Reference::try_from(by)?).await {
        Ok(redeemed) => Err(format!("{token:?} is redeemed: {redeemed:?}").into()),
        Err(error @ OpsError::NoRefund { .. }) => Ok(error.code()),
        Err(error) => Err(error.into()),
    }
}

/// The same token with another code.
fn guess(token: &Token) -> Tried<Token> {
    let text = token.text();
    let (rest, last) = text.split_at(text.len() - 1);
    let other = if last == "0" { "1" } else { "0" };
    Ok(Token::try_from(format!("{rest}{other}").as_str())?)
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_thousand_tokens_is_redeemed_by_one_of_two_who_race_for_it() -> Tried {
    let mut wins = BTreeMap::from([("first", 0), ("second", 0)]);
    for seed in 0..TOKENS / AT_ONCE {
        let (sim, tokens) = failed(seed as u64, AT_ONCE).await?;
        // Each call takes a time of its own: who is first at the load may be second at the write.
        let spread = Duration::from_millis(20);
        sim.set_disorder(Disorder { latency: Duration::from_millis(1), latency_spread: spread, ..Disorder::default() });
        let clients = ["first", "second"].map(|name| (name, sim.process(name).ports()));
        let mut racing = Vec::new();
        for token in &tokens {
            for (name, ports) in clients.clone() {
                let (token, by) = (token.clone(), Reference::try_from(format!("{name}-{}", token.job()))?);
                racing.push((name, tokio::spawn(async move { redeem(&ports, &token, &by).await })));
            }
        }
        let mut won: BTreeMap<JobId, Vec<Reference>> = BTreeMap::new();
        let mut lost = 0;
        for (name, race) in racing {
            match race.await? {
                Ok(redeemed) => {
                    assert!(!redeemed.is_again, "{redeemed:?}");
                    won.entry(redeemed.job.clone()).or_default().push(redeemed.redemption.reference);
                    *wins.entry(name).or_default() += 1;
                }
                Err(error) => {
                    assert_eq!(error.code(), "refund_redeemed", "{}", error.line());
                    lost += 1;
                }
            }
        }
        assert_eq!((won.len(), lost), (AT_ONCE, AT_ONCE));
        let ports = sim.observer();
        for token in &tokens {
            let winner = won.get(token.job()).filter(|winners| winners.len() == 1).ok_or("two won, or none")?;
            let kept = job_of(&sim, token)?.refunded.ok_or("it is not kept")?;
            assert_eq!(kept.reference, winner[0]);
            // The winner asks again and is told that it is done; whoever else is refused, and so is a guess.
            assert!(redeem(&ports, token, &winner[0]).await?.is_again);
            assert_eq!(refusal(&ports, token, "somebody-else").await?, "refund_redeemed");
            assert_eq!(refusal(&ports, &guess(token)?, winner[0].as_str()).await?, "refund_unknown");
        }
        let redeemed = sim.commits().into_iter().filter(|commit| matches!(commit.write, Write::Redeem { .. })).count();
        assert_eq!(redeemed, AT_ONCE, "each job is redeemed by one write");
    }
    println!("{TOKENS} tokens, {wins:?}");
    assert!(wins.values().all(|won| *won > TOKENS / 10), "both win often, or there is no race: {wins:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_guess_and_a_token_of_an_expired_a_redriven_and_a_completed_job_are_refused_with_a_reason() -> Tried {
    let (sim, tokens) = failed(1, REFUSED).await?;
    let ports = sim.observer();
    for pair in tokens.windows(2) {
        let [token, other] = pair else { continue };
        assert_eq!(refusal(&ports, &guess(token)?, "p").await?, "refund_unknown");
        // A code of another job, and of a closing that never was.
        let code = other.text().rsplit('.').next().unwrap_or_default();
        for text in [format!("qsr1.{}.0.{code}", token.job()), format!("qsr1.{}.1.{code}", other.job())] {
            assert_eq!(refusal(&ports, &Token::try_from(text.as_str())?, "p").await?, "refund_unknown");
        }
    }
    for token in &tokens {
        redrive(&ports, token.job(), None).await?;
        assert_eq!(refusal(&ports, token, "p").await?, "refund_running");
        let entry = closing(Verdict::Completed, sim.now());
        let close = Write::Close { closing: 1, entry };
        let Commit::Written(_) = ports.table.commit(token.job(), &close).await? else { return Err("refused".into()) };
        assert_eq!(refusal(&ports, token, "p").await?, "refund_void");
    }
    assert!(sim.commits().iter().all(|commit| !matches!(commit.write, Write::Redeem { .. })));

    let (sim, tokens) = failed(2, REFUSED).await?;
    let ports = sim.observer();
    let (early, late) = tokens.split_at(REFUSED / 2);
    let by = Reference::try_from("in-time")?;
    for token in early {
        redeem(&ports, token, &by).await?;
    }
    tokio::time::sleep(REFUND_FOR).await;
    for token in early {
        assert!(redeem(&ports, token, &by).await?.is_again, "what was redeemed in time is told for ever");
        assert_eq!(refusal(&ports, token, "p").await?, "refund_redeemed");
    }
    for token in late {
        assert_eq!(refusal(&ports, token, "p").await?, "refund_expired");
        assert_eq!(refusal(&ports, &guess(token)?, "p").await?, "refund_unknown");
    }
    Ok(())
}
