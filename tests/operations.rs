//! What whoever runs the service meets: settings, rights of files, versions of the database, the
//! log, metrics and proxies; with real processes.
use crate::support::postgres;
use crate::support::process::{Server, ask, connect, hear, isms, send};
use diesel::connection::SimpleConnection;
use isms::db::Manager;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const CREATE: [&str; 7] = [
    "admin",
    "create",
    "--organization",
    "A",
    "--email",
    "a@a.example",
    "--api-key",
];

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
#[track_caller]
fn refused(output: &Output) -> String {
    assert!(
        !output.status.success(),
        "it did not stop: {}",
        text(output)
    );
    text(output)
}
#[track_caller]
fn created(dir: &Path, database: Option<&str>) -> String {
    let output = isms(dir, &CREATE)
        .envs(database.map(|url| ("DATABASE_URL", url)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["api_key"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A service whose log is kept.
struct Heard {
    process: Child,
    address: String,
    metrics: Option<String>,
    lines: Arc<Mutex<Vec<String>>>,
}
impl Heard {
    fn start(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut process = isms(dir, &["serve"])
            .envs(settings.iter().copied())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (mut said, kept) = (
            BufReader::new(process.stderr.take().unwrap()),
            lines.clone(),
        );
        let (tell, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while said.read_line(&mut line).unwrap_or(0) > 0 {
                let served = line
                    .split_once("serving http://")
                    .map(|(_, rest)| rest.trim_end_matches(['"', '}', '\n']).to_owned());
                kept.lock().unwrap().push(std::mem::take(&mut line));
                served.map(|address| tell.send(address.split('"').next().unwrap().to_owned()));
            }
        });
        let Ok(address) = address.recv() else {
            panic!("it did not start: {:?}", lines.lock().unwrap())
        };
        let metrics = lines.lock().unwrap().iter().find_map(|line| {
            Some(
                line.split_once("metrics at http://")?
                    .1
                    .split("/metrics")
                    .next()?
                    .to_owned(),
            )
        });
        Heard {
            process,
            address,
            metrics,
            lines,
        }
    }
    /// The lines that have this in them, when there are enough of them.
    fn lines(&self, with: &str, wanted: usize) -> Vec<String> {
        for _ in 0..200 {
            let found: Vec<String> = self
                .lines
                .lock()
                .unwrap()
                .iter()
                .filter(|line| line.contains(with))
                .cloned()
                .collect();
            if found.len() >= wanted {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!(
            "not {wanted} lines with {with}: {:#?}",
            self.lines.lock().unwrap()
        );
    }
    fn get(&self, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        let mut stream = connect(&self.address);
        send(&mut stream, &format!("GET {path} HTTP/1.1{headers}"), b"").unwrap();
        hear(&mut stream).unwrap()
    }
}
impl Drop for Heard {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn what_is_kept_is_for_the_owner_alone() {
    let above = tempfile::tempdir().unwrap();
    std::fs::set_permissions(above.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let dir = above.path().join("data");
    // A shell that lets others read everything.
    let wide = |arguments: &[&str]| {
        let inner = isms(&dir, arguments);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "umask 000; exec \"$0\" \"$@\""])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear();
        shell
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null());
        shell
    };
    let output = wide(&CREATE).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let mut serving = wide(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(serving.stderr.take().unwrap());
    let mut heard = String::new();
    while !heard.contains("serving http://") && said.read_line(&mut heard).unwrap() > 0 {}
    let address = heard
        .split("serving http://")
        .nth(1)
        .unwrap_or_else(|| panic!("{heard}"))
        .trim()
        .to_owned();
    let key = serde_json::from_slice::<Value>(&output.stdout).unwrap()["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let evidence = json!({"name": "x", "source": "s", "external_id": "1",
        "payload": {"big": "x".repeat(5000)}});
    let pushed = ask(
        &mut connect(&address),
        &key,
        "POST",
        "/v1/evidence",
        Some(&evidence),
    )
    .unwrap();
    assert_eq!(pushed.0, 201, "{}", pushed.1);
    let (mut places, mut seen) = (vec![dir.clone()], 0);
    while let Some(place) = places.pop() {
        seen += 1;
        let wanted = if place.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            format!("{:o}", mode(&place)),
            format!("{wanted:o}"),
            "{}",
            place.display()
        );
        if place.is_dir() {
            places.extend(
                std::fs::read_dir(&place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    assert!(seen > 6, "only {seen} places; -wal and -shm are among them");
    serving.kill().unwrap();
    serving.wait().unwrap();
    // What is wider already is named, with the way to mend it; then it starts.
    for (name, wide, narrow) in [
        ("", 0o755, 0o700),
        ("isms.db", 0o644, 0o600),
        ("sessions.db", 0o644, 0o600),
        ("isms.db-wal", 0o640, 0o600),
        ("object_store", 0o711, 0o700),
        ("token.key", 0o604, 0o600),
    ] {
        let place = if name.is_empty() {
            dir.clone()
        } else {
            dir.join(name)
        };
        if !place.exists() {
            std::fs::write(&place, "").unwrap();
        }
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(wide)).unwrap();
        for arguments in [&["serve"][..], &CREATE] {
            let why = refused(&isms(&dir, arguments).output().unwrap());
            assert!(
                why.contains(&place.display().to_string())
                    && (why.contains("chmod go= ") || why.contains("set it to 600")),
                "{name}: {why}"
            );
        }
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(narrow)).unwrap();
    }
    drop(std::fs::remove_file(dir.join("isms.db-wal")));
    Server::start(&dir, None);
}

/// A database that a newer version has migrated is refused by everything that would touch it.
fn newer(database: Option<&str>, mark: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let of = |arguments: &[&str]| {
        let mut program = isms(dir.path(), arguments);
        program.envs(database.map(|url| ("DATABASE_URL", url)));
        program
    };
    created(dir.path(), database);
    assert!(of(&["migrate"]).output().unwrap().status.success());
    let server = Server::start(dir.path(), database);
    let health = || {
        of(&["health"])
            .env("ISMS_BIND", &server.address)
            .output()
            .unwrap()
    };
    // A busy machine may need a moment to be ready.
    let ready = (0..10).any(|_| health().status.success());
    assert!(ready, "{}", text(&health()));
    mark(dir.path());
    // Who serves still is not ready any more.
    let why = refused(&health());
    assert!(why.contains("not ready"), "{why}");
    drop(server);
    for arguments in [&["serve"][..], &["migrate"], &CREATE, &["demo"]] {
        let why = refused(&of(arguments).output().unwrap());
        assert!(
            why.contains("written by a newer version") && why.contains("99999"),
            "{arguments:?}: {why}"
        );
    }
}
const MARK: &str = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999')";
fn run_sql(url: &str, sql: &str) {
    let mut conn = r2d2::ManageConnection::connect(&Manager::new(url).unwrap()).unwrap();
    conn.batch_execute(sql).unwrap();
}

#[test]
fn a_newer_database_is_refused() {
    newer(None, |dir| {
        run_sql(&format!("sqlite:{}/isms.db", dir.display()), MARK)
    });
}
#[test]
fn a_newer_database_is_refused_on_postgresql() {
    if let Some(server) = postgres::server() {
        server.create("newer");
        newer(Some(&server.url("newer")), |_| {
            run_sql(&server.url("newer"), MARK)
        });
    }
}

/// Several processes that migrate one empty database at the same moment.
fn at_once(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let start = |_| {
        let mut program = isms(dir.path(), &["migrate"]);
        program
            .envs(database.map(|url| ("DATABASE_URL", url)))
            .spawn()
            .unwrap()
    };
    let all: Vec<Child> = (0..6).map(start).collect();
    let done: Vec<Output> = all
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let ran: Vec<String> = done.iter().map(text).collect();
    assert!(
        done.iter().all(|output| output.status.success()),
        "{ran:#?}"
    );
    assert_eq!(
        ran.iter().filter(|text| text.contains("ran ")).count(),
        1,
        "one migrates, the others find it done: {ran:#?}"
    );
    created(dir.path(), database);
}

#[test]
fn one_process_migrates_and_the_others_wait() {
    (0..3).for_each(|_| at_once(None));
}
#[test]
fn one_process_migrates_and_the_others_wait_on_postgresql() {
    let Some(server) = postgres::server() else {
        return;
    };
    for n in 0..3 {
        let name = format!("at_once_{n}");
        server.create(&name);
        at_once(Some(&server.url(&name)));
    }
    // One that waits for a lock is told what it waits for, and goes on when it is free.
    server.create("held");
    let url = server.url("held");
    let mut holder = r2d2::ManageConnection::connect(&Manager::new(&url).unwrap()).unwrap();
    holder
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({})",
            0x6973_6d73_0001_i64
        ))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = isms(dir.path(), &["migrate"])
        .env("DATABASE_URL", &url)
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(waiting.try_wait().unwrap().is_none(), "it did not wait");
    holder.batch_execute("COMMIT").unwrap();
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn names_of_the_environment_that_are_no_settings_are_told_and_near_misses_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = [
        ("ISMS_SERVICE_HOST", "10.0.0.1"),
        ("ISMS_PORT", "tcp://10.0.0.1:8080"),
        ("ISMS_PORT_8080_TCP_PROTO", "tcp"),
        ("ISMS_URL", "http://x"),
        ("ISMS_KEY", "isms_x"),
    ];
    let output = isms(dir.path(), &["migrate"])
        .envs(cluster)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    for (name, value) in cluster {
        assert!(
            text(&output).contains(name) && !text(&output).contains(value),
            "{}",
            text(&output)
        );
    }
    let why = refused(
        &isms(dir.path(), &["migrate"])
            .env("ISMS_RATELIMIT", "1")
            .output()
            .unwrap(),
    );
    assert!(why.contains("did you mean ISMS_RATE_LIMIT?"), "{why}");
    for (name, value) in [
        ("ISMS_LOG", "verbose"),
        ("ISMS_LOG", "trace3"),
        ("ISMS_LOG", "isms=loud"),
        ("ISMS_DATA_DIR", ""),
        ("ISMS_FORWARDED_FROM", "10.0.0.1/8"),
        ("ISMS_METRICS", "on"),
        ("DATABASE_URL", ""),
    ] {
        let here = tempfile::tempdir().unwrap();
        let why = refused(
            &isms(dir.path(), &["migrate"])
                .env(name, value)
                .current_dir(here.path())
                .output()
                .unwrap(),
        );
        assert!(
            why.contains(&format!("{name}: ")) && !why.contains(&format!("{name}: {name}")),
            "{name}={value}: {why}"
        );
        assert_eq!(
            std::fs::read_dir(here.path()).unwrap().count(),
            0,
            "nothing is written where it was started"
        );
    }
}

#[test]
fn no_password_is_said_whatever_is_wrong_with_the_url() {
    let (dir, secret) = (tempfile::tempdir().unwrap(), "s3cretW0rd");
    let urls = [
        "postgres://isms:top%zz{}@127.0.0.1/x",
        "postgres://isms:pa@{}@127.0.0.1/x",
        "postgres://isms:pa/{}@127.0.0.1/x",
        "postgres://isms:pa?{}@127.0.0.1/x",
        "postgres://isms:pa#{}@127.0.0.1/x",
        "postgres://isms:pa {}@127.0.0.1/x",
        "postgres://isms:{}@127.0.0.1:port/x",
        "postgres:isms:{}@127.0.0.1/x",
        "mysql://isms:{}@127.0.0.1/x",
        "isms:{}@127.0.0.1/x",
        "postgres://isms:{}@127.0.0.1:1/x",
        "postgres://isms:{}%40@127.0.0.1:1/x?sslmode=disable",
        "postgres://isms:{}@no-such-host.invalid/x",
        "postgres://isms:{}@%2Fno%2Fsuch%2Fsocket/x",
        "postgres://127.0.0.1:1/x?password={}&user=isms",
        "postgres://isms:{}@127.0.0.1:1/x?no_such_parameter=1",
        "postgres://isms:{}@127.0.0.1:1/x?sslmode=nonsense",
        "postgres://isms:{}@127.0.0.1:1/x?connect_timeout=soon",
    ];
    for url in urls {
        let url = url.replace("{}", secret);
        for arguments in [&["migrate"][..], &["serve"]] {
            let output = isms(dir.path(), arguments)
                .env("DATABASE_URL", &url)
                .env("ISMS_LOG", "trace")
                .output()
                .unwrap();
            let said = refused(&output) + &String::from_utf8_lossy(&output.stdout);
            assert!(
                !said.contains(secret) && !said.contains("zzs"),
                "{url}: {said}"
            );
            assert!(
                said.contains("DATABASE_URL") || said.contains("database postgres://"),
                "{url}: {said}"
            );
        }
    }
    if let Some(server) = postgres::server() {
        // The right server, and no such database: it is said where.
        let url = server
            .url("no_such_database")
            .replace("isms@", &format!("isms:{secret}@"));
        let why = refused(
            &isms(dir.path(), &["migrate"])
                .env("DATABASE_URL", &url)
                .output()
                .unwrap(),
        );
        assert!(
            why.contains("/no_such_database: ")
                && why.contains("does not exist")
                && !why.contains(secret),
            "{why}"
        );
    }
    let why = refused(
        &isms(dir.path(), &["migrate"])
            .env("DATABASE_URL", "sqlite:/no/such/y.db")
            .output()
            .unwrap(),
    );
    assert!(why.contains("sqlite:/no/such/y.db: "), "{why}");
    let why = refused(
        &isms(dir.path(), &["health"])
            .env("ISMS_BIND", "127.0.0.1:1")
            .output()
            .unwrap(),
    );
    assert!(why.contains("http://127.0.0.1:1 (ISMS_BIND)"), "{why}");
}

#[test]
fn the_log_says_who_came_from_where_and_nobody_else_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let empty = Heard::start(dir.path(), &[]);
    assert!(empty.lines("isms admin create", 1)[0].contains("no organization yet"));
    let first = &empty.lines("data folder", 1)[0];
    assert!(
        first.contains(env!("CARGO_PKG_VERSION"))
            && first.contains("database sqlite:")
            && first.contains(dir.path().to_str().unwrap()),
        "{first}"
    );
    drop(empty);
    let key = created(dir.path(), None);
    let server = Heard::start(
        dir.path(),
        &[
            ("ISMS_FORWARDED_FROM", "127.0.0.0/8"),
            ("ISMS_RATE_LIMIT", "0"),
        ],
    );
    let from = |client: &str| format!("\r\nX-Forwarded-For: {client}");
    server.get(
        "/v1/me",
        &format!("{}\r\nAuthorization: Bearer {key}", from("203.0.113.9")),
    );
    let line = server.lines("path=/v1/me", 1).remove(0);
    for member in [
        "isms::access] method=GET path=/v1/me status=200 ms=",
        " client=203.0.113.9 account=api_key:",
        " request_id=",
    ] {
        assert!(line.contains(member), "{line}");
    }
    // Whatever is sent is one value of one line.
    server.get("/client=6.6.6.6\"[x]{}", &from("203.0.113.10, 127.0.0.1"));
    server.get(
        "/v1/assets/%0a%0d[2026 WARN isms::security] event=login_failed client=6.6.6.6"
            .replace(' ', "%20")
            .as_str(),
        &from("203.0.113.11"),
    );
    let line = server.lines("client=203.0.113.10", 1).remove(0);
    assert!(
        line.contains(r#"path="/client\u{3d}6.6.6.6\"[x]{}""#),
        "{line}"
    );
    for email in [
        "nobody@a.example",
        "x\n[2026 WARN  isms::security] event=login_failed client=6.6.6.6",
        "\u{202e}\" client=6.6.6.6",
    ] {
        let body = json!({"email": email, "password": "wrong password"}).to_string();
        let mut stream = connect(&server.address);
        let head = "POST /v1/auth/login HTTP/1.1\r\nContent-Type: \
            application/json\r\nX-Forwarded-For: 198.51.100.7";
        send(&mut stream, head, body.as_bytes()).unwrap();
        assert_eq!(hear(&mut stream).unwrap().0, 401);
    }
    server.get(
        "/v1/users",
        &format!("{}\r\nAuthorization: Bearer {key}", from("198.51.100.8")),
    );
    server.get(
        "/v1/assets",
        &format!("{}\r\nAuthorization: Bearer {key}x", from("198.51.100.9")),
    );
    let login = json!({"email": "a@a.example", "password": "correct horse battery"}).to_string();
    let mut stream = connect(&server.address);
    send(
        &mut stream,
        "POST /v1/auth/login HTTP/1.1\r\nContent-Type: \
        application/json\r\nX-Forwarded-For: 198.51.100.10",
        login.as_bytes(),
    )
    .unwrap();
    let tokens: Value = serde_json::from_slice(&hear(&mut stream).unwrap().2).unwrap();
    // What a status does not tell: a refresh token that comes again, a wrong setup token, the end
    // of a session. One line for each.
    let sent = |path: &str, body: Value| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nX-Forwarded-For: \
                198.51.100.11"
        );
        let mut stream = connect(&server.address);
        send(&mut stream, &head, body.to_string().as_bytes()).unwrap();
        hear(&mut stream).unwrap().0
    };
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let setup =
        json!({"setup_token": "isms_setup_0000000000", "password": "nine blue tractors sing"});
    assert_eq!(
        [
            sent("/v1/auth/refresh", refresh.clone()),
            sent("/v1/auth/refresh", refresh.clone())
        ],
        [200, 401]
    );
    assert_eq!(
        [
            sent("/v1/auth/setup", setup),
            sent("/v1/auth/refresh", json!({"refresh_token": "x"}))
        ],
        [401, 401]
    );
    let told = server.lines("client=198.51.100.11 account", 7); // four of them of requests
    let told: Vec<_> = told
        .iter()
        .filter_map(|line| line.split_once("event=")?.1.split(' ').next())
        .collect();
    assert_eq!(told, ["refresh_reused", "setup_failed", "refresh_failed"]);
    let reused = server.lines("event=refresh_reused", 1).remove(0);
    assert!(
        reused.contains(" account=user:") && reused.contains(" path=/v1/auth/refresh status=401 "),
        "{reused}"
    );
    let mut stream = connect(&server.address);
    send(
        &mut stream,
        "POST /v1/auth/login HTTP/1.1\r\nContent-Type: application/json",
        login.as_bytes(),
    )
    .unwrap();
    let again: Value = serde_json::from_slice(&hear(&mut stream).unwrap().2).unwrap();
    let token = again["access_token"].as_str().unwrap().to_owned();
    let made =
        json!({"name": "k", "role": "auditor", "expires_at": format!("{}-01-01T00:00:00Z", 2099)});
    let until = (std::time::SystemTime::now() + std::time::Duration::from_secs(86_400 * 30))
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let until = isms::core::Instant::from_millis(until.as_millis() as i64)
        .unwrap()
        .to_string();
    let made = json!({"name": made["name"], "role": made["role"], "expires_at": until});
    let (status, key) = ask(
        &mut connect(&server.address),
        &token,
        "POST",
        "/v1/api-keys",
        Some(&made),
    )
    .unwrap();
    assert_eq!(status, 201, "{key}");
    // As fail2ban reads them: the address stands where nobody writes.
    let address = |line: &str, event: &str| {
        let (_, rest) = line.split_once("isms::security] ").unwrap();
        let rest = rest
            .strip_prefix(&format!("event={event} client="))
            .unwrap_or_else(|| panic!("{line}"));
        rest.split(' ').next().unwrap().to_owned()
    };
    let failed = server.lines("event=login_failed client=198", 3);
    assert_eq!(
        failed
            .iter()
            .map(|line| address(line, "login_failed"))
            .collect::<Vec<_>>(),
        ["198.51.100.7"; 3]
    );
    assert!(
        failed[0].contains("account=nobody@a.example")
            && failed[1].contains(r#"account="x\u{a}[2026"#),
        "{failed:?}"
    );
    assert_eq!(
        address(&server.lines("event=denied", 1)[0], "denied"),
        "198.51.100.8"
    );
    assert_eq!(
        address(
            &server.lines("event=unauthenticated client=198", 1)[0],
            "unauthenticated"
        ),
        "198.51.100.9"
    );
    assert_eq!(
        address(&server.lines("event=login client", 1)[0], "login"),
        "198.51.100.10"
    );
    let rights = server.lines("event=rights_changed", 1).remove(0);
    assert!(
        rights.contains(" account=user:")
            && rights.contains(&format!(
                "location=/v1/api-keys/{}",
                key["id"].as_str().unwrap()
            )),
        "{rights}"
    );
    let lines = server.lines.lock().unwrap().clone();
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with('[') && line.ends_with('\n') && line.is_ascii()),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("client=6") || line.contains("] event=login_failed client=6")), "{lines:#?}");
}

#[test]
fn the_log_as_json_has_members() {
    let dir = tempfile::tempdir().unwrap();
    let key = created(dir.path(), None);
    let server = Heard::start(dir.path(), &[("ISMS_LOG_FORMAT", "json")]);
    server.get("/v1/me", &format!("\r\nAuthorization: Bearer {key}"));
    server.get("/v1/users", &format!("\r\nAuthorization: Bearer {key}"));
    server.get("/nothing\"here", "");
    server.lines("nothing", 1);
    let lines: Vec<Value> = server
        .lines
        .lock()
        .unwrap()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let of = |path: &str, target: &str| {
        lines
            .iter()
            .find(|line| line["path"] == path && line["target"] == target)
            .unwrap_or_else(|| panic!("{lines:#?}"))
    };
    let me = of("/v1/me", "isms::access");
    assert_eq!(
        (&me["method"], &me["status"], &me["client"], &me["level"]),
        (
            &json!("GET"),
            &json!(200),
            &json!("127.0.0.1"),
            &json!("INFO")
        )
    );
    assert!(
        me["ms"].is_number()
            && me["account"].as_str().unwrap().starts_with("api_key:")
            && me["request_id"].as_str().unwrap().len() == 36,
        "{me}"
    );
    let denied = of("/v1/users", "isms::security");
    assert_eq!(
        (&denied["event"], &denied["client"], &denied["status"]),
        (&json!("denied"), &json!("127.0.0.1"), &json!(403))
    );
    assert_eq!(of("/nothing\"here", "isms::access")["account"], Value::Null);
}

#[test]
fn metrics_have_an_address_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let key = created(dir.path(), None);
    let server = Heard::start(dir.path(), &[("ISMS_METRICS_BIND", "127.0.0.1:0")]);
    server.get("/v1/assets", &format!("\r\nAuthorization: Bearer {key}"));
    for n in 0..20 {
        server.get(
            &format!("/v1/assets/AST-{n}"),
            &format!("\r\nAuthorization: Bearer {key}"),
        );
        server.get(&format!("/v1/nothing-{n}"), "");
    }
    for path in ["/metrics", "/%6detrics", "/metric%73"] {
        assert_eq!(server.get(path, "").0, 404, "{path}");
    }
    let mut stream = connect(server.metrics.as_ref().unwrap());
    send(&mut stream, "GET /metrics HTTP/1.1", b"").unwrap();
    let (status, headers, text) = hear(&mut stream).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(status == 200 && headers.contains("text/plain"), "{headers}");
    for line in [
        "isms_http_requests_total{method=\"GET\",route=\"/v1/assets\",status=\"200\"} 1",
        "isms_http_requests_total{method=\"GET\",route=\"/v1/assets/{id}\",status=\"404\"} 20",
        "isms_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 23",
        &format!(
            "isms_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
        "isms_security_events_total{event=\"login_failed\"} 0",
        "isms_writes_in_progress 0",
        "isms_content_files 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let value = |name: &str| -> f64 {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{name} "))?.parse().ok())
            .unwrap_or_else(|| panic!("{name}\n{text}"))
    };
    assert!(
        value("isms_ledger_entries") > 10.0
            && value("isms_database_reads_total") > 0.0
            && value("isms_database_read_seconds_total") > 0.0
    );
    assert!(
        !text.contains("nothing-"),
        "no label is what somebody asked for"
    );
    send(&mut stream, "GET /v1/me HTTP/1.1", b"").unwrap();
    assert_eq!(hear(&mut stream).unwrap().0, 404, "the API is not there");
    drop(server);
    // Without the setting there are none.
    assert!(Heard::start(dir.path(), &[]).metrics.is_none());
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let why = refused(
        &isms(dir.path(), &["serve"])
            .env("ISMS_METRICS_BIND", &address)
            .output()
            .unwrap(),
    );
    assert!(
        why.contains(&format!("ISMS_METRICS_BIND {address}: ")),
        "{why}"
    );
}

#[test]
fn each_client_behind_a_proxy_has_a_bucket_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let server = Heard::start(
        dir.path(),
        &[
            ("ISMS_FORWARDED_FROM", "127.0.0.1,10.0.0.0/8"),
            ("ISMS_RATE_LIMIT", "5"),
        ],
    );
    let status = |forwarded: &str| {
        server
            .get(
                "/docs",
                &if forwarded.is_empty() {
                    String::new()
                } else {
                    format!("\r\nX-Forwarded-For: {forwarded}")
                },
            )
            .0
    };
    let used_up = |forwarded: &str| {
        (0..7)
            .map(|_| status(forwarded))
            .filter(|status| *status == 429)
            .count()
    };
    assert_eq!(used_up("203.0.113.1"), 2);
    assert_eq!(used_up("203.0.113.2"), 2, "another client");
    assert_eq!(
        status("9.9.9.9, 203.0.113.1"),
        429,
        "what the client itself wrote does not help"
    );
    assert_eq!(
        status("203.0.113.1, 10.1.1.1"),
        429,
        "through another proxy of ours"
    );
    assert_eq!(
        status("9.9.9.9\r\nX-Forwarded-For: 203.0.113.1"),
        429,
        "in two lines"
    );
    assert_eq!(used_up("2001:db8:1:2::1"), 2);
    assert_eq!(status("2001:db8:1:2:ffff::9"), 429, "the same network");
    assert_eq!(status("2001:db8:1:3::1"), 200);
    assert_eq!(used_up("rubbish"), 2, "counts as the proxy");
    assert_eq!((status("other rubbish"), status("")), (429, 429));
    assert_eq!(
        (server.get("/healthz", "").0, server.get("/readyz", "").0),
        (200, 200)
    );
    drop(server);
    let server = Heard::start(dir.path(), &[("ISMS_RATE_LIMIT", "5")]);
    let statuses: Vec<u16> = (0..7)
        .map(|n| {
            server
                .get("/docs", &format!("\r\nX-Forwarded-For: 203.0.113.{n}"))
                .0
        })
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        2,
        "nobody is believed without the setting"
    );
}

#[test]
fn who_reads_only_the_first_lines_has_read_enough() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = isms(dir.path(), &["openapi"]).spawn().unwrap();
    let mut first = [0; 64];
    program
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output)
    );
}
