//! A small HTTP/1.1 client that keeps its connection, and a closed loop of many of them: little CPU
//! of its own, so that the service's is seen.
use crate::Outcome;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer, in the client's buffer.
pub struct Reply<'a> {
    pub status: u16,
    pub head: &'a str,
    pub body: &'a [u8],
}

impl Reply<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }
    pub fn exchange(&mut self, request: &[u8]) -> std::io::Result<Reply<'_>> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut chunk = [0; 32 * 1024];
        let mut measured: Option<(usize, usize)> = None;
        let (head, whole) = loop {
            if let Some((head, whole)) = measured.filter(|(_, whole)| self.buffer.len() >= *whole) {
                break (head, whole);
            }
            let some = self.stream.read(&mut chunk)?;
            if some == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.buffer
                .extend_from_slice(chunk.get(..some).unwrap_or_default());
            if measured.is_none() {
                measured = self
                    .buffer
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")
                    .map(|at| (at, at + 4 + self.length(at)));
            }
        };
        let odd = || Error::new(ErrorKind::InvalidData, "not an answer of HTTP/1.1");
        let text = self
            .buffer
            .get(..head)
            .and_then(|head| std::str::from_utf8(head).ok())
            .ok_or_else(odd)?;
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(odd)?;
        Ok(Reply {
            status,
            head: text,
            body: self.buffer.get(head + 4..whole).unwrap_or_default(),
        })
    }
    fn length(&self, head: usize) -> usize {
        let head = self
            .buffer
            .get(..head)
            .and_then(|head| std::str::from_utf8(head).ok())
            .unwrap_or_default();
        header(head, "content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or_default()
    }
    /// An answer that has to be good.
    pub fn good(&mut self, request: &[u8]) -> Outcome<Reply<'_>> {
        let reply = self.exchange(request)?;
        match reply.status {
            200..300 => Ok(reply),
            status => Err(format!("{status} for {}: {}", first_line(request), reply.text()).into()),
        }
    }
}

fn first_line(request: &[u8]) -> String {
    String::from_utf8_lossy(request)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What a request needs besides its path.
#[derive(Clone, Copy, Default)]
pub struct With<'a> {
    pub key: Option<&'a str>,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a str>,
}

pub fn request(method: &str, path: &str, with: With<'_>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: isms\r\n");
    if let Some(key) = with.key {
        text.push_str(&format!("Authorization: Bearer {key}\r\n"));
    }
    for (name, value) in with.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = with.body {
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(with.body.unwrap_or_default());
    text.into_bytes()
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    Time(Duration),
    Count(usize),
}

/// What a load came to.
#[derive(Default)]
pub struct Load {
    pub requests: usize,
    pub failures: usize,
    pub first_failure: Option<String>,
    pub wall: Duration,
    /// Microseconds, sorted.
    latencies: Vec<u32>,
}

impl Load {
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get((last as f64 * q).round() as usize)
            .map_or(0.0, |us| f64::from(*us))
    }
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

/// The `n`-th request of a load.
pub type Make<'a> = &'a (dyn Fn(usize) -> Vec<u8> + Sync);

/// So many clients, each asking again as soon as it has its answer. Any status but `expect` is a
/// failure (0: any 2xx will do).
pub fn load(
    address: SocketAddr,
    clients: usize,
    until: Until,
    expect: u16,
    make: Make<'_>,
) -> Load {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Load::default()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            let work = || {
                let mine = one(address, until, expect, make, &next, began);
                if let Ok(mut all) = all.lock() {
                    all.requests += mine.requests;
                    all.failures += mine.failures;
                    all.first_failure = all.first_failure.take().or(mine.first_failure);
                    all.latencies.extend(mine.latencies);
                }
            };
            if let Err(why) = std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, work)
            {
                eprintln!("a client could not start: {why}");
            }
        }
    });
    let mut all = all.into_inner().unwrap_or_default();
    all.wall = began.elapsed();
    all.latencies.sort_unstable();
    all
}

fn one(
    address: SocketAddr,
    until: Until,
    expect: u16,
    make: Make<'_>,
    next: &AtomicUsize,
    began: Instant,
) -> Load {
    let (mut mine, mut client) = (Load::default(), Client::connect(address));
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let over = match until {
            Until::Time(time) => began.elapsed() >= time,
            Until::Count(count) => n >= count,
        };
        if over || mine.failures > 100 {
            return mine;
        }
        let request = make(n);
        let asked = Instant::now();
        let outcome = match &mut client {
            Ok(client) => client.exchange(&request).map(|reply| {
                (
                    reply.status,
                    if reply.status >= 400 {
                        reply.text()
                    } else {
                        String::new()
                    },
                )
            }),
            Err(why) => Err(Error::new(why.kind(), why.to_string())),
        };
        mine.requests += 1;
        mine.latencies
            .push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        let fault = match outcome {
            Ok((status, _))
                if status == expect || (expect == 0 && (200..300).contains(&status)) =>
            {
                None
            }
            Ok((status, body)) => Some(format!("{status} for {}: {body}", first_line(&request))),
            Err(why) => {
                client = Client::connect(address);
                Some(format!("{why} for {}", first_line(&request)))
            }
        };
        if let Some(fault) = fault {
            mine.failures += 1;
            mine.first_failure.get_or_insert(fault);
        }
    }
}
