//! The floors of the house, read from its `use` lines: a room uses lower floors and itself, and
//! nobody on its own floor in a circle.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// As the module documentation of `lib.rs` has it.
const FLOORS: [(&str, u32); 12] = [
    ("core", 0),
    ("db", 1),
    ("access", 2),
    ("ledger", 2),
    ("records", 3),
    ("service", 4),
    ("http", 5),
    ("registers", 6),
    ("insight", 7),
    ("identity", 7),
    ("api", 8),
    ("config", 8),
];

pub fn files() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            match entry.is_dir() {
                true => walk(&entry, all),
                false if entry.extension().is_some_and(|end| end == "rs") => all.push(entry),
                false => {}
            }
        }
    }
    let (root, mut all) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        Vec::new(),
    );
    walk(&root, &mut all);
    all.sort();
    all.into_iter()
        .map(|path| {
            (
                path.strip_prefix(&root).unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}
/// Lines of code: no comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(n, line)| (n + 1, line))
}
fn room(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}
fn floor(room: &str) -> Option<u32> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

/// The rooms that a line names: `crate::db::x`, `crate::{identity, insight::y}`; macros live at the
/// top and belong to nobody.
fn named(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c == '$' || c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let word = |text: &str| {
            text.trim()
                .trim_start_matches("r#")
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
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
            None if !rest
                .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                .starts_with('!') =>
            {
                all.push(word(rest))
            }
            None => {}
        }
    }
    all.retain(|name| !name.is_empty());
    all
}

#[test]
fn a_room_uses_lower_floors_and_itself() {
    let (mut faults, mut beside): (Vec<String>, BTreeMap<String, BTreeSet<String>>) =
        (Vec::new(), BTreeMap::new());
    let mut edges = 0;
    for (path, text) in files() {
        let Some(own) = floor(&room(&path)) else {
            continue;
        };
        for (line, code) in code(&text) {
            for other in named(code) {
                let Some(at) = floor(&other) else {
                    faults.push(format!("{}:{line}: {other} is on no floor", path.display()));
                    continue;
                };
                edges += 1;
                match other == room(&path) || at < own {
                    true => {}
                    false if at == own => {
                        let _new = beside.entry(room(&path)).or_default().insert(other);
                    }
                    false => faults.push(format!(
                        "{}:{line}: floor {own} uses {other} of floor {at}",
                        path.display()
                    )),
                }
            }
        }
    }
    for (one, others) in &beside {
        for other in others
            .iter()
            .filter(|other| beside.get(*other).is_some_and(|back| back.contains(one)))
        {
            faults.push(format!("{one} and {other} use each other"));
        }
    }
    assert!(
        !beside
            .get("access")
            .is_some_and(|others| others.contains("ledger")),
        "access uses the ledger"
    );
    assert!(edges > 200, "only {edges} uses were read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    assert_eq!(named("use crate::db::{Conn, schema::x};"), ["db"]);
    assert_eq!(
        named("use crate::{identity, insight::{a, b}, core};"),
        ["identity", "insight", "core"]
    );
    assert_eq!(
        named("let x = crate::ledger::read::end(crate::core::Id::new());"),
        ["ledger", "core"]
    );
    assert_eq!(
        named("crate::vocabulary! { pub enum $crate::db::X }"),
        Vec::<String>::new()
    );
    assert_eq!(
        named("use crate::registers::r#do::framework;"),
        ["registers"]
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut faults = Vec::new();
    for (path, text) in files() {
        let lines = text.lines().count();
        if !path.ends_with("db/schema.rs") && lines > 400 {
            faults.push(format!("{}: {lines} lines, at most 400", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in files() {
        assert!(
            text.starts_with("//!"),
            "{} begins without a word about its purpose",
            path.display()
        );
    }
}

/// What speaks to the database beside the floors that do; a folder ends with a slash. What needs it
/// no more is taken off.
const STORE: [&str; 5] = [
    "service/house.rs",
    "service/callers.rs",
    "service/retry.rs",
    "service/upkeep.rs",
    "core/",
];

#[test]
fn what_must_not_be_used_is_not_used() {
    let mut faults = Vec::new();
    let mut exempted: BTreeSet<&str> = BTreeSet::new();
    let clock = ["Utc::now", "Local::now", "SystemTime::now"];
    for (path, text) in files() {
        let at = path.to_str().unwrap();
        let queries = ![
            "db",
            "ledger",
            "records",
            "registers",
            "insight",
            "identity",
        ]
        .contains(&room(&path).as_str());
        let store = STORE
            .iter()
            .find(|exempt| at == **exempt || exempt.ends_with('/') && at.starts_with(**exempt));
        for (line, code) in code(&text) {
            let mut fault =
                |what: &str| faults.push(format!("{at}:{line}: {what}: {}", code.trim()));
            if code.contains(".or_filter(") {
                fault("`or_filter` ends the filter by organization");
            }
            if at != "core/clock.rs" && clock.iter().any(|word| code.contains(word)) {
                fault("time comes from the Clock");
            }
            if queries && (code.contains("use diesel") || code.contains(".execute(conn")) {
                match store {
                    Some(exempt) => drop(exempted.insert(*exempt)),
                    None => fault("a query outside of the store"),
                }
            }
            if code.contains("sql_query(") && !at.starts_with("db/") && at != "service/house.rs" {
                fault("SQL as text outside of db");
            }
            if code.contains("unsafe ") || code.contains("#[allow(") {
                fault("not allowed here");
            }
        }
    }
    let idle: Vec<&&str> = STORE
        .iter()
        .filter(|exempt| !exempted.contains(**exempt))
        .collect();
    assert!(
        idle.is_empty(),
        "nothing needs these exemptions any more: {idle:?}"
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Words that stand in no code but under these folders, and why.
const FORBIDDEN: [(&str, &[&str], &str); 4] = [
    (
        "HttpRequest",
        &["http/", "api/"],
        "ask for the part of the request that you need",
    ),
    (
        "OnceLock",
        &["main.rs"],
        "what is made at the start is held by the service, or is a constant",
    ),
    (
        "LazyLock",
        &["core/catalogue/", "core/schema.rs"],
        "only tables that come with the program, and schemas, are read when first asked for",
    ),
    (
        "utoipa::__dev",
        &[],
        "utoipa derives schemas, nothing else of it is used",
    ),
];

/// The forbidden words of a file, by line.
fn forbidden(at: &str, text: &str) -> Vec<String> {
    let code = code(text).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let faults = code.flat_map(|(n, line)| {
        let found = FORBIDDEN.iter().filter(move |(word, free, _)| {
            line.contains(word) && !free.iter().any(|place| at.starts_with(place))
        });
        found.map(move |(word, _, why)| format!("{at}:{n}: {word}: {why}"))
    });
    faults.collect()
}

#[test]
fn each_thing_is_used_where_it_belongs() {
    let found = |(path, text): (PathBuf, String)| forbidden(path.to_str().unwrap(), &text);
    let faults: Vec<String> = files().into_iter().flat_map(found).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_thing_in_the_wrong_place_is_found() {
    let planted = "use actix_web::HttpRequest;\n// OnceLock\nstatic X: OnceLock<u8> = y;\n\
                   utoipa::__dev::f();\nstatic Y: LazyLock<u8> = z;\n";
    let lines = |at: &str| forbidden(at, planted).len();
    assert_eq!(lines("registers/risk/mod.rs"), 4);
    assert_eq!(lines("http/guard.rs"), 3);
    assert_eq!(lines("core/catalogue/mod.rs"), 3);
    assert_eq!(lines("main.rs"), 3);
}

/// Where the name of a kind may stand on floors 0 to 5: in the table of kinds and actions, among
/// the words of a password list, and where a catalogue calls its own requirements so.
const NAMED: [&str; 3] = ["access/policy.rs", "access/guessable.rs", "core/catalogue/"];

/// The string literals of code that are one of these names; what is a member of an image is not,
/// nor what stands in tests.
fn named_kinds<'t>(text: &'t str, kinds: &BTreeSet<&str>) -> Vec<(usize, &'t str)> {
    let mut all = Vec::new();
    let code = code(text).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    for (n, line) in code {
        let parts: Vec<&str> = line.split('"').collect();
        for (at, literal) in parts.iter().enumerate().skip(1).step_by(2) {
            let member = parts.get(at + 1).is_some_and(|rest| rest.starts_with(':'));
            if kinds.contains(literal) && !member {
                all.push((n, *literal));
            }
        }
    }
    all
}

#[test]
fn lower_floors_name_no_kind() {
    let kinds: BTreeSet<&str> = isms::api::KINDS
        .all()
        .iter()
        .map(|kind| kind.name)
        .collect();
    assert!(kinds.len() > 15, "only {kinds:?} are known");
    let (mut faults, mut idle) = (Vec::new(), BTreeSet::from(NAMED));
    for (path, text) in files() {
        let at = path.to_str().unwrap();
        if floor(&room(&path)).is_none_or(|floor| floor > 5) {
            continue;
        }
        let found = named_kinds(&text, &kinds);
        match NAMED.iter().find(|exempt| at.starts_with(**exempt)) {
            Some(exempt) if !found.is_empty() => drop(idle.remove(exempt)),
            Some(_) => {}
            None => faults.extend(
                found
                    .into_iter()
                    .map(|(line, kind)| format!("{at}:{line}: the kind `{kind}` is named")),
            ),
        }
    }
    assert!(
        idle.is_empty(),
        "nothing needs these exemptions any more: {idle:?}"
    );
    assert!(
        faults.is_empty(),
        "let the kind say it, in a member of `Kind`:\n{}",
        faults.join("\n")
    );
}

#[test]
fn a_name_of_a_kind_is_found() {
    let kinds = BTreeSet::from(["risk", "person"]);
    let planted = "if kind == \"risk\" {\n// \"person\"\njson!({\"risk\": 1, \"is\": \"person\"})\n\
                   \"risks\"\n#[cfg(test)]\n\"risk\"\n";
    assert_eq!(named_kinds(planted, &kinds), [(1, "risk"), (3, "person")]);
}

/// The module that a file is: `records/tx.rs` is `records::tx`, `records/mod.rs` is `records`.
fn module(path: &Path) -> String {
    let text = path
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .trim_end_matches("/mod")
        .replace("do_", "do")
        .replace('/', "::");
    if text == "lib" { String::new() } else { text }
}

/// Every path that code names, in full: `crate::a::{b, c::D}` is `a::b` and `a::c::D`; `super` and
/// `self` are from where the code stands.
fn paths(text: &str, at: &str) -> Vec<(bool, String)> {
    let code: String = code(text)
        .map(|(_, line)| line)
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut all = Vec::new();
    let (bytes, mut from) = (code.replace("r#", ""), 0);
    while let Some((place, root)) = ["crate::", "super::", "self::"]
        .iter()
        .filter_map(|root| Some((bytes[from..].find(root)? + from, *root)))
        .min()
    {
        from = place + root.len();
        if bytes[..place]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c))
        {
            continue;
        }
        let line = bytes[..place].rfind(['\n', ';', '}']).map_or(0, |n| n + 1);
        let public = bytes[line..place].trim_start().starts_with("pub use");
        let base = match root {
            "crate::" => String::new(),
            "self::" => at.to_owned(),
            _ => at
                .rsplit_once("::")
                .map(|(above, _)| above.to_owned())
                .unwrap_or_default(),
        };
        tree(&bytes[from..], &base, &mut |path| all.push((public, path)));
    }
    all
}
/// The paths of a `use` tree that begins here, as far as it goes.
fn tree(text: &str, base: &str, found: &mut dyn FnMut(String)) -> usize {
    let join = |name: &str| {
        if base.is_empty() {
            name.to_owned()
        } else {
            format!("{base}::{name}")
        }
    };
    if let Some(group) = text.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += group[at..]
                .find(|c: char| !c.is_whitespace() && c != ',')
                .unwrap_or(group.len() - at);
            match group[at..].chars().next() {
                None => return text.len(),
                Some('}') => return at + 2,
                Some(_) => {
                    let taken = tree(&group[at..], base, found);
                    at += taken;
                    at += group[at..].find([',', '}']).unwrap_or(group.len() - at);
                }
            }
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    match (&text[..end], &text[end..]) {
        ("", rest) if rest.starts_with('*') => {
            found(base.to_owned());
            1
        }
        ("", _) => 0,
        ("super", rest) if rest.starts_with("::") => {
            let above = base
                .rsplit_once("::")
                .map(|(above, _)| above.to_owned())
                .unwrap_or_default();
            end + 2 + tree(&rest[2..], &above, found)
        }
        ("self", _) => {
            found(base.to_owned());
            end
        }
        (name, rest) if rest.starts_with("::") => end + 2 + tree(&rest[2..], &join(name), found),
        (_, rest) if rest.starts_with('!') => end,
        (name, _) => {
            found(join(name));
            end
        }
    }
}

/// Which file uses which: a name that a `mod.rs` only hands on belongs to the file that has it.
fn uses(files: &[(PathBuf, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<String> = files.iter().map(|(path, _)| module(path)).collect();
    let longest = |path: &str| {
        let mut at = path;
        while !modules.contains(at) {
            at = at.rsplit_once("::")?.0;
        }
        Some(at.to_owned())
    };
    // What each module hands on: `records::Tx` is `records::tx::Tx`.
    let mut handed: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files {
        let at = module(path);
        let mut own = |name: &str| {
            let full = if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}::{name}")
            };
            if let Some(last) = name.rsplit_once("::").map(|(_, last)| last) {
                handed.insert(
                    if at.is_empty() {
                        last.to_owned()
                    } else {
                        format!("{at}::{last}")
                    },
                    full,
                );
            }
        };
        for line in text.split(';').filter_map(|line| {
            line.trim()
                .rsplit('\n')
                .next()?
                .trim()
                .strip_prefix("pub use ")
                .map(str::to_owned)
        }) {
            if !line.starts_with("crate::") && !line.starts_with("super::") {
                tree(&line.replace("r#", ""), "", &mut |path| own(&path));
            }
        }
        for (public, full) in paths(text, &at).into_iter().filter(|(public, _)| *public) {
            assert!(public);
            let last = full.rsplit("::").next().unwrap().to_owned();
            handed.insert(
                if at.is_empty() {
                    last
                } else {
                    format!("{at}::{last}")
                },
                full,
            );
        }
    }
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files {
        let at = module(path);
        for (public, mut to) in paths(text, &at) {
            for _ in 0..5 {
                match handed
                    .iter()
                    .find(|(name, _)| to == **name || to.starts_with(&format!("{name}::")))
                {
                    Some((name, full)) if !modules.contains(name) => {
                        to = format!("{full}{}", &to[name.len()..])
                    }
                    _ => break,
                }
            }
            if let Some(to) = longest(&to).filter(|to| *to != at && !public) {
                all.entry(at.clone()).or_default().insert(to);
            }
        }
    }
    all
}

/// The files that use each other in a circle, each set once.
fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = next.pop() {
            next.extend(
                uses.get(&at)
                    .into_iter()
                    .flatten()
                    .filter(|to| seen.insert((*to).clone()))
                    .cloned(),
            );
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        uses.keys().map(|at| (at, reach(at))).collect();
    let back = |a: &String, b: &String| reached.get(b).is_some_and(|seen| seen.contains(a));
    let set = |at: &String| {
        reached[at]
            .iter()
            .filter(|to| back(at, to))
            .cloned()
            .collect::<Vec<_>>()
    };
    let all: BTreeSet<Vec<String>> = uses.keys().map(set).filter(|all| all.len() > 1).collect();
    all.into_iter().collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let found = circles(&uses(&files()));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn circles_of_files_are_found() {
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let some = [
        file(
            "a/mod.rs",
            "pub mod x;\npub mod y;\npub use x::X;\npub use y::{Y, Z};\n",
        ),
        file("a/x.rs", "use super::Y;\npub struct X;"),
        file("a/y.rs", "use crate::b::{c::C, d};\npub struct Y;"),
        file("b/c.rs", "fn f() -> crate::a::X { }"),
        file("b/d.rs", "use super::c;\n// use crate::a::y;\n"),
        file("b/mod.rs", "pub mod c;\npub mod d;\n"),
    ];
    let all = uses(&some);
    assert_eq!(all["a::x"], BTreeSet::from(["a::y".to_owned()]));
    assert_eq!(
        all["a::y"],
        BTreeSet::from(["b::c".to_owned(), "b::d".to_owned()])
    );
    assert_eq!(all["b::c"], BTreeSet::from(["a::x".to_owned()]));
    assert_eq!(
        circles(&all),
        [["a::x", "a::y", "b::c", "b::d"].map(str::to_owned).to_vec()]
    );
}
