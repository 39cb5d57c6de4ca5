//! What a newcomer does first: the quick start of the README, run as it is written, and the demo;
//! with the real executable, on both databases.
use crate::support::postgres;
use isms::config::SETTINGS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const README: &str = include_str!("../README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_isms");

/// A command of the program, with these settings and no others.
pub fn isms(command: &str, settings: &BTreeMap<&str, String>) -> Command {
    let mut program = Command::new(PROGRAM);
    program
        .arg(command)
        .env_clear()
        .envs(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    program
}
/// A data folder of its own, any free port.
pub fn settings(dir: &Path, database: Option<&str>) -> BTreeMap<&'static str, String> {
    let own = [
        ("ISMS_DATA_DIR", dir.display().to_string()),
        ("ISMS_BIND", "127.0.0.1:0".into()),
    ];
    own.into_iter()
        .chain(database.map(|url| ("DATABASE_URL", url.to_owned())))
        .collect()
}

/// A process that is ended with the test, and what it says until then.
pub struct Running {
    process: Child,
    /// Where it serves.
    pub address: String,
    line: String,
}
impl Running {
    /// Waits until it serves.
    pub fn start(command: &str, settings: &BTreeMap<&str, String>) -> Result<Running, String> {
        let mut process = isms(command, settings).spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let (mut heard, mut address) = (String::new(), None);
        while address.is_none() && said.read_line(&mut heard).unwrap() > 0 {
            let last = heard.lines().last().unwrap_or_default();
            address = last
                .split_once("] serving ")
                .map(|(_, address)| address.to_owned());
        }
        let Some(address) = address else {
            process.wait().unwrap();
            return Err(heard);
        };
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let mut line = String::new();
        if command == "demo" {
            BufReader::new(process.stdout.as_mut().unwrap())
                .read_line(&mut line)
                .unwrap();
        }
        Ok(Running {
            process,
            address,
            line,
        })
    }
    /// Ends it in order; gives back the rest of what it printed.
    pub fn end(mut self) -> String {
        let end = Command::new("kill")
            .arg("-TERM")
            .arg(self.process.id().to_string())
            .status()
            .unwrap();
        assert!(end.success() && self.process.wait().unwrap().success());
        let mut rest = String::new();
        self.process
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        rest
    }
}
impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The blocks that are marked, one after the other.
fn script() -> String {
    let blocks = README
        .split("```sh quick-start\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.collect()
}

fn run(url: &str, settings: &BTreeMap<&str, String>, scratch: &Path) -> Output {
    let bin = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    // Its own folder, so that two of them do not meet; what it reads of the project is linked
    // there.
    for name in ["Cargo.lock", "openapi"] {
        std::os::unix::fs::symlink(Path::new(ROOT).join(name), scratch.join(name)).unwrap();
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &script()])
        .current_dir(scratch)
        .env_clear()
        .envs(settings)
        .env("PATH", path)
        .env("URL", url);
    shell.output().unwrap()
}

fn quick_start(database: Option<&str>) {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = settings(dir.path(), database);
    let server = Running::start("serve", &settings).unwrap();
    let output = run(&server.address, &settings, scratch.path());
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");
    let answers: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .collect();
    let of = |code: &str| {
        answers
            .iter()
            .filter(|answer| answer["code"] == code)
            .collect::<Vec<_>>()
    };
    let last = |code: &str| {
        *of(code)
            .last()
            .unwrap_or_else(|| panic!("no {code}: {said}"))
    };
    assert_eq!(last("SCO-1")["status"], "approved");
    let levels: Vec<&Value> = answers
        .iter()
        .filter(|answer| answer["stage"].is_string())
        .map(|answer| &answer["level"])
        .collect();
    assert_eq!(levels, ["critical", "high"]);
    let then = last("RSK-1");
    assert!(
        then["current"].is_null() && then["existing_control_ids"] == serde_json::json!([]),
        "as_of shows it as it was: {then}"
    );
    assert_eq!(
        of("EVD-3").first(),
        of("EVD-3").last(),
        "sent again, answered again"
    );
    assert_eq!(of("EVD-3").len(), 2);
    assert!(of("EVD-4").is_empty());
    assert_eq!(
        (
            &last("CTL-1")["operation"],
            &last("CTL-1")["evidence"]["current"]
        ),
        (&"operating".into(), &2.into())
    );
    assert_eq!(
        said.lines()
            .filter(|line| line.starts_with("iso-27001-2022:A."))
            .count(),
        93,
        "{said}"
    );
    assert!(
        said.lines()
            .any(|line| line.starts_with("iso-27001-2022:A.8.30,") && line.contains("own staff")),
        "{said}"
    );
    assert!(
        said.lines().any(|line| line == "403")
            && answers.iter().any(|answer| answer["code"] == "forbidden")
    );
    assert_eq!(last("NCR-1")["status"], "closed");
    let reasons = answers
        .iter()
        .filter_map(|answer| answer["data"].as_array())
        .flatten()
        .map(|entry| &entry["reason"]);
    assert!(
        reasons
            .into_iter()
            .any(|reason| reason == "The second factor is in use."),
        "{said}"
    );
    let overview = answers.last().unwrap();
    assert_eq!(
        (
            &overview["risk_levels"]["current"]["high"],
            &overview["nonconformities"]["closed"]
        ),
        (&1.into(), &1.into())
    );
    assert_eq!(server.end(), "", "messages for people go to standard error");
}

fn demo(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), database);
    let first = Running::start("demo", &settings).unwrap();
    let line: Value = serde_json::from_str(&first.line).unwrap();
    assert_eq!(line["address"], first.address.as_str());
    let mut members: Vec<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "address",
            "approver_key",
            "auditor_key",
            "collector_key",
            "manager_key",
            "organization_id"
        ]
    );
    let kept = dir.path().join("demo.json");
    assert_eq!(
        std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let get = |address: &Value, key: &str, path: &str| -> Value {
        let (key, url) = (
            format!("Authorization: Bearer {}", line[key].as_str().unwrap()),
            format!("{}{path}", address.as_str().unwrap()),
        );
        serde_json::from_slice(
            &Command::new("curl")
                .args(["-sS", "-H", &key, &url])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    };
    for (key, role) in [
        ("manager_key", "manager"),
        ("approver_key", "approver"),
        ("collector_key", "collector"),
        ("auditor_key", "auditor"),
    ] {
        let me = get(&line["address"], key, "/v1/me");
        assert_eq!(
            (&me["roles"][0], &me["organization_id"]),
            (&role.into(), &line["organization_id"])
        );
    }
    believable(&|path| get(&line["address"], "manager_key", path));
    assert_eq!(first.end(), "", "one line alone on standard output");

    let second = Running::start("demo", &settings).unwrap();
    let again: Value = serde_json::from_str(&second.line).unwrap();
    assert_eq!(
        (&again["address"], &again["manager_key"]),
        (&second.address.as_str().into(), &line["manager_key"])
    );
    assert_eq!(
        get(
            &again["address"],
            "auditor_key",
            "/v1/risks?include=total&limit=1"
        )["total"],
        44,
        "it was not filled again"
    );
    second.end();

    std::fs::remove_file(kept).unwrap();
    let refused = Running::start("demo", &settings).err().unwrap();
    assert!(refused.contains("is not empty"), "{refused}");
}

/// What an organization that shows the product has to have.
fn believable(get: &dyn Fn(&str) -> Value) {
    let data = |path: &str| {
        get(path)["data"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("{path}"))
    };
    let among = |path: &str, member: &str| -> BTreeMap<String, usize> {
        let values = data(path)
            .into_iter()
            .map(|record| record[member].as_str().unwrap_or("none").to_owned());
        values.fold(BTreeMap::new(), |mut all, value| {
            *all.entry(value).or_default() += 1;
            all
        })
    };
    assert_eq!(among("/v1/assets?limit=200", "asset_type").len(), 7);
    assert!(data("/v1/assets?limit=200").len() >= 36);
    let cells = get("/v1/risk-matrix?stage=current")["cells"]
        .as_array()
        .unwrap()
        .clone();
    assert!(
        cells.len() == 25 && cells.iter().all(|cell| cell["count"].as_i64() > Some(0)),
        "the whole matrix"
    );
    assert!(
        among("/v1/risk-treatments", "status").len() >= 5
            && !data("/v1/risk-treatments?lapsed=true").is_empty()
    );
    assert!(
        among("/v1/risks?limit=200", "evaluation").len() >= 5,
        "{:?}",
        among("/v1/risks?limit=200", "evaluation")
    );
    assert!(
        among("/v1/controls?limit=200", "operation").len() == 3
            && among("/v1/controls?limit=200", "frequency").len() >= 7
    );
    assert_eq!(among("/v1/evidence?limit=200", "freshness").len(), 3);
    assert!(among("/v1/nonconformities?limit=200", "status").len() >= 6);
    assert!(
        !data("/v1/actions?overdue=true").is_empty()
            && among("/v1/actions?limit=200", "status").len() == 4
    );
    assert_eq!(
        among("/v1/scopes", "status"),
        BTreeMap::from([("approved".to_owned(), 2)])
    );
    let statement = |scope: &str| get(&format!("/v1/scopes/{scope}/statement-of-applicability"));
    let (platform, warehouse) = (statement("SCO-1"), statement("SCO-2"));
    assert_ne!(platform["summary"], warehouse["summary"]);
    assert_eq!(
        (
            &platform["summary"]["undecided"],
            &platform["summary"]["justification_missing"]
        ),
        (&0.into(), &0.into())
    );
    assert!(platform["summary"]["excluded"].as_i64() > Some(0));
    let by = &platform["summary"]["by_implementation"];
    for stage in [
        "implemented",
        "partially_implemented",
        "planned",
        "not_implemented",
    ] {
        assert!(by[stage].as_i64() > Some(0), "{by}");
    }
    let past = get("/v1/scopes/SCO-1/statement-of-applicability?as_of=seq:300");
    assert_ne!(past["summary"], platform["summary"], "it has a past");
}

#[test]
fn the_quick_start_runs_as_written() {
    quick_start(None);
}
#[test]
fn the_quick_start_runs_on_postgresql() {
    if let Some(server) = postgres::server() {
        server.create("quick_start");
        quick_start(Some(&server.url("quick_start")));
    }
}
#[test]
fn the_demo_is_filled_once() {
    demo(None);
}
#[test]
fn the_demo_is_filled_on_postgresql() {
    if let Some(server) = postgres::server() {
        server.create("demo");
        demo(Some(&server.url("demo")));
    }
}

#[test]
fn the_readme_has_every_setting() {
    let rows = README
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("_"));
    let found: Vec<&str> = rows.collect();
    let wanted = SETTINGS.iter().map(|(name, default, meaning)| {
        let default = if default.is_empty() {
            "–".to_owned()
        } else {
            format!("`{default}`")
        };
        format!("| `{name}` | {default} | {meaning} |")
    });
    assert_eq!(found, wanted.collect::<Vec<_>>());
}
