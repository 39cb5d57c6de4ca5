//! A private PostgreSQL server on a free port of the loopback, with PostgreSQL's own settings. It
//! ends with this process, whatever way that ends; its folder stays.
use crate::Outcome;
use crate::process::cpu_of;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const USER: &str = "isms";
const DATABASE: &str = "load";

/// How long it may take to start, recovery included.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever holds the other end of standard input keeps the server running.
const KEEPER: &str = r#"log=$1; shift
"$@" >>"$log" 2>&1 &
trap '' INT TERM HUP
cat >/dev/null
kill -INT "$!"
wait"#;

pub struct Cluster {
    pub url: String,
    pid: u32,
    keeper: Child,
}

/// Where PostgreSQL's programs are, if they are installed.
pub fn binaries() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.filter(|output| output.status.success());
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let debian = std::fs::read_dir("/usr/lib/postgresql");
    let debian = debian.into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    let version = |path: &PathBuf| -> Option<u32> {
        let name = path.iter().rev().nth(1)?;
        name.to_str()?.parse().ok()
    };
    debian.sort_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = asked
        .into_iter()
        .chain(debian.into_iter().rev())
        .chain(std::env::split_paths(&path));
    all.find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}

/// PostgreSQL refuses to run as root: then its folder is given to another user, and these words
/// before a command make it that user's.
fn as_server(folder: &Path) -> Outcome<Vec<String>> {
    let id = |args: &[&str]| -> Outcome<String> {
        let output = Command::new("id").args(args).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if id(&["-u"])? != "0" {
        return Ok(vec![]);
    }
    let user = if id(&["-u", "postgres"])?.is_empty() {
        "nobody"
    } else {
        "postgres"
    };
    let (uid, gid) = (id(&["-u", user])?, id(&["-g", user])?);
    let owner = format!("{uid}:{gid}");
    let mut given = Command::new("chown");
    if !given.arg("-R").arg(owner).arg(folder).status()?.success() {
        return Err(format!("{} cannot be given to {user}", folder.display()).into());
    }
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
    let words = ["setpriv", &uid, &gid, "--clear-groups", "--"];
    Ok(words.map(str::to_owned).to_vec())
}

impl Cluster {
    /// Starts what is in the folder, or a new one.
    pub fn start(folder: &Path) -> Outcome<Self> {
        let bin = binaries().ok_or("PostgreSQL's programs (initdb, postgres) were not found")?;
        let (data, log) = (folder.join("cluster"), folder.join("cluster.log"));
        std::fs::create_dir_all(&data)?;
        let prefix = as_server(&data)?;
        let command = |name: &str| -> Vec<String> {
            let program = bin.join(name).display().to_string();
            prefix.iter().cloned().chain([program]).collect()
        };
        if !data.join("PG_VERSION").exists() {
            founded(&command("initdb"), &data)?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(log);
        keeper.args(command("postgres")).arg("-D").arg(&data);
        keeper.args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories="] {
            keeper.args(["-c", setting]);
        }
        let keeper = keeper
            .current_dir(&data)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut cluster = Cluster {
            url: format!("postgres://{USER}@127.0.0.1:{port}/{DATABASE}"),
            pid: 0,
            keeper,
        };
        cluster.opened(port, folder)?;
        let pid = std::fs::read_to_string(data.join("postmaster.pid"))?;
        cluster.pid = pid.lines().next().unwrap_or_default().parse()?;
        Ok(cluster)
    }
    /// Waits until it answers; makes the database where it is missing.
    fn opened(&mut self, port: u16, folder: &Path) -> Outcome<()> {
        let began = Instant::now();
        let url = format!("postgres://{USER}@127.0.0.1:{port}/postgres");
        let mut conn = loop {
            match PgConnection::establish(&url) {
                Ok(conn) => break conn,
                Err(_) if began.elapsed() < PATIENCE => {}
                Err(why) => {
                    let log = folder.join("cluster.log");
                    return Err(format!("PostgreSQL does not answer: {why}; {log:?}").into());
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        match conn.batch_execute(&format!("CREATE DATABASE {DATABASE}")) {
            Err(why) if !why.to_string().contains("already exists") => Err(why.into()),
            _ => Ok(()),
        }
    }
    /// What autovacuum does some minutes after much was written, done now.
    pub fn settle(&self) -> Outcome<()> {
        let mut conn = PgConnection::establish(&self.url)?;
        conn.batch_execute("VACUUM ANALYZE")?;
        Ok(conn.batch_execute("CHECKPOINT")?)
    }
    /// CPU time of all its processes so far, those that ended included.
    pub fn cpu(&self) -> Duration {
        let (own, ended) = cpu_of(self.pid).unwrap_or_default();
        let running: Duration = children(self.pid).map(single_thread).sum();
        own + ended + running
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

fn founded(initdb: &[String], data: &Path) -> Outcome<()> {
    let (program, words) = initdb.split_first().ok_or("no initdb")?;
    let options = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"];
    let mut command = Command::new(program);
    command.args(words).arg("-D").arg(data).args(options);
    let output = command.arg("--no-sync").current_dir(data).output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("initdb: {why} (its user has to reach {})", data.display()).into())
}

/// The processes that this one started and that run.
fn children(of: u32) -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(move |pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = text
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent.and_then(|parent| parent.parse().ok()) == Some(of)
    })
}

/// CPU time of a process that has one thread, as exactly as the kernel knows it.
fn single_thread(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
