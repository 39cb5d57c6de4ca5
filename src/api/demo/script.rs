//! Reads the script of the example organization (`nordwind.txt` says how it is written).
use actix_web::http::Method;
use chrono::{Days, NaiveDate};
use serde_json::Value;

/// One request of the script.
#[derive(Debug)]
pub struct Step<'a> {
    /// Where it stands.
    pub line: usize,
    /// When, in days from today.
    pub day: i64,
    /// Whose key.
    pub role: &'a str,
    /// How.
    pub method: Method,
    /// Where, under `/v1/`.
    pub path: &'a str,
    /// What the new record has to be called.
    pub code: Option<&'a str>,
    /// The body, its dates still relative.
    pub body: Value,
}

/// The requests, in order.
pub fn steps(script: &str) -> Result<Vec<Step<'_>>, String> {
    let (mut steps, mut day) = (Vec::new(), 0);
    for (line, text) in parts(script) {
        match text.strip_prefix("day ") {
            Some(number) => {
                day = number
                    .trim()
                    .parse()
                    .map_err(|e| format!("line {line}: {e}"))?
            }
            None => steps
                .push(step(line, day, text).ok_or_else(|| format!("line {line} cannot be read"))?),
        }
    }
    Ok(steps)
}

/// Numbered pieces: a line with those that belong to it. Comments are left out.
fn parts(script: &str) -> Vec<(usize, &str)> {
    let mut begins: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    for (n, line) in script.split_inclusive('\n').enumerate() {
        if !line.starts_with(char::is_whitespace) {
            begins.push((n + 1, at));
        }
        at += line.len();
    }
    let ends = begins
        .iter()
        .skip(1)
        .map(|(_, at)| *at)
        .chain([script.len()]);
    let text = begins
        .iter()
        .zip(ends)
        .filter_map(|((n, from), to)| Some((*n, script.get(*from..to)?.trim())));
    text.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'))
        .collect()
}

fn step(line: usize, day: i64, text: &str) -> Option<Step<'_>> {
    let mut words = text.splitn(4, ' ');
    let (role, method, path, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (code, body) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once("] ")
            .map(|(code, body)| (Some(code), body))?,
        None => (None, rest),
    };
    Some(Step {
        line,
        day,
        role,
        method: method.parse().ok()?,
        path,
        code,
        body: serde_json::from_str(body).ok()?,
    })
}

/// Makes the relative dates of a body absolute.
pub fn dated(body: &mut Value, today: NaiveDate) {
    match body {
        Value::String(text) => {
            if let Some(absolute) = text
                .strip_prefix('@')
                .and_then(|relative| date(relative, today))
            {
                *text = absolute;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| dated(item, today)),
        Value::Object(members) => members.values_mut().for_each(|member| dated(member, today)),
        _ => {}
    }
}

fn date(relative: &str, today: NaiveDate) -> Option<String> {
    let (days, time) = relative
        .split_once('T')
        .map_or((relative, None), |(days, time)| (days, Some(time)));
    let day = shifted(today, days.parse().ok()?)?;
    Some(time.map_or_else(|| day.to_string(), |time| format!("{day}T{time}:00Z")))
}

/// That many days later, or earlier.
pub fn shifted(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 {
        day.checked_sub_days(distance)
    } else {
        day.checked_add_days(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_read_with_their_day() {
        let script = "# a comment\n\nday -3\nmanager POST risks [RSK-1] {\"name\":\n  \"x\"}\nday \
            -1\napprover POST scopes/SCO-1/approve {}\n";
        let steps = steps(script).unwrap_or_default();
        let read: Vec<_> = steps
            .iter()
            .map(|s| (s.line, s.day, s.role, s.path, s.code, s.body.clone()))
            .collect();
        let first = (
            4,
            -3,
            "manager",
            "risks",
            Some("RSK-1"),
            json!({"name": "x"}),
        );
        assert_eq!(
            read,
            [
                first,
                (7, -1, "approver", "scopes/SCO-1/approve", None, json!({}))
            ]
        );
        assert!(super::steps("manager POST risks [RSK-1] {\"name\"").is_err());
    }

    #[test]
    fn dates_follow_today() {
        let mut body = json!({"due_on": "@-2", "on": ["@1"], "expires_at": "@365T00:00",
            "mail": "a@b", "other": "@home"});
        dated(
            &mut body,
            NaiveDate::from_ymd_opt(2026, 3, 1).unwrap_or_default(),
        );
        assert_eq!(
            body,
            json!({"due_on": "2026-02-27", "on": ["2026-03-02"],
                "expires_at": "2027-03-01T00:00:00Z", "mail": "a@b", "other": "@home"})
        );
    }
}
