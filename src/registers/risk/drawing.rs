//! The risk matrix as a drawing (SVG) that reads well in light and in dark, on paper, and aloud:
//! the level stands in each cell in words, not in colour alone, and title and description say what
//! is seen.
use crate::registers::methodology::{RiskMethodology, Step};
use crate::registers::risk::matrix::RiskMatrix;
use std::fmt::{Arguments, Write};

/// Width and height of a cell, and what is left beside and above the cells.
const CELL: (i32, i32) = (104, 76);
const LEFT: i32 = 176;
const TOP: i32 = 52;

/// Pure: the drawing.
pub fn drawn(matrix: &RiskMatrix, method: &RiskMethodology) -> String {
    let (columns, rows) = (
        method.impact_scale.len() as i32,
        method.likelihood_scale.len() as i32,
    );
    let (width, height) = (LEFT + columns * CELL.0 + 20, TOP + rows * CELL.1 + 116);
    let mut svg = String::new();
    let mut add = |text: Arguments<'_>| svg.write_fmt(text).unwrap_or_default();
    let title = format!(
        "Risk matrix: {} risks by likelihood and impact",
        <&str>::from(matrix.stage)
    );
    add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
            width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\" \
            font-family=\"system-ui, sans-serif\">\
         <title id=\"title\">{}</title><desc id=\"desc\">{}</desc>",
        escaped(&title),
        escaped(&described(matrix, method))
    ));
    add(format_args!(
        "<style>.page{{fill:#ffffff}}.t{{fill:#1b1f24}}.soft{{fill:#57606a}}@media \
            (prefers-color-scheme: \
            dark){{.page{{fill:#14181d}}.t{{fill:#e6e6e6}}.soft{{fill:#a0a8b0}}}}</style>\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/><text class=\"t\" x=\"20\" \
         y=\"28\" font-size=\"16\" font-weight=\"600\">{}</text>",
        escaped(&title)
    ));
    for cell in &matrix.cells {
        let (x, y) = (
            LEFT + (cell.impact - 1) * CELL.0,
            TOP + (rows - cell.likelihood) * CELL.1,
        );
        let level = method.levels.iter().find(|level| level.slug == cell.level);
        let (colour, name) = level.map_or(("#9e9e9e", ""), |level| {
            (level.colour.as_str(), level.name.as_str())
        });
        let (ink, middle) = (
            if dark(colour) { "#ffffff" } else { "#000000" },
            x + CELL.0 / 2 - 2,
        );
        let (risks, name) = (counted(cell.count), escaped(&short(name, 16)));
        add(format_args!(
            "<g><title>{} × {}: {name}, {risks}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" \
                height=\"{}\" rx=\"6\" fill=\"{colour}\"/>",
            cell.likelihood,
            cell.impact,
            CELL.0 - 4,
            CELL.1 - 4
        ));
        if cell.count > 0 {
            add(format_args!(
                "<text x=\"{middle}\" y=\"{}\" font-size=\"28\" font-weight=\"600\" \
                    text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
                y + CELL.1 / 2 + 4,
                cell.count
            ));
        }
        add(format_args!(
            "<text x=\"{middle}\" y=\"{}\" font-size=\"11\" text-anchor=\"middle\" \
                fill=\"{ink}\">{name}</text></g>",
            y + CELL.1 - 14
        ));
    }
    for step in &method.likelihood_scale {
        let y = TOP + (rows - step.value) * CELL.1 + CELL.1 / 2;
        svg.push_str(&label(step, (LEFT - 12, y), "end", 20));
    }
    for step in &method.impact_scale {
        let x = LEFT + (step.value - 1) * CELL.0 + CELL.0 / 2 - 2;
        svg.push_str(&label(step, (x, TOP + rows * CELL.1 + 24), "middle", 14));
    }
    let mut add = |text: Arguments<'_>| svg.write_fmt(text).unwrap_or_default();
    let (across, down) = (LEFT + columns * CELL.0 / 2, TOP + rows * CELL.1 / 2);
    add(format_args!(
        "<text class=\"t\" x=\"22\" y=\"{down}\" font-size=\"14\" font-weight=\"600\" \
            text-anchor=\"middle\" transform=\"rotate(-90 22 {down})\">Likelihood</text>"
    ));
    add(format_args!(
        "<text class=\"t\" x=\"{across}\" y=\"{}\" font-size=\"14\" font-weight=\"600\" \
            text-anchor=\"middle\">Impact</text>",
        TOP + rows * CELL.1 + 78
    ));
    add(format_args!(
        "<text class=\"soft\" x=\"20\" y=\"{}\" font-size=\"12\">{}</text></svg>",
        height - 14,
        escaped(&beside(matrix))
    ));
    svg
}

fn counted(n: i64) -> String {
    if n == 1 {
        "1 open risk".into()
    } else {
        format!("{n} open risks")
    }
}

/// What stands in no cell.
fn beside(matrix: &RiskMatrix) -> String {
    let mut all = vec![format!(
        "Revision {} of the methodology.",
        matrix.methodology_revision
    )];
    if matrix.not_assessed > 0 {
        all.push(format!("{} without a score.", counted(matrix.not_assessed)));
    }
    if matrix.outside > 0 {
        all.push(format!("{} of another revision.", counted(matrix.outside)));
    }
    if matrix.other_methodology > 0 {
        all.push(format!(
            "{} of another methodology.",
            counted(matrix.other_methodology)
        ));
    }
    all.join(" ")
}

/// The drawing in words: how many risks at which level, highest first.
fn described(matrix: &RiskMatrix, method: &RiskMethodology) -> String {
    let of = |slug: &str| {
        matrix
            .cells
            .iter()
            .filter(|cell| cell.level == slug)
            .map(|cell| cell.count)
            .sum::<i64>()
    };
    let levels: Vec<String> = method
        .levels
        .iter()
        .rev()
        .map(|level| format!("{}: {}", level.name, counted(of(&level.slug))))
        .collect();
    format!("{}. {}", levels.join(", "), beside(matrix))
}

/// The label of a step, on up to three lines of so many letters.
fn label(step: &Step, (x, y): (i32, i32), anchor: &str, letters: usize) -> String {
    let lines = wrapped(&format!("{} {}", step.value, step.label), letters);
    let first = if anchor == "end" {
        y + 4 - 8 * (lines.len() as i32 - 1)
    } else {
        y
    };
    let line = |(n, text): (i32, &String)| {
        format!(
            "<tspan x=\"{x}\" y=\"{}\">{}</tspan>",
            first + 16 * n,
            escaped(text)
        )
    };
    let spans: String = (0..).zip(&lines).map(line).collect();
    format!("<text class=\"t\" font-size=\"13\" text-anchor=\"{anchor}\">{spans}</text>")
}

/// Pure: text in lines of so many letters, three at most.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines
            .last_mut()
            .filter(|line| line.chars().count() + 1 + word.chars().count() <= letters)
        {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(short(word, letters)),
        }
    }
    let more = lines.len() > 3;
    lines.truncate(3);
    if let Some(last) = lines.last_mut().filter(|_| more) {
        last.push('…');
    }
    lines
}

/// Text of so many letters at most.
fn short(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        text.to_owned()
    } else {
        text.chars()
            .take(letters.saturating_sub(1))
            .chain(['…'])
            .collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Pure: is white text better to read on it? By relative luminance (WCAG 2).
fn dark(colour: &str) -> bool {
    let part = |range: std::ops::Range<usize>| {
        colour
            .get(range)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .map_or(0.5, |n| f64::from(n) / 255.0)
    };
    let linear = |c: f64| {
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(part(1..3)) + 0.7152 * linear(part(3..5)) + 0.0722 * linear(part(5..7)) < 0.179
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_readable_on_each_level() {
        assert!(dark("#c62828") && dark("#2e7d32") && !dark("#f9a825"));
    }

    #[test]
    fn labels_break_between_words() {
        assert_eq!(wrapped("5 almost certain", 20), ["5 almost certain"]);
        assert_eq!(wrapped("5 almost certain", 9), ["5 almost", "certain"]);
        assert_eq!(wrapped("1 unpronounceable", 9), ["1", "unpronou…"]);
        assert_eq!(wrapped("a b c d e", 1), ["a", "b", "c…"]);
    }
}
