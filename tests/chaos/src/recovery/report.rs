//! What was measured, as a page.

use core::time::Duration;
use std::fmt::Write as _;

use qsketch_bench::machine::Machine;

use super::Measured;

/// The table of all cases.
#[must_use]
pub fn table(measured: &[Measured]) -> String {
    let mut table = "| what happens | tries | p50 | worst | at most, as designed |\n|---|--:|--:|--:|---|\n".to_owned();
    for Measured { what, how, bound, took } in measured {
        let mut took = took.clone();
        took.sort_unstable();
        let (tries, p50) = (took.len(), took.get(took.len() / 2).copied().unwrap_or_default());
        let worst = took.last().copied().unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(table, "| {what} | {tries}, {how} | {} | {} | {bound} |", shown(p50), shown(worst));
    }
    table
}

fn shown(span: Duration) -> String {
    let millis = span.as_millis();
    if millis < 1_000 { format!("{millis} ms") } else { format!("{:.1} s", span.as_secs_f64()) }
}

/// The page `docs/recovery.md`.
#[must_use]
pub fn page(measured: &[Measured], machine: &Machine, load: &str) -> String {
    let Machine { processor, processors, memory_gb, kernel, stack, .. } = machine;
    format!(
        "# Recovery\n\nHow long it takes until a task runs again, measured with real workers under their parents, tools as their \
         children, on the local stack.\n\n{}\n\
         A time counts from the signal (the purge; the start of the workers' processes) until the next attempt at the task is at \
         work, as that attempt writes down itself before it does anything else. All settings are those of a deployment: a lease \
         of 30 s, the reconciler once a minute with its patience of 2 min; only polls wait for 1 s instead of 20 s, so that a worker \
         that is replaced after a try is gone soon.\n\n\
         - What a worker's death costs is the parent's giving back and, where no other worker is there, a new process.\n\
         - A worker that is not fully busy has a poll open. MiniStack goes on with that poll when its caller is dead, and what it \
         swallows comes back when its visibility ends: a lease. AWS promises nothing else (docs/design.md, \"A process that \
         dies\").\n\
         - A machine's death is known to nobody: the lease must lapse, which the last heartbeat renewed at most 10 s before, and \
         the message's visibility with it.\n\
         - A purge is the reconciler's to mend: 2 min after the message should have been visible, at its next turn.\n\n\
         Measured on {processor}, {processors} cores, {memory_gb} GB, Linux {kernel}, {stack}, debug build; the load average \
         over the minutes of the run was {load}. `cargo run -p qsketch-chaos -- recovery --write` measures it anew.\n",
        table(measured)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_median_and_the_worst() {
        let took = [30, 1_500, 20].map(Duration::from_millis).to_vec();
        let table = table(&[Measured { what: "a fault", how: "in turn", bound: "2 s", took }]);
        assert!(table.ends_with("| a fault | 3, in turn | 30 ms | 1.5 s | 2 s |\n"), "{table}");
    }
}
