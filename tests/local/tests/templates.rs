//! The numbers that stand in the templates and in the code alike.

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::root;
use qsketch_runtime::guard::RECEIVES_MAX;

#[test]
fn every_queue_moves_a_message_to_the_dead_letters_after_as_many_receives_as_the_code_believes() -> Result<()> {
    let template = std::fs::read_to_string(root().join("infra/templates/queues.yaml"))?;
    let counts: Vec<u32> = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("maxReceiveCount: "))
        .map(|count| count.parse().with_context(|| format!("maxReceiveCount is {count:?}")))
        .collect::<Result<_>>()?;
    let consumed = template.matches("deadLetterTargetArn:").count();
    ensure!(
        consumed > 0 && counts == vec![RECEIVES_MAX; consumed],
        "{counts:?}, expected {consumed} of {RECEIVES_MAX}"
    );
    Ok(())
}
