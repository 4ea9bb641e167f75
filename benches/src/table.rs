//! What is printed: a table for people, or one JSON object a row.

use std::borrow::Cow;

use anyhow::Result;
use serde_json::json;

/// A measured row.
pub(crate) struct Row {
    id: &'static str,
    work: Cow<'static, str>,
    value: f64,
    unit: &'static str,
    floor_name: &'static str,
    floor: f64,
    goal: Option<Goal>,
}

#[derive(Clone, Copy)]
enum Goal {
    Ratio(f64),
    More(f64),
    Value(f64),
    AtLeast(f64),
}

impl Row {
    pub(crate) fn new(
        id: &'static str,
        work: impl Into<Cow<'static, str>>,
        value: f64,
        unit: &'static str,
        floor_name: &'static str,
        floor: f64,
    ) -> Self {
        Self { id, work: work.into(), value, unit, floor_name, floor, goal: None }
    }

    /// The goal: the ratio to the floor is at most this.
    pub(crate) fn at_most(mut self, ratio: f64) -> Self {
        self.goal = Some(Goal::Ratio(ratio));
        self
    }

    /// The goal: at most this much more than the floor, in its unit.
    pub(crate) fn at_most_more(mut self, difference: f64) -> Self {
        self.goal = Some(Goal::More(difference));
        self
    }

    /// The goal: at most this, in its unit.
    pub(crate) fn at_most_value(mut self, value: f64) -> Self {
        self.goal = Some(Goal::Value(value));
        self
    }

    /// The goal: the ratio to the floor is at least this.
    pub(crate) fn at_least(mut self, ratio: f64) -> Self {
        self.goal = Some(Goal::AtLeast(ratio));
        self
    }

    fn ratio(&self) -> f64 {
        self.value / self.floor
    }

    fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::Ratio(most) => self.ratio() <= most,
            Goal::More(most) => self.value - self.floor <= most,
            Goal::Value(most) => self.value <= most,
            Goal::AtLeast(least) => self.ratio() >= least,
        })
    }

    fn goal_text(&self) -> String {
        self.goal.map_or_else(String::new, |goal| match goal {
            Goal::Ratio(most) => format!("≤ {most}×"),
            Goal::More(most) => format!("≤ +{most} {}", self.unit),
            Goal::Value(most) => format!("≤ {most} {}", self.unit),
            Goal::AtLeast(least) => format!("≥ {least}×"),
        })
    }
}

/// Prints all rows.
pub(crate) fn print(rows: &[Row], json: bool) -> Result<()> {
    if json {
        for row in rows {
            let object = json!({
                "id": row.id, "work": row.work, "value": row.value, "unit": row.unit, "floor": row.floor,
                "floor_name": row.floor_name, "ratio": row.ratio(), "goal": row.goal_text(), "met": row.met(),
            });
            println!("{}", serde_json::to_string(&object)?);
        }
        return Ok(());
    }
    println!(
        "{:<4} {:<58} {:>12} {:<24} {:>7}  {:<9} met",
        "row", "work", "median", "beside", "ratio", "goal"
    );
    for row in rows {
        let met = row.met().map_or("", |met| if met { "yes" } else { "no" });
        let value = format!("{:.1} {}", row.value, row.unit);
        let beside = format!("{} {:.1}", row.floor_name, row.floor);
        let ratio = format!("{:.2}×", row.ratio());
        println!(
            "{:<4} {:<58} {value:>12} {beside:<24} {ratio:>7}  {:<9} {met}",
            row.id,
            row.work,
            row.goal_text()
        );
    }
    Ok(())
}
