//! The cells of the providers' rate limits: items of their own in the job table.

use async_trait::async_trait;
use qsketch_core::Provider;
use qsketch_core::limits::LAYOUT;
use qsketch_core::rate::{Cell, Take, TakeKind, Taken};
use qsketch_runtime::ports::{PortError, Turns};

use crate::table::{Condition, DynamoTable, Item, Updated, number};

/// The part that a provider's cell is; no job's id begins as its key does.
const RATE: &str = "rate";

/// What every write of a cell sets.
const BORN: &str = "#layout = :layout, #expires_at = :expires_at";

/// Who may pass the line: it is over, or those who wait let turns go by.
const PASSED: &str = "(#line <= :now OR #tat <= :idle)";

#[async_trait]
impl Turns for DynamoTable {
    async fn take(&self, provider: &Provider, take: &Take) -> Result<Taken, PortError> {
        let key = format!("rate:{provider}");
        let (update, condition) = expressions(take);
        let update = format!("SET {update}, {BORN}");
        match self.update_item(&key, RATE, &update, condition).await? {
            Updated::Written(item) => Ok(Taken::Written(self.cell(&key, item)?)),
            Updated::Refused(item) => Ok(Taken::Overtaken(item.map(|item| self.cell(&key, item)).transpose()?)),
        }
    }
}

impl DynamoTable {
    fn cell(&self, key: &str, item: Item) -> Result<Cell, PortError> {
        let kept: Kept = self.read(key, RATE, item)?;
        Ok(Cell { tat: kept.tat, line: kept.line })
    }
}

/// A cell as its item holds it.
#[derive(serde::Deserialize)]
struct Kept {
    tat: u64,
    line: u64,
}

/// What a take does and stands on, in DynamoDB's words.
fn expressions(take: &Take) -> (String, Condition) {
    let new = |expression: String| {
        Condition::new(expression)
            .name("#line", "line")
            .name("#layout", "layout")
            .name("#expires_at", "expires_at")
            .value(":layout", number(LAYOUT))
            .value(":expires_at", number(take.expires_at))
    };
    let passes = |idle: Option<u64>| if idle.is_some() { format!(" AND {PASSED}") } else { String::new() };
    let with_idle = |condition: Condition, idle: Option<u64>| match idle {
        Some(idle) => condition.value(":idle", number(idle)),
        None => condition,
    };
    match take.kind {
        TakeKind::First { now, idle } => {
            let line = if idle.is_some() { ":none" } else { "if_not_exists(#line, :none)" };
            let stands = format!("attribute_not_exists(#tat) OR (#tat < :now{})", passes(idle));
            let condition = with_idle(new(stands), idle).name("#tat", "tat").value(":now", number(now));
            let condition = condition.value(":tat", number(now.saturating_add(take.span)));
            let condition = condition.value(":none", number(0));
            (format!("#tat = :tat, #line = {line}"), condition)
        }
        TakeKind::Next { now, latest, idle } => {
            // DynamoDB refuses a BETWEEN whose bounds are the wrong way round; two comparisons are just false.
            let stands = format!("#tat >= :now AND #tat <= :latest{}", passes(idle));
            let condition = with_idle(new(stands), idle).name("#tat", "tat").value(":now", number(now));
            let condition = condition.value(":latest", number(latest)).value(":span", number(take.span));
            let line = if idle.is_some() { ":none" } else { "#line" };
            let condition = if idle.is_some() { condition.value(":none", number(0)) } else { condition };
            (format!("#tat = #tat + :span, #line = {line}"), condition)
        }
        TakeKind::FirstPlace { from } => {
            let condition = new("#line < :from".to_owned()).value(":from", number(from));
            ("#line = :line".to_owned(), condition.value(":line", number(from.saturating_add(take.span))))
        }
        TakeKind::Place { from, by } => {
            let condition = new("#line >= :from AND #line <= :by".to_owned()).value(":from", number(from));
            ("#line = #line + :span".to_owned(), condition.value(":by", number(by)).value(":span", number(take.span)))
        }
    }
}
