//! The migrations are frozen: `tests/fixtures/releases/` keeps a small database of each state that
//! was, for both engines, as `isms demo` of that state made it. It has to open here, be brought up
//! to date, and tell what it told then.
use crate::support::make::rooms;
use crate::support::{TestApp, postgres};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use flate2::read::GzDecoder;
use isms::core::TenantId;
use isms::db::schema::{ledger_entries as e, ledger_heads as h};
use isms::ledger::{append::commitment, merkle};
use isms::records::rebuild;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A state's databases, and what they told: the manager's key, the time then, and each answer by
/// its question.
struct Release {
    folder: PathBuf,
    engine: &'static str,
}

fn releases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/releases")
}
fn all(engine: &'static str) -> Vec<Release> {
    let folders = std::fs::read_dir(releases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    folders.map(|folder| Release { folder, engine }).collect()
}

impl Release {
    fn told(&self) -> Value {
        serde_json::from_slice(&self.unpacked("json")).unwrap()
    }
    fn unpacked(&self, what: &str) -> Vec<u8> {
        let file = self.folder.join(format!("{}.{what}.gz", self.engine));
        let file = std::fs::File::open(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut bytes = Vec::new();
        GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        bytes
    }
    fn pack(&self, what: &str, bytes: &[u8]) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let file =
            std::fs::File::create(self.folder.join(format!("{}.{what}.gz", self.engine))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap();
    }
}

#[actix_web::test]
async fn sqlite_databases_of_each_release_open() {
    let found = all("sqlite");
    assert!(!found.is_empty());
    for release in found {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("isms.db"), release.unpacked("db")).unwrap();
        let url = format!("sqlite:{}/isms.db", dir.path().display());
        holds(&release, &TestApp::on(url, dir).await).await;
    }
}

#[actix_web::test]
async fn postgresql_databases_of_each_release_open() {
    let Some(server) = postgres::server() else {
        return;
    };
    for (n, release) in all("postgresql").into_iter().enumerate() {
        let name = format!("isms_release_{n}");
        server.create(&name);
        let sql = String::from_utf8(release.unpacked("sql")).unwrap();
        server
            .connect(&name)
            .batch_execute(&sql)
            .unwrap_or_else(|e| panic!("{}: {e}", release.folder.display()));
        holds(
            &release,
            &TestApp::on(server.url(&name), tempfile::tempdir().unwrap()).await,
        )
        .await;
    }
}

/// Whatever was told then is told now; more may be told beside it.
fn within(then: &Value, now: &Value) -> bool {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => then
            .iter()
            .all(|(name, value)| now.get(name).is_some_and(|now| within(value, now))),
        (Value::Array(then), Value::Array(now)) => {
            then.len() == now.len() && then.iter().zip(now).all(|(then, now)| within(then, now))
        }
        (then, now) => then == now,
    }
}

async fn holds(release: &Release, app: &TestApp) {
    let told = release.told();
    let place = release.folder.display();
    app.pass_until(told["now"].as_str().unwrap());
    let key = told["key"].as_str().unwrap();
    let tenant = TenantId(told["organization"].as_str().unwrap().parse().unwrap());
    let answers = told["answers"].as_object().unwrap();
    assert!(answers.len() > 20, "{place}: {} answers", answers.len());
    let check = async || {
        for (question, then) in answers {
            let now = app.get(key, question).await.expect(200).json();
            assert!(within(then, &now), "{place} {question}:\n{then}\n{now}");
        }
    };
    check().await;
    // Every leaf is the one that was written, and the tree is that of the leaves.
    let mut peaks = merkle::Peaks::default();
    type Found = (String, Vec<u8>, String, Vec<u8>);
    let rows = e::table
        .filter(e::tenant_id.eq(tenant))
        .order(e::seq)
        .select((e::leaf, e::leaf_hash, e::body, e::body_salt));
    for (leaf, hash, body, salt) in rows.load::<Found>(&mut app.conn()).unwrap() {
        assert_eq!(merkle::leaf(leaf.as_bytes()).as_slice(), hash);
        let leaf: Value = serde_json::from_str(&leaf).unwrap();
        assert_eq!(leaf["body"], commitment(&salt, &body).unwrap());
        peaks.push(hash.try_into().unwrap());
    }
    let kept: Vec<u8> = h::table
        .find(tenant)
        .select(h::peaks)
        .get_result(&mut app.conn())
        .unwrap();
    assert_eq!(kept, peaks.to_bytes());
    // What is derived can be made anew, and tells the same.
    let database = isms::db::Database::open(&app.url, 1).unwrap();
    rebuild::rebuild(&database, &isms::api::replays().collect::<Vec<_>>()).unwrap();
    check().await;
    // And it goes on.
    app.post(
        key,
        "/v1/assets",
        &json!({"name": "New", "asset_type": "service",
        "classification": "internal", "personal_data": false}),
    )
    .await
    .expect(201);
}

/// `ISMS_WRITE_RELEASE=0.1.0 cargo test write_release` keeps the databases of this state, both of
/// them.
#[actix_web::test]
async fn write_release() {
    let Ok(name) = std::env::var("ISMS_WRITE_RELEASE") else {
        return;
    };
    let folder = releases().join(name);
    let server = postgres::server().expect("PostgreSQL's binaries are needed");
    for engine in ["sqlite", "postgresql"] {
        let dir = tempfile::tempdir().unwrap();
        let url = match engine {
            "sqlite" => format!("sqlite:{}/isms.db", dir.path().display()),
            _ => {
                server.create("isms_kept");
                server.url("isms_kept")
            }
        };
        let mut demo = crate::support::process::isms(dir.path(), &["demo"])
            .env("DATABASE_URL", &url)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(demo.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let made: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let _ended = Command::new("kill")
            .arg(demo.id().to_string())
            .status()
            .unwrap();
        demo.wait().unwrap();
        let release = Release {
            folder: folder.clone(),
            engine,
        };
        let (app, key) = (
            TestApp::on(url.clone(), dir).await,
            made["manager_key"].as_str().unwrap(),
        );
        let tenant = TenantId(made["organization_id"].as_str().unwrap().parse().unwrap());
        let last: (i64, isms::core::Instant) = e::table
            .filter(e::tenant_id.eq(tenant))
            .order(e::seq.desc())
            .select((e::seq, e::at))
            .first(&mut app.conn())
            .unwrap();
        let now = last.1.plus_millis(60_000).to_string();
        app.pass_until(&now);
        let mut answers = serde_json::Map::new();
        for as_of in [last.0, last.0 / 2] {
            let lists = rooms().map(|room| format!("/v1/{}?limit=200&sort=code", room.kind.path));
            let views = [
                "/v1/organization?",
                "/v1/overview?scope_id=SCO-1",
                "/v1/scopes/SCO-1/statement-of-applicability?",
                "/v1/risk-treatment-plan?",
            ];
            for question in lists.chain(views.map(str::to_owned)) {
                let question = format!(
                    "{question}{}as_of=seq:{as_of}",
                    if question.ends_with('?') { "" } else { "&" }
                );
                let answer = app.get(key, &question).await;
                if answer.status == 200 {
                    answers.insert(question, answer.json());
                }
            }
        }
        let told = json!({"organization": made["organization_id"], "key": key, "now": now,
            "answers": answers});
        release.pack("json", told.to_string().as_bytes());
        match engine {
            "sqlite" => {
                let copy = app.dir.path().join("copy.db");
                app.conn()
                    .batch_execute(&format!("VACUUM INTO '{}'", copy.display()))
                    .unwrap();
                release.pack("db", &std::fs::read(copy).unwrap());
            }
            _ => {
                let dump = Command::new(postgres::binary("pg_dump"))
                    .args(["--inserts", "--no-owner", "--no-privileges", &url])
                    .output()
                    .unwrap();
                assert!(
                    dump.status.success(),
                    "{}",
                    String::from_utf8_lossy(&dump.stderr)
                );
                // What psql alone understands.
                let sql: Vec<&str> = std::str::from_utf8(&dump.stdout)
                    .unwrap()
                    .lines()
                    .filter(|line| !line.starts_with('\\'))
                    .collect();
                release.pack("sql", sql.join("\n").as_bytes());
            }
        }
    }
}
