//! A private PostgreSQL server for this process, where its binaries are found; it ends with the
//! process, whatever way that ends.
use diesel::connection::SimpleConnection;
use isms::db::{Conn, Manager};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const USER: &str = "isms";

/// Whoever holds the other end of standard input keeps the server running.
const KEEPER: &str = r#"dir=$1; shift
"$@" >"$dir/log" 2>&1 &
trap '' INT TERM HUP
cat >/dev/null
read -r pid <"$dir/data/postmaster.pid" && kill -QUIT "$pid"
wait
rm -rf "$dir""#;

pub struct Server {
    port: u16,
    _keeper: Child,
}

/// A database that a test has for itself.
pub struct Own {
    pub url: String,
    name: String,
    port: u16,
}

/// The server; `None` where the PostgreSQL half does not run, which is said once.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || match (
        std::env::var("ISMS_TEST_POSTGRESQL")
            .as_deref()
            .unwrap_or("auto"),
        binaries(),
    ) {
        ("off", _) => said("ISMS_TEST_POSTGRESQL=off: the PostgreSQL half did not run"),
        ("required" | "auto", Some(bin)) => Some(Server::start(&bin)),
        ("auto", None) => {
            said("PostgreSQL's binaries were not found: the PostgreSQL half did not run")
        }
        ("required", None) => {
            panic!("PostgreSQL's binaries were not found, and ISMS_TEST_POSTGRESQL=required")
        }
        (other, _) => panic!("ISMS_TEST_POSTGRESQL is `{other}`; auto, required and off are known"),
    };
    SERVER.get_or_init(start).as_ref()
}

fn said(line: &str) -> Option<Server> {
    let mut past_the_capture = std::io::stderr().lock();
    writeln!(past_the_capture, "{line}").unwrap();
    None
}

fn binaries() -> Option<PathBuf> {
    let asked = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .filter(|output| output.status.success());
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    debian.sort_by_key(|path| {
        path.iter()
            .rev()
            .nth(1)
            .and_then(|version| version.to_str()?.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = asked
        .into_iter()
        .chain(debian.into_iter().rev())
        .chain(std::env::split_paths(&path));
    all.into_iter()
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}

/// One of PostgreSQL's programs.
pub fn binary(name: &str) -> PathBuf {
    binaries().unwrap().join(name)
}

/// PostgreSQL refuses to run as root: then it runs as another user.
fn as_server(dir: &Path) -> Vec<String> {
    let text = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    if text("id", &["-u"]) != "0" {
        return vec![];
    }
    let user = if text("id", &["-u", "postgres"]).is_empty() {
        "nobody"
    } else {
        "postgres"
    };
    let (uid, gid) = (text("id", &["-u", user]), text("id", &["-g", user]));
    assert!(
        Command::new("chown")
            .arg(format!("{uid}:{gid}"))
            .arg(dir)
            .status()
            .unwrap()
            .success()
    );
    [
        "setpriv",
        &format!("--reuid={uid}"),
        &format!("--regid={gid}"),
        "--clear-groups",
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Server {
    fn start(bin: &Path) -> Server {
        let dir = tempfile::Builder::new()
            .prefix("isms-pg")
            .tempdir()
            .unwrap()
            .keep();
        let (prefix, data) = (as_server(&dir), dir.join("data"));
        let line = |program: &str| {
            prefix
                .iter()
                .cloned()
                .chain([bin.join(program).display().to_string()])
                .collect::<Vec<_>>()
        };
        let init = line("initdb");
        let mut command = Command::new(&init[0]);
        command.args(&init[1..]).arg("-D").arg(&data).args([
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let output = command.current_dir(&dir).output().unwrap();
        assert!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "sh"])
            .arg(&dir)
            .args(line("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&dir);
        keeper.args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=300",
            "fsync=off",
            "full_page_writes=off",
            "autovacuum=off",
        ] {
            keeper.args(["-c", setting]);
        }
        keeper
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Server {
            port,
            _keeper: keeper.spawn().unwrap(),
        };
        let began = Instant::now();
        while connect(port, "postgres").is_none() {
            let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "PostgreSQL does not answer: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
    pub fn url(&self, name: &str) -> String {
        url(self.port, name)
    }
    /// A connection with one of its databases.
    pub fn connect(&self, name: &str) -> Conn {
        connect(self.port, name).unwrap()
    }
    fn run(&self, sql: &str) {
        connect(self.port, "postgres")
            .unwrap()
            .batch_execute(sql)
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    /// An empty database.
    pub fn create(&self, name: &str) {
        self.run(&format!("CREATE DATABASE {name}"));
    }
    /// Nobody is connected with a template, and nobody will be.
    pub fn seal(&self, name: &str) {
        self.run(&format!(
            "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"
        ));
        self.run(&format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
    }
    /// A copy of a template.
    pub fn copy(&self, template: &str) -> Own {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("isms_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        self.run(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Own {
            url: self.url(&name),
            name,
            port: self.port,
        }
    }
}

impl Own {
    pub fn remove(self) {
        if let Some(mut conn) = connect(self.port, "postgres") {
            drop(conn.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)));
        }
    }
}

fn url(port: u16, name: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{name}")
}
fn connect(port: u16, name: &str) -> Option<Conn> {
    r2d2::ManageConnection::connect(&Manager::new(&url(port, name)).unwrap()).ok()
}
