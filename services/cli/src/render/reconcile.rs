//! What a sweep of the reconciler did, as text.

use std::collections::BTreeSet;

use qsketch_runtime::reconcile::{Deed, Mode, Swept};

use super::Paint;

/// A line for each deed and each failure, and one for each queue; nothing at all where nothing was to be done.
#[must_use]
pub fn swept(swept: &Swept, paint: Paint) -> String {
    let line = |Deed { job, what }: &Deed| format!("{}  {what}\n", job.as_str());
    let mut text: String = swept.deeds.iter().map(line).collect();
    for Deed { job, what } in &swept.failures {
        text.push_str(&format!("{}  {} {what}\n", job.as_str(), paint.bad("failed:")));
    }
    let queues: BTreeSet<&String> = swept.resent.keys().chain(swept.waiting.keys()).collect();
    for queue in queues {
        let (sent, waiting) = (swept.resent.get(queue), swept.waiting.get(queue));
        let sent = sent.map(|sent| format!("{sent} sent again"));
        let waiting = waiting.map(|waiting| format!("{waiting} may wait in its backlog"));
        let both: Vec<String> = sent.into_iter().chain(waiting).collect();
        text.push_str(&format!("{} {queue}: {}\n", paint.faint("queue"), both.join(", ")));
    }
    text
}

/// The sweep in one sentence.
#[must_use]
pub fn after_sweep(swept: &Swept, mode: Mode) -> String {
    let Swept { looked, tenants, mended, failed, .. } = swept;
    if *looked == 0 && *tenants == 0 && *failed == 0 {
        return "no job is due to be looked after".to_owned();
    }
    let sent: usize = swept.resent.values().sum();
    let mut text = match mode {
        Mode::Mend => format!("looked after {looked} jobs; mended: {mended}, messages sent again: {sent}"),
        Mode::DryRun => format!("{looked} jobs are due; nothing was changed"),
    };
    if *tenants > 0 {
        text.push_str(&format!("; tenants with a cap looked after: {tenants}"));
    }
    if *failed > 0 {
        text.push_str(&format!("; {failed} could not be looked after, and stay due"));
    }
    if swept.has_more {
        text.push_str("; there are more, for the next time");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_tells_what_it_did_to_which_job_and_what_it_left() -> Result<(), Box<dyn std::error::Error>> {
        let deed = |job: &str, what: &str| {
            Ok::<_, qsketch_core::IdError>(Deed { job: job.try_into()?, what: what.to_owned() })
        };
        let of = |queue: &str, count| [(queue.to_owned(), count)].into();
        let full = Swept {
            looked: 14,
            tenants: 0,
            mended: 1,
            resent: of("render-manim", 10),
            waiting: of("render-manim", 3),
            deeds: vec![deed(
                "j1",
                "close it as TIMED_OUT for render-manim#0: no attempt may begin after its JobDeadline timeout",
            )?],
            failed: 1,
            failures: vec![deed("j2", "load pipeline: what is stored there can't be read")?],
            has_more: true,
        };
        let expected = "\
j1  close it as TIMED_OUT for render-manim#0: no attempt may begin after its JobDeadline timeout
j2  failed: load pipeline: what is stored there can't be read
queue render-manim: 10 sent again, 3 may wait in its backlog
";
        assert_eq!(swept(&full, Paint::Plain), expected);
        assert_eq!(
            after_sweep(&full, Mode::Mend),
            "looked after 14 jobs; mended: 1, messages sent again: 10; 1 could not be looked after, and stay due; there are more, for the next time"
        );
        assert_eq!(after_sweep(&Swept::default(), Mode::DryRun), "no job is due to be looked after");
        Ok(())
    }
}
