//! The floors of the house, read from its `use` lines: a room uses lower floors and itself, and nobody on its own floor in a circle.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// As the module documentation of `lib.rs` has it.
const FLOORS: [(&str, u32); 11] = [
    ("core", 0),
    ("db", 1),
    ("access", 2),
    ("ledger", 2),
    ("records", 3),
    ("http", 4),
    ("registers", 5),
    ("insight", 6),
    ("identity", 6),
    ("api", 7),
    ("config", 7),
];

fn files() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => walk(&entry, all),
                false if entry.extension().is_some_and(|end| end == "rs") => all.push(entry),
                false => {}
            }
        }
    }
    let (root, mut all) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
    walk(&root, &mut all);
    all.sort();
    all.into_iter().map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap())).collect()
}
/// Lines of code: no comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line))
}
fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}
fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The rooms that a line names: `crate::db::x`, `crate::{identity, insight::y}`; macros live at the top and belong to nobody.
fn named(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c == '$' || c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let word =
            |text: &str| text.trim().trim_start_matches("r#").chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut from) = (0, 0);
                for (n, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            all.push(word(&group[from..n]));
                            from = n + 1;
                        }
                        _ => {}
                    }
                    if letter == '}' && depth == 0 && from == n + 1 {
                        break;
                    }
                }
            }
            None if !rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').starts_with('!') => all.push(word(rest)),
            None => {}
        }
    }
    all.retain(|name| !name.is_empty());
    all
}

#[test]
fn a_room_uses_lower_floors_and_itself() {
    let (mut faults, mut beside): (Vec<String>, BTreeMap<String, BTreeSet<String>>) = (Vec::new(), BTreeMap::new());
    let mut edges = 0;
    for (path, text) in files() {
        let Some(own) = floor(&room(&path)) else { continue };
        for (line, code) in code(&text) {
            for other in named(code) {
                let Some(at) = floor(&other) else {
                    faults.push(format!("{}:{line}: {other} is on no floor", path.display()));
                    continue;
                };
                edges += 1;
                match other == room(&path) || at < own {
                    true => {}
                    false if at == own => drop(beside.entry(room(&path)).or_default().insert(other)),
                    false => faults.push(format!("{}:{line}: floor {own} uses {other} of floor {at}", path.display())),
                }
            }
        }
    }
    for (one, others) in &beside {
        for other in others.iter().filter(|other| beside.get(*other).is_some_and(|back| back.contains(one))) {
            faults.push(format!("{one} and {other} use each other"));
        }
    }
    assert!(!beside.get("access").is_some_and(|others| others.contains("ledger")), "access uses the ledger");
    assert!(edges > 200, "only {edges} uses were read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    assert_eq!(named("use crate::db::{Conn, schema::x};"), ["db"]);
    assert_eq!(named("use crate::{identity, insight::{a, b}, core};"), ["identity", "insight", "core"]);
    assert_eq!(named("let x = crate::ledger::read::end(crate::core::Id::new());"), ["ledger", "core"]);
    assert_eq!(named("crate::vocabulary! { pub enum $crate::db::X }"), Vec::<String>::new());
    assert_eq!(named("use crate::registers::r#do::framework;"), ["registers"]);
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = files()
        .iter()
        .filter(|(path, text)| !path.ends_with("schema.rs") && text.lines().count() > 400)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in files() {
        let purpose = text.starts_with("//!") || path == Path::new("registers/act/mod.rs") || path == Path::new("registers/do_/mod.rs");
        assert!(purpose || path.ends_with("plan/mod.rs"), "{} begins without a word about its purpose", path.display());
    }
}

#[test]
fn what_must_not_be_used_is_not_used() {
    let mut faults = Vec::new();
    let clock = ["Utc::now", "Local::now", "SystemTime::now"];
    for (path, text) in files() {
        let at = path.to_str().unwrap();
        let queries = !["db", "ledger", "records", "registers", "insight", "identity"].contains(&room(&path).as_str());
        let store =
            ["http/house.rs", "http/directory.rs", "http/idempotency.rs", "core/problem.rs"].contains(&at) || at.starts_with("core/");
        for (line, code) in code(&text) {
            let mut fault = |what: &str| faults.push(format!("{at}:{line}: {what}: {}", code.trim()));
            if code.contains(".or_filter(") {
                fault("`or_filter` ends the filter by organization");
            }
            if at != "core/clock.rs" && clock.iter().any(|word| code.contains(word)) {
                fault("time comes from the Clock");
            }
            if queries && !store && (code.contains("use diesel") || code.contains(".execute(conn")) {
                fault("a query outside of the store");
            }
            if code.contains("sql_query(") && !at.starts_with("db/") && at != "http/house.rs" {
                fault("SQL as text outside of db");
            }
            if code.contains("unsafe ") || code.contains("#[allow(") {
                fault("not allowed here");
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
