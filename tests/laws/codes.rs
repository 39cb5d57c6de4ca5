//! Problems: every code of the table is the outcome of some test, and every problem that a test
//! meets is one of the table.
use isms::core::Code;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The codes that tests meet, with the status that they expect: what stands in `problem(404,
/// "not_found")`, which fails when it is not so.
fn met(folder: &Path, all: &mut BTreeMap<String, Vec<u16>>) {
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            met(&entry, all);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&entry).unwrap();
            let lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            read(&lines, all);
        }
    }
}
fn read(text: &str, all: &mut BTreeMap<String, Vec<u16>>) {
    for (_, rest) in text
        .match_indices(".problem(")
        .map(|(at, word)| (at, &text[at + word.len()..]))
    {
        let Some((status, rest)) = rest.split_once(',') else {
            continue;
        };
        let Some(name) = rest
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next())
        else {
            continue;
        };
        if let Ok(status) = status.trim().parse() {
            all.entry(name.to_owned()).or_default().push(status);
        }
    }
    for code in Code::ALL
        .iter()
        .filter(|code| text.contains(&format!("assert!(problem.is(Code::{code:?}))")))
    {
        let (_, name, status, _) = code.row();
        all.entry(name.to_owned()).or_default().push(status);
    }
}

#[actix_web::test]
async fn a_body_that_does_not_arrive_is_408() {
    use actix_web::{FromRequest, dev::Payload, test::TestRequest};
    let request = TestRequest::post()
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("Transfer-Encoding", "chunked"));
    let request = request.to_http_request();
    let mut never: Payload = Payload::Stream {
        payload: Box::pin(futures_util::stream::pending()),
    };
    let began = std::time::Instant::now();
    let Err(problem) = isms::http::Input::from_request(&request, &mut never).await else {
        panic!("a body was read")
    };
    assert!(problem.is(Code::RequestTimeout));
    assert!(
        began.elapsed().as_secs() < 60,
        "it took {:?}",
        began.elapsed()
    );
}

#[actix_web::test]
async fn a_read_that_finds_no_reader_is_503() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/isms.db", dir.path().display());
    let database = std::sync::Arc::new(isms::db::Database::open(&url, 1).unwrap());
    let (taken, wait) = std::sync::mpsc::channel();
    let other = database.clone();
    let busy = actix_web::rt::spawn(async move {
        let hold = move |_: &mut isms::db::Conn| {
            taken.send(()).unwrap();
            std::thread::sleep(std::time::Duration::from_secs(8));
            Ok(())
        };
        other.read(hold).await
    });
    let waited = actix_web::web::block(move || wait.recv()).await.unwrap();
    waited.unwrap();
    let Err(problem) = database.read(|_| Ok(())).await else {
        panic!("there was a second reader")
    };
    assert!(problem.is(Code::Unavailable));
    busy.await.unwrap().unwrap();
}

#[test]
fn every_code_is_produced_by_some_test() {
    let mut all = BTreeMap::new();
    met(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"),
        &mut all,
    );
    let rows: Vec<(&str, u16)> = Code::ALL
        .iter()
        .map(|code| code.row())
        .map(|(_, name, status, _)| (name, status))
        .collect();
    let never: Vec<&str> = rows
        .iter()
        .filter(|(name, status)| !all.get(*name).is_some_and(|seen| seen.contains(status)))
        .map(|(name, _)| *name)
        .collect();
    assert!(
        never.is_empty(),
        "no test meets {never:?} with `.problem(status, \"code\")`"
    );
    let unknown: Vec<&String> = all
        .keys()
        .filter(|name| !rows.iter().any(|(known, _)| known == name))
        .collect();
    assert!(
        unknown.is_empty(),
        "tests meet codes that are in no table: {unknown:?}"
    );
}

#[test]
fn what_tests_meet_is_read() {
    let mut all = BTreeMap::new();
    read(
        "app.get(key, path).await.problem(404, \"not_found\");\nreply.problem(\n    409,\n    \
            \"in_use\",\n);",
        &mut all,
    );
    assert_eq!(
        all,
        BTreeMap::from([
            ("not_found".to_owned(), vec![404]),
            ("in_use".to_owned(), vec![409])
        ])
    );
    read("x.problem(status, code)", &mut all);
    assert_eq!(all.len(), 2, "what is computed is not read");
}
