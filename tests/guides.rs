//! The guides for clients, run as they are written: `docs/clients/curl.md` and `python.md` against
//! the real executable, and the retries of both against a service that fails. `typescript.md` needs
//! packages and is run by `.ci/run gates`. A tool that is missing fails the test.
use crate::quick_start::{Running, isms, settings};
use crate::support::postgres;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

const CURL: &str = include_str!("../docs/clients/curl.md");
const PYTHON: &str = include_str!("../docs/clients/python.md");

/// The blocks of a guide that are marked with these words.
fn blocks(guide: &'static str, mark: &str) -> Vec<&'static str> {
    let start = format!("```{mark}\n");
    let all: Vec<&str> = guide
        .split(&start)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap_or_default())
        .collect();
    assert!(all.len() > 3, "{mark}: {}", all.len());
    all
}

/// A service with an organization, and the key of its manager.
fn serving(dir: &Path, database: Option<&str>) -> (Running, String) {
    let mut settings = settings(dir, database);
    settings.insert("ISMS_ADMIN_PASSWORD", "correct horse battery".into());
    let mut create = isms("admin", &settings);
    let made = create
        .args([
            "create",
            "--organization",
            "A",
            "--email",
            "a@a.example",
            "--api-key",
        ])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let key = serde_json::from_slice::<Value>(&made.stdout).unwrap()["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    settings.remove("ISMS_ADMIN_PASSWORD");
    (Running::start("serve", &settings).unwrap(), key)
}

/// Runs a program of a guide in a folder of its own.
fn run(program: &str, arguments: &[&str], url: &str, key: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    let output = command
        .env("SERVICE_URL", url)
        .env("SERVICE_KEY", key)
        .env("SERVICE_ATTEMPTS", "4")
        .output();
    output.unwrap_or_else(|why| panic!("the test needs {program}: {why}"))
}
#[track_caller]
fn said(output: &Output) -> String {
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");
    said.into_owned()
}

fn curl(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let (server, key) = serving(dir.path(), database);
    let output = run(
        "sh",
        &["-euc", &blocks(CURL, "sh guide").join("\n")],
        &server.address,
        &key,
    );
    let text = said(&output);
    let answers: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .collect();
    assert_eq!(answers.len(), 3, "{text}");
    assert_eq!(
        (&answers[0]["code"], &answers[0]["payload"]),
        (&json!("EVD-1"), &Value::Null)
    );
    assert_eq!(
        (&answers[1]["name"], &answers[1]["size_bytes"]),
        (&json!("Restore log; nightly"), &json!(34))
    );
    assert_eq!(answers[1], answers[2], "sent again, answered again");
    assert!(
        text.contains("it is the same file") && text.contains("ended with 22"),
        "{text}"
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("/name"),
        "the faults are printed"
    );
    server.end();
}

fn python(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let (server, key) = serving(dir.path(), database);
    let text = said(&run(
        "python3",
        &["-c", &blocks(PYTHON, "python guide").join("\n\n")],
        &server.address,
        &key,
    ));
    assert!(
        text.starts_with("['manager']\n") && text.contains("create evidence EVD-2"),
        "{text}"
    );
    server.end();
}

#[test]
fn the_curl_guide_runs_as_written() {
    curl(None);
}
#[test]
fn the_curl_guide_runs_on_postgresql() {
    if let Some(server) = postgres::server() {
        server.create("guide_curl");
        curl(Some(&server.url("guide_curl")));
    }
}
#[test]
fn the_python_guide_runs_as_written() {
    python(None);
}
#[test]
fn the_python_guide_runs_on_postgresql() {
    if let Some(server) = postgres::server() {
        server.create("guide_python");
        python(Some(&server.url("guide_python")));
    }
}

/// A service that answers each connection with the next of these; nothing is a connection that
/// breaks off. Tells what it was asked.
fn failing(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move |answer: &'static str| {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut part) = (Vec::new(), [0; 4096]);
        let whole = |asked: &[u8]| {
            let text = String::from_utf8_lossy(asked).to_ascii_lowercase();
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.parse::<usize>().ok()?).then_some(())
        };
        while whole(&asked).is_none() {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "it ended early");
            asked.extend_from_slice(&part[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    };
    (
        url,
        std::thread::spawn(move || answers.into_iter().map(serve).collect()),
    )
}
const NOT_NOW: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: \
    0\r\nConnection: close\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: \
    0\r\nConnection: close\r\n\r\n";
const MADE: &str = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: \
    16\r\nConnection: close\r\n\r\n{\"code\":\"EVD-1\"}";
const INVALID: &str = "HTTP/1.1 422 Unprocessable Content\r\nContent-Type: \
    application/problem+json\r\nContent-Length: 28\r\nConnection: \
    close\r\n\r\n{\"code\":\"validation_failed\"}";

fn retries(program: &str, arguments: &[&str]) {
    // It may have been done although nobody answered: the same key each time.
    let (url, asked) = failing(vec![NOT_NOW, "", BUSY, MADE]);
    assert!(said(&run(program, arguments, &url, "isms_key")).contains("EVD-1"));
    let asked = asked.join().unwrap();
    let keys: Vec<BTreeMap<String, String>> =
        asked.iter().map(|request| headers(request)).collect();
    assert_eq!(keys.len(), 4);
    assert!(
        keys.iter()
            .all(|one| one["idempotency-key"] == keys[0]["idempotency-key"]
                && one["authorization"] == "Bearer isms_key")
    );
    // What is invalid is not sent again.
    let (url, asked) = failing(vec![INVALID]);
    let output = run(program, arguments, &url, "isms_key");
    assert!(
        !output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("validation_failed")
    );
    assert_eq!(asked.join().unwrap().len(), 1);
    // It gives up in the end.
    let (url, asked) = failing(vec![BUSY; 4]);
    assert!(!run(program, arguments, &url, "isms_key").status.success());
    assert_eq!(asked.join().unwrap().len(), 4);
}
fn headers(request: &str) -> BTreeMap<String, String> {
    let lines = request.split("\r\n\r\n").next().unwrap().lines().skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

#[test]
fn the_function_for_curl_retries_what_may_go_better() {
    let script = format!(
        "{}\nisms_post evidence run-1 --json '{{\"payload\": 1}}'",
        blocks(CURL, "sh guide")[0]
    );
    retries("sh", &["-euc", &script]);
}
#[test]
fn the_client_for_python_retries_what_may_go_better() {
    let client = blocks(PYTHON, "python guide")[0]
        .split("\nisms = Isms(")
        .next()
        .unwrap();
    let program = format!(
        "{client}\nprint(Isms(os.environ['SERVICE_URL'], os.environ['SERVICE_KEY'], \
            4).call('POST', 'evidence', {{'payload': 1}}))"
    );
    retries("python3", &["-c", &program]);
}

/// The page of the document; `.ci/run docs_page` opens it in a browser.
#[actix_web::test]
async fn the_page_asks_nobody_else() {
    let app = crate::support::TestApp::sqlite().await;
    for (path, media) in [
        ("/docs", "text/html"),
        ("/docs/page.js", "text/javascript"),
        ("/docs/page.css", "text/css"),
        ("/docs/icon.svg", "image/svg+xml"),
    ] {
        let part = app.get("", path).await.expect(200);
        assert!(
            part.header("content-type").unwrap().starts_with(media),
            "{path}"
        );
        let policy = part.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(
            !["unsafe", "*", "http:", "https:", "data:"]
                .iter()
                .any(|word| policy.contains(word)),
            "{policy}"
        );
        app.get_with("", path, &[("If-None-Match", &part.etag())])
            .await
            .expect(304);
        let text = part.text().replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "//cdn",
            "innerHTML",
            "eval(",
            "style=",
            "onclick=\"",
            "@import",
            ": url(",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
    let page = app.get("", "/docs").await.expect(200).text();
    for path in page.split('"').filter(|word| word.starts_with("/docs/")) {
        app.get("", path).await.expect(200);
    }
    assert_eq!(
        app.get("", "/v1/me")
            .await
            .expect(401)
            .header("content-security-policy")
            .unwrap(),
        "default-src 'none'; frame-ancestors 'none'"
    );
}
