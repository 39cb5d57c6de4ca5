//! What was answered is there: the process is killed under write load, again and again, and nothing
//! that it acknowledged is lost or half done.
use crate::support::process::{Server, ask, connect, isms};
use diesel::prelude::*;
use isms::core::TenantId;
use isms::db::schema::ledger_entries as e;
use isms::db::{Conn, Manager};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
const WRITERS: usize = 8;

/// Writes until the service is gone; what was answered with 201 is acknowledged.
fn write(address: &str, key: &str, mark: &str, acknowledged: &Mutex<BTreeSet<String>>) {
    let mut stream = connect(address);
    for n in 0.. {
        let name = format!("{mark}-{n}");
        let asset =
            json!({"name": name, "asset_type": "information", "classification": "internal"});
        let evidence =
            json!({"name": name, "source": "load", "external_id": name, "payload": {"name": name}});
        let (path, body) = if n % 2 == 0 {
            ("/v1/assets", asset)
        } else {
            ("/v1/evidence", evidence)
        };
        match ask(&mut stream, key, "POST", path, Some(&body)) {
            Some((status, made)) => {
                assert_eq!(status, 201, "{made}");
                acknowledged
                    .lock()
                    .unwrap()
                    .insert(made["id"].as_str().unwrap().to_owned());
            }
            None => return,
        }
    }
}

/// Every id of a list, page by page.
fn ids(stream: &mut BufReader<TcpStream>, key: &str, path: &str) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let (status, page) = ask(
            stream,
            key,
            "GET",
            &format!("{path}?limit=200{cursor}"),
            None,
        )
        .unwrap();
        assert_eq!(status, 200, "{page}");
        all.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| record["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn files_match_their_hashes(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let check = |path: std::path::PathBuf| match path.is_dir() {
        true => files_match_their_hashes(&path),
        false => {
            let digest: String = Sha256::digest(std::fs::read(&path).unwrap())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(path.file_name().unwrap().to_str(), Some(digest.as_str()));
            1
        }
    };
    entries.map(check).sum()
}

#[test]
fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let made = isms(
        dir.path(),
        &[
            "admin",
            "create",
            "--organization",
            "Load",
            "--email",
            "load@example.org",
            "--api-key",
        ],
    )
    .output()
    .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let (key, tenant) = (
        made["api_key"].as_str().unwrap().to_owned(),
        made["organization_id"].as_str().unwrap().to_owned(),
    );
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..ROUNDS {
        let server = Server::start(dir.path(), None);
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (address, key, acknowledged) =
                    (server.address.clone(), key.clone(), acknowledged.clone());
                std::thread::spawn(move || {
                    write(&address, &key, &format!("{round}-{n}"), &acknowledged)
                })
            })
            .collect();
        // In the middle of the load, however slow the machine is, and each time at another moment.
        let (before, began) = (acknowledged.lock().unwrap().len(), Instant::now());
        while acknowledged.lock().unwrap().len() < before + 2 * WRITERS
            && began.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(5 * round as u64));
        drop(server); // SIGKILL
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
    }
    let server = Server::start(dir.path(), None);
    let mut stream = connect(&server.address);
    let there: BTreeSet<String> = ids(&mut stream, &key, "/v1/assets")
        .into_iter()
        .chain(ids(&mut stream, &key, "/v1/evidence"))
        .collect();
    let acknowledged = acknowledged.lock().unwrap();
    assert!(
        acknowledged.len() > ROUNDS * WRITERS,
        "the load was no load: {}",
        acknowledged.len()
    );
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered writes are lost",
        lost.len(),
        acknowledged.len()
    );
    assert!(files_match_their_hashes(&dir.path().join("object_store")) > 0);
    drop(server);
    let manager = Manager::new(&format!("sqlite:{}/isms.db", dir.path().display())).unwrap();
    let mut conn: Conn = r2d2::ManageConnection::connect(&manager).unwrap();
    let tenant = TenantId(tenant.parse().unwrap());
    let seqs: Vec<i64> = e::table
        .filter(e::tenant_id.eq(tenant))
        .order(e::seq)
        .select(e::seq)
        .load(&mut conn)
        .unwrap();
    assert_eq!(
        seqs,
        (0..seqs.len() as i64).collect::<Vec<_>>(),
        "the ledger has a gap"
    );
}
