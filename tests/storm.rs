//! Weather: retries whose answers never came, connections that say nothing, and some that say it
//! slowly. `ISMS_STORM` is how hard (1: as in CI; 50: ten thousand keys, ten thousand idle
//! connections).
use crate::support::TestApp;
use crate::support::process::{Server, ask, connect, hear, send};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

crate::on_both!(
    a_storm_of_retries_has_each_effect_once,
    idle_and_slow_connections_hold_nobody_up
);

/// How hard it blows.
fn force() -> usize {
    std::env::var("ISMS_STORM")
        .ok()
        .and_then(|force| force.parse().ok())
        .unwrap_or(1)
}

/// The request that belongs to a key: an asset, a payload, a file, or a batch.
fn request(key: &str, n: usize) -> (String, Vec<u8>) {
    let headers = format!("Authorization: Bearer {key}\r\nIdempotency-Key: storm-{n}");
    let json = |path: &str, body: Value| {
        (
            format!("POST {path} HTTP/1.1\r\n{headers}\r\nContent-Type: application/json"),
            body.to_string().into_bytes(),
        )
    };
    let asset = json!({"name": format!("Storm {n}"), "asset_type": "service",
        "classification": "internal"});
    match n % 4 {
        0 => json("/v1/assets", asset),
        1 => json(
            "/v1/evidence",
            json!({"name": format!("Storm {n}"), "source": "storm", "external_id": n.to_string(),
                "payload": {"n": n}}),
        ),
        2 => json("/v1/assets/batch", json!({"items": [{"create": asset}]})),
        _ => {
            // The boundary differs between attempts, as with every client.
            let line = uuid::Uuid::now_v7();
            let metadata = json!({"name": format!("Storm {n}"), "source": "storm",
                "external_id": n.to_string()});
            let body = format!(
                "--{line}\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: \
                    application/json\r\n\r\n{metadata}\r\n\
                 --{line}\r\nContent-Disposition: form-data; name=\"file\"; \
                 filename=\"n.txt\"\r\nContent-Type: text/plain\r\n\r\nfile {n}\r\n--{line}--\r\n"
            );
            (
                format!(
                    "POST /v1/evidence HTTP/1.1\r\n{headers}\r\nContent-Type: \
                        multipart/form-data; boundary={line}"
                ),
                body.into_bytes(),
            )
        }
    }
}

async fn a_storm_of_retries_has_each_effect_once(app: &TestApp) {
    let (keys, key) = (200 * force(), app.keys.manager.clone());
    let server = Server::start(app.dir.path(), Some(&app.url));
    let (address, next) = (server.address.clone(), AtomicUsize::new(0));
    let answers: BTreeMap<usize, (u16, Vec<u8>)> = std::thread::scope(|scope| {
        let worker = || {
            let mut answers = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= keys {
                    return answers;
                }
                let (address, key) = (&address, &key);
                // Three attempts whose answers nobody hears: gone at once, after a moment, and
                // together with the next.
                for wait in [0, 3, 0] {
                    let (head, body) = request(key, n);
                    let mut stream = connect(address);
                    send(&mut stream, &head, &body);
                    std::thread::sleep(Duration::from_millis(wait));
                }
                let heard: Vec<_> = (0..2)
                    .map(|_| patiently(address, &|| request(key, n)))
                    .collect();
                assert_eq!(heard[0], heard[1], "two answers to one attempt");
                answers.push((n, heard[0].clone()));
            }
        };
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(answers.len(), keys);
    let mut stream = connect(&server.address);
    let mut total = |path: &str| {
        ask(&mut stream, &key, "GET", path, None).unwrap().1["total"]
            .as_u64()
            .unwrap() as usize
    };
    assert_eq!(total("/v1/assets?q=storm&include=total"), keys / 2);
    assert_eq!(total("/v1/evidence?q=storm&include=total"), keys / 2);
    for (n, (status, _)) in &answers {
        assert_eq!(*status, if n % 4 == 2 { 200 } else { 201 }, "{n}");
    }
    assert_eq!(
        crate::support::make::seqs(app).len() as i64,
        crate::support::make::last(app) + 1,
        "the ledger has a gap"
    );
}

/// Asks again while the first attempt is still being worked on.
fn patiently(address: &str, request: &dyn Fn() -> (String, Vec<u8>)) -> (u16, Vec<u8>) {
    for _ in 0..200 {
        let (head, body) = request();
        let mut stream = connect(address);
        send(&mut stream, &head, &body).unwrap();
        match hear(&mut stream).unwrap() {
            (409 | 503, ..) => std::thread::sleep(Duration::from_millis(20)),
            (status, _, bytes) => return (status, bytes),
        }
    }
    panic!("no answer after two hundred attempts");
}

async fn idle_and_slow_connections_hold_nobody_up(app: &TestApp) {
    let (idle, slow, key) = (200 * force(), 100, app.keys.manager.clone());
    let server = Server::start(app.dir.path(), Some(&app.url));
    let calm = times(&server.address, &key);
    let silent: Vec<_> = (0..idle).map(|_| connect(&server.address)).collect();
    let body =
        json!({"name": "Slow", "asset_type": "service", "classification": "internal"}).to_string();
    let head = format!(
        "POST /v1/assets HTTP/1.1\r\nHost: isms\r\nAuthorization: Bearer {key}\r\nContent-Type: \
            application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut slow: Vec<_> = (0..slow).map(|_| connect(&server.address)).collect();
    for stream in &mut slow {
        stream.get_mut().write_all(head.as_bytes()).unwrap();
    }
    let asking = {
        let (address, key) = (server.address.clone(), key.clone());
        std::thread::spawn(move || times(&address, &key))
    };
    for byte in body.as_bytes() {
        if asking.is_finished() {
            break;
        }
        for stream in &mut slow {
            stream.get_mut().write_all(&[*byte]).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1000));
    }
    let stormy = asking.join().unwrap();
    println!(
        "p99 of reads and writes: {calm:?}, with {idle} idle and {} slow connections: {stormy:?}",
        slow.len()
    );
    // The machine of the tests is shared: the figure is reported, only a standstill fails.
    assert!(
        stormy < calm * 10 + Duration::from_millis(200),
        "{calm:?} became {stormy:?}"
    );
    assert_eq!(silent.len(), idle);
}

/// p99 of reads and writes, one after the other on one connection.
fn times(address: &str, key: &str) -> Duration {
    let mut stream = connect(address);
    let asset = json!({"name": "Between", "asset_type": "service", "classification": "internal"});
    let mut all: Vec<Duration> = (0..300)
        .map(|n| {
            let began = Instant::now();
            let (method, body) = if n % 10 == 0 {
                ("POST", Some(&asset))
            } else {
                ("GET", None)
            };
            let (status, answer) = ask(&mut stream, key, method, "/v1/assets", body).unwrap();
            assert!(status < 300, "{answer}");
            began.elapsed()
        })
        .collect();
    all.sort();
    all[all.len() * 99 / 100]
}
