//! What is printed: a table of medians for each scenario, and all runs as JSON.

use std::fmt::Write;

use crate::daemon::Kind;
use crate::scenario::{Outcome, Scenario, Size};

/// How many of the first figures are compared with the best of the others.
const COMPARED: usize = 3;

/// One run of one daemon in one scenario: figures, or why there are none.
pub struct Run {
    pub scenario: Scenario,
    pub kind: Kind,
    pub result: Result<Outcome, String>,
}

/// The middle of some values, or of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => None,
        1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

/// The value below which this part of all values lies; sorts them.
pub fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * part).ceil() as usize;
    values
        .get(place.saturating_sub(1).min(values.len().saturating_sub(1)))
        .copied()
}

/// A scenario's table in Markdown: a line for each daemon, a column for each figure, and the ratios of the first ones
/// to the best daemon other than ours.
pub fn table(scenario: Scenario, size: Size, runs: &[Run]) -> String {
    let runs: Vec<&Run> = runs.iter().filter(|run| run.scenario == scenario).collect();
    let mut kinds: Vec<Kind> = Vec::new();
    for run in &runs {
        if !kinds.contains(&run.kind) {
            kinds.push(run.kind);
        }
    }
    let names: Vec<&str> = runs
        .iter()
        .find_map(|run| run.result.as_ref().ok())
        .map_or_else(Vec::new, |outcome| {
            outcome.figures.iter().map(|(name, _)| *name).collect()
        });
    let figures = |kind: Kind| -> Vec<Option<f64>> {
        let of = |name: &&str| {
            let own = runs
                .iter()
                .filter(|run| run.kind == kind)
                .filter_map(|run| run.result.as_ref().ok());
            median(own.filter_map(|outcome| outcome.figure(name)).collect())
        };
        names.iter().map(of).collect()
    };
    let others = kinds
        .iter()
        .filter(|kind| !matches!(kind, Kind::Stonechat | Kind::Nobody));
    let others: Vec<Vec<Option<f64>>> = others.map(|kind| figures(*kind)).collect();
    let best = |at: usize| {
        let values = others
            .iter()
            .filter_map(|figures| figures.get(at).copied().flatten());
        values.min_by(f64::total_cmp)
    };
    let mut text = format!("{}: {}\n\n| daemon |", scenario.letter(), scenario.title(size));
    for name in &names {
        write!(text, " {name} |").expect("a string takes it");
    }
    writeln!(
        text,
        " to the best other | runs |\n|{}",
        "---|".repeat(names.len() + 3)
    )
    .expect("a string takes it");
    for kind in &kinds {
        let figures = figures(*kind);
        write!(text, "| {} |", kind.name()).expect("a string takes it");
        for figure in &figures {
            let shown = figure.map_or_else(|| "-".to_owned(), rounded);
            write!(text, " {shown} |").expect("a string takes it");
        }
        let ratios = figures.iter().take(COMPARED).enumerate().map(|(at, own)| {
            let ratio = own
                .zip(best(at))
                .filter(|(_, best)| *best > 0.0)
                .map(|(own, best)| format!("{:.2}", own / best));
            ratio.unwrap_or_else(|| "-".to_owned())
        });
        let ratios = ratios.collect::<Vec<_>>().join(" / ");
        let all = runs.iter().filter(|run| run.kind == *kind);
        let good = all
            .clone()
            .filter(|run| matches!(&run.result, Ok(outcome) if outcome.complaint.is_none()))
            .count();
        writeln!(text, " {ratios} | {good} of {} |", all.count()).expect("a string takes it");
    }
    for run in &runs {
        let complaint = match &run.result {
            Ok(outcome) => outcome.complaint.as_ref(),
            Err(error) => Some(error),
        };
        if let Some(complaint) = complaint {
            writeln!(text, "\n{}: {complaint}", run.kind.name()).expect("a string takes it");
        }
    }
    text
}

fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Facts about machine and versions, then every run.
pub fn json(facts: &[(String, String)], size: Size, runs: &[Run]) -> String {
    let mut text = String::from("{\n");
    for (name, value) in facts {
        writeln!(text, "  {}: {},", quoted(name), quoted(value)).expect("a string takes it");
    }
    writeln!(
        text,
        "  \"size\": {},\n  \"runs\": [",
        quoted(if size == Size::Full { "full" } else { "quick" })
    )
    .expect("a string takes it");
    let lines: Vec<String> = runs.iter().map(run_json).collect();
    text + &lines.join(",\n") + "\n  ]\n}\n"
}

fn run_json(run: &Run) -> String {
    let mut fields = vec![
        format!("\"scenario\": {}", quoted(run.scenario.letter())),
        format!("\"daemon\": {}", quoted(run.kind.name())),
    ];
    match &run.result {
        Ok(outcome) => {
            fields.extend(
                outcome
                    .figures
                    .iter()
                    .map(|(name, value)| format!("{}: {value}", quoted(name))),
            );
            fields.extend(
                outcome
                    .complaint
                    .iter()
                    .map(|text| format!("\"complaint\": {}", quoted(text))),
            );
        }
        Err(error) => fields.push(format!("\"error\": {}", quoted(error))),
    }
    format!("    {{ {} }}", fields.join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("a string takes it")
            }
            other => out.push(other),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 1.0), Some(3.0));
    }

    #[test]
    fn json_text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}
