//! What a redrive means, as text.

use qsketch_core::redrive::{StepPlan, Why};

use super::Paint;

/// A line for each step: what is reused, what runs, and why; nothing at all without steps.
#[must_use]
pub fn redrive_plan(plan: &[StepPlan], paint: Paint) -> String {
    let width = plan.iter().map(|step| step.step.as_str().len()).max().unwrap_or(0);
    let line = |step: &StepPlan| {
        let verb = match (step.runs, &step.why) {
            (Some(0), _) => paint.good("reuse"),
            (_, Why::Waits) => paint.notable("wait "),
            _ => paint.busy("run  "),
        };
        let which = match (step.runs, step.reused) {
            (Some(0), 0) => "no task".to_owned(),
            (Some(0), reused) => tasks(reused),
            (Some(runs), 0) => tasks(runs),
            (Some(runs), reused) => format!("{} of {}", runs, tasks(runs.saturating_add(reused))),
            (None, _) => "a task for each scene".to_owned(),
        };
        let forgotten = match step.forgotten {
            0 => String::new(),
            of => format!("; {} made anew", tasks(of)),
        };
        format!("{verb}  {:width$}  {which}  {}{forgotten}\n", step.step.as_str(), paint.faint(&why(&step.why)))
    };
    plan.iter().map(line).collect()
}

fn tasks(count: u32) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

fn why(why: &Why) -> String {
    match why {
        Why::Recorded => "it is recorded".to_owned(),
        Why::Named => "it was named".to_owned(),
        Why::Follows { step } => format!("it follows {step}"),
        Why::Failed { task, error_type } => format!("{task} failed: {error_type}"),
        Why::Waits => "it waits for its signal or its time".to_owned(),
        Why::Open => "it is not recorded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_tells_what_is_reused_what_runs_and_why() -> Result<(), Box<dyn std::error::Error>> {
        let step = |name: &str, reused, forgotten, runs, why| {
            Ok::<_, qsketch_core::IdError>(StepPlan { step: name.try_into()?, reused, forgotten, runs, why })
        };
        let failed = Why::Failed { task: "render-manim#2".parse()?, error_type: "StartToClose".to_owned() };
        let plan = [
            step("generate-script", 1, 0, Some(0), Why::Recorded)?,
            step("approve", 0, 0, Some(1), Why::Waits)?,
            step("render-manim", 2, 0, Some(1), failed)?,
            step("generate-tts", 0, 3, Some(3), Why::Named)?,
            step("merge-upload", 0, 0, None, Why::Follows { step: "generate-tts".try_into()? })?,
        ];
        let expected = "\
reuse  generate-script  1 task  it is recorded
wait   approve          1 task  it waits for its signal or its time
run    render-manim     1 of 3 tasks  render-manim#2 failed: StartToClose
run    generate-tts     3 tasks  it was named; 3 tasks made anew
run    merge-upload     a task for each scene  it follows generate-tts
";
        assert_eq!(redrive_plan(&plan, Paint::Plain), expected);
        Ok(())
    }
}
