//! The report as Markdown.
use crate::place::Database;
use crate::report::{Report, Row};
use crate::scenarios::{HEALTH, Most};

/// One line of a table.
fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A head: names, and whether their column has figures.
fn head(cells: &[(String, bool)]) -> String {
    let rule = cells
        .iter()
        .map(|(_, figures)| if *figures { "---:" } else { "---" });
    let names = line(cells.iter().map(|(name, _)| name.clone()));
    names + &line(rule.map(str::to_owned))
}

/// As many digits as say something; nothing where nothing was measured.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        String::new()
    }
}

fn goal(most: Most) -> String {
    match most {
        Most::Times(times, HEALTH) => format!("≤ {times} ×"),
        Most::Times(times, row) => format!("≤ {times} × {row}"),
        Most::Micros(most) => format!("≤ {most} µs"),
        Most::Millis(most) => format!("≤ {most} ms"),
        Most::Rate(least) => format!("≥ {least}/s"),
    }
}

fn word(met: Option<bool>) -> String {
    let word = met.map(|met| if met { "met" } else { "**missed**" });
    word.unwrap_or_default().to_owned()
}

/// What a row was to cost, and whether it did.
fn judged(report: &Report, row: &Row, database: Database) -> [String; 2] {
    let judged = report.judged(row, database);
    let most = judged.map(|(most, _)| goal(most)).unwrap_or_default();
    [most, word(judged.map(|(_, met)| met))]
}

/// CPU microseconds of the service, and as multiples of its health check.
pub fn micros(report: &Report, databases: &[Database]) -> String {
    let mut names = vec![("asked".to_owned(), false)];
    for database in databases {
        names.push((format!("{} CPU µs", database.name()), true));
        if *database == Database::Postgresql {
            names.push(("with the database's".into(), true));
        }
        names.extend([("× /healthz".into(), true), ("goal".into(), false)]);
        names.push((String::new(), false));
    }
    let mut text = head(&names);
    for row in &report.rows {
        let mut cells = vec![row.name.clone()];
        for database in databases {
            let cpu = row.median(*database, |sample| sample.cpu);
            cells.push(figure(cpu));
            if *database == Database::Postgresql {
                cells.push(figure(
                    row.median(*database, |sample| sample.cpu + sample.database),
                ));
            }
            cells.push(figure(cpu / report.health(*database)));
            cells.extend(judged(report, row, *database));
        }
        text.push_str(&line(cells));
    }
    text
}

/// CPU milliseconds, the database's processes included.
pub fn millis(report: &Report, databases: &[Database]) -> String {
    let mut names = vec![("asked".to_owned(), false)];
    for database in databases {
        names.push((format!("{} CPU ms", database.name()), true));
        names.extend([("goal".into(), false), (String::new(), false)]);
    }
    let mut text = head(&names);
    for row in &report.rows {
        let mut cells = vec![row.name.clone()];
        for database in databases {
            let whole = row.median(*database, |sample| (sample.cpu + sample.database) / 1000.0);
            cells.push(if whole.is_finite() {
                format!("{whole:.3}")
            } else {
                String::new()
            });
            cells.extend(judged(report, row, *database));
        }
        text.push_str(&line(cells));
    }
    text
}

/// How many a second, and how long each took.
pub fn times(report: &Report, databases: &[Database]) -> String {
    let mut names = vec![("asked".to_owned(), false)];
    for database in databases {
        names.push((format!("{} /s", database.name()), true));
        names.extend([("p50 ms".into(), true), ("p99 ms".into(), true)]);
    }
    let mut text = head(&names);
    for row in &report.rows {
        let mut cells = vec![row.name.clone()];
        for database in databases {
            cells.push(format!("{:.0}", row.median(*database, |s| s.rate)).replace("NaN", ""));
            cells.push(figure(row.median(*database, |sample| sample.p50)));
            cells.push(figure(row.median(*database, |sample| sample.p99)));
        }
        text.push_str(&line(cells));
    }
    text
}

/// Figures that are no scenarios.
pub fn facts(report: &Report, databases: &[Database]) -> String {
    let mut names = vec![("besides".to_owned(), false)];
    for database in databases {
        names.extend([(database.name().to_owned(), false), (String::new(), false)]);
    }
    names.push(("goal".into(), false));
    let mut text = head(&names);
    for fact in &report.facts {
        let mut cells = vec![fact.name.clone()];
        for database in databases {
            let (value, met) = fact.values.get(database).cloned().unwrap_or_default();
            cells.extend([value, word(met)]);
        }
        cells.push(fact.goal.clone());
        text.push_str(&line(cells));
    }
    text
}
