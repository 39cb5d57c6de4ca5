//! The service as a child process, and what the kernel says about it: CPU time, memory, syncs.
use crate::Outcome;
use crate::wire::{Client, With, request};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The built executable.
pub const BINARY: &str = env!("CARGO_BIN_EXE_isms");

/// How long a child may take to answer first, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child that listens on the loopback.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

/// A command of the service with these settings and no others.
pub fn isms(arguments: &[&str], data: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with("ISMS_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("ISMS_DATA_DIR", data)
        .env("ISMS_RATE_LIMIT", "0")
        .env("ISMS_LOG", "warn")
        .stdin(Stdio::null());
    if let Some(url) = database {
        command.env("DATABASE_URL", url);
    }
    command
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Process {
    /// `isms serve`; also says how long it took to the first answer to `first`.
    pub fn serve(data: &Path, database: Option<&str>, first: &[u8]) -> Outcome<(Self, Duration)> {
        let address = free_address()?;
        let mut command = isms(&["serve"], data, database);
        command.env("ISMS_BIND", address.to_string());
        Self::start(command, address, first)
    }
    /// This program again, as a bare server.
    pub fn bare() -> Outcome<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--bare", &address.to_string()]);
        Ok(Self::start(
            command,
            address,
            &request("GET", "/healthz", With::default()),
        )?
        .0)
    }
    fn start(mut command: Command, address: SocketAddr, first: &[u8]) -> Outcome<(Self, Duration)> {
        let began = Instant::now();
        let mut process = Process {
            child: command.spawn()?,
            address,
        };
        loop {
            let answered = Client::connect(address)
                .ok()
                .and_then(|mut client| client.exchange(first).ok().map(|reply| reply.status));
            match answered {
                Some(200) => return Ok((process, began.elapsed())),
                Some(status) => return Err(format!("the first answer was {status}").into()),
                None if began.elapsed() > PATIENCE => {
                    return Err("the service does not answer".into());
                }
                None => {}
            }
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("the service ended: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id()).map_or(Duration::ZERO, |(own, _)| own)
    }
    /// MiB in memory now, and at most.
    pub fn memory(&self) -> (f64, f64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let of = |name: &str| -> f64 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            line.split_whitespace()
                .nth(1)
                .and_then(|kib| kib.parse::<f64>().ok())
                .unwrap_or_default()
                / 1024.0
        };
        (of("VmRSS"), of("VmHWM"))
    }
    /// Syncs of the disk while `work` runs; `None` where strace is missing or may not look.
    pub fn syncs<T>(&self, work: impl FnOnce() -> T) -> (T, Option<u64>) {
        let Ok(report) = tempfile::NamedTempFile::new() else {
            return (work(), None);
        };
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-c", "-e", "trace=fsync,fdatasync", "-o"])
            .arg(report.path())
            .args(["-p", &self.child.id().to_string()]);
        let Ok(mut strace) = strace
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        else {
            return (work(), None);
        };
        std::thread::sleep(Duration::from_millis(700));
        if !matches!(strace.try_wait(), Ok(None)) {
            return (work(), None);
        }
        let done = work();
        interrupt(strace.id(), "-INT");
        drop(strace.wait());
        let text = std::fs::read_to_string(report.path()).unwrap_or_default();
        let calls = |line: &str| -> Option<u64> {
            let words: Vec<&str> = line.split_whitespace().collect();
            words
                .last()
                .filter(|name| ["fsync", "fdatasync"].contains(*name))
                .and_then(|_| words.get(3)?.parse().ok())
        };
        let found: Vec<u64> = text.lines().filter_map(calls).collect();
        (done, (!found.is_empty()).then(|| found.iter().sum()))
    }
}

impl Drop for Process {
    /// In order, as an operator would end it.
    fn drop(&mut self) {
        interrupt(self.child.id(), "-TERM");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn interrupt(pid: u32, signal: &str) {
    drop(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status(),
    );
}

/// User and system time of a process, threads that ended included; and of its children that ended.
/// (The kernel counts in hundredths of a second here, on every architecture.)
pub fn cpu_of(pid: u32) -> Option<(Duration, Duration)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let time = |user: usize| {
        Some(Duration::from_millis(
            (ticks(user)? + ticks(user + 1)?) * 10,
        ))
    };
    Some((time(11)?, time(13)?))
}

/// CPU time of this thread.
pub fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(
        text.split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse().ok())
            .unwrap_or_default(),
    )
}

/// Microseconds of one small write and its sync in a folder: half of them took at most this, and 99
/// of 100 at most that.
pub fn raw_sync(folder: &Path) -> Outcome<(f64, f64)> {
    use std::io::Write;
    let mut file = tempfile::tempfile_in(folder)?;
    let mut took: Vec<f64> = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    let at = |q: f64| {
        took.get((q * took.len() as f64) as usize)
            .copied()
            .unwrap_or_default()
    };
    Ok((at(0.5), at(0.99)))
}
