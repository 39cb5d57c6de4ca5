//! A small HTTP/1.1 client that keeps its connection, and a closed loop of many of them: little CPU
//! of its own, so that the service's is seen.
use crate::Outcome;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        if Expect::Good.met(&reply) {
            Ok(reply)
        } else {
            Err(fault(request, &reply).into())
        }
    }
}

/// What an answer has to be; anything else ends the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Any 2xx.
    Good,
    /// This status.
    Status(u16),
    /// A batch of which no item failed.
    Batch,
}

impl Expect {
    fn met(self, reply: &Reply<'_>) -> bool {
        match self {
            Expect::Good => (200..300).contains(&reply.status),
            Expect::Status(status) => reply.status == status,
            Expect::Batch => reply.status == 200 && reply.body.ends_with(b"\"failed\":0}"),
        }
    }
}

/// What was asked, and what was wrong with the answer.
pub fn fault(request: &[u8], reply: &Reply<'_>) -> String {
    let text = reply.text();
    // A batch says at its end how many items failed; why is where the problem is.
    let from = text.find("\"problem\":{").unwrap_or_default();
    let why: String = text.chars().skip(from).take(600).collect();
    format!("{} for {}: {why}", reply.status, first_line(request))
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
    /// What the body is, where it is no JSON.
    pub media: Option<&'a str>,
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
        let media = with.media.unwrap_or("application/json");
        text.push_str(&format!(
            "Content-Type: {media}\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(with.body.unwrap_or_default());
    text.into_bytes()
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until<'a> {
    Time(Duration),
    Count(usize),
    Told(&'a AtomicBool),
}

/// What a load came to.
#[derive(Default)]
pub struct Load {
    pub requests: usize,
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
    fn took(&mut self, asked: Instant) {
        self.requests += 1;
        let micros = u32::try_from(asked.elapsed().as_micros());
        self.latencies.push(micros.unwrap_or(u32::MAX));
    }
    fn ended(mut self, began: Instant) -> Self {
        self.wall = began.elapsed();
        self.latencies.sort_unstable();
        self
    }
}

/// The request of this number.
pub type Make<'a> = &'a (dyn Fn(usize) -> Vec<u8> + Sync);

/// No number comes twice, and none is one of those that the organization was filled with: so no
/// change is one that was made before.
static NEXT: AtomicUsize = AtomicUsize::new(1_000_000_000);

fn next() -> usize {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// So many clients, each asking again as soon as it has its answer. An answer that is not as
/// expected ends it.
pub fn load(
    address: SocketAddr,
    clients: usize,
    until: Until<'_>,
    expect: Expect,
    make: Make<'_>,
) -> Outcome<Load> {
    let (count, all) = (AtomicUsize::new(0), Mutex::new(Load::default()));
    let (failed, first) = (AtomicBool::new(false), Mutex::new(None));
    let began = Instant::now();
    let over = || {
        failed.load(Ordering::Relaxed)
            || match until {
                Until::Time(time) => began.elapsed() >= time,
                Until::Count(most) => count.fetch_add(1, Ordering::Relaxed) >= most,
                Until::Told(stop) => stop.load(Ordering::Relaxed),
            }
    };
    let work = || match one(address, &over, expect, make) {
        Ok(mine) => {
            if let Ok(mut all) = all.lock() {
                all.requests += mine.requests;
                all.latencies.extend(mine.latencies);
            }
        }
        Err(why) => {
            failed.store(true, Ordering::Relaxed);
            if let Ok(mut first) = first.lock() {
                first.get_or_insert(why);
            }
        }
    };
    std::thread::scope(|scope| -> Outcome<()> {
        for _ in 0..clients {
            let small = std::thread::Builder::new().stack_size(256 * 1024);
            small.spawn_scoped(scope, work)?;
        }
        Ok(())
    })?;
    match first.into_inner() {
        Ok(Some(why)) => Err(why),
        _ => Ok(all.into_inner().unwrap_or_default().ended(began)),
    }
}

fn one(
    address: SocketAddr,
    over: &dyn Fn() -> bool,
    expect: Expect,
    make: Make<'_>,
) -> Outcome<Load> {
    let (mut mine, mut client) = (Load::default(), Client::connect(address)?);
    while !over() {
        let request = make(next());
        let asked = Instant::now();
        let reply = client
            .exchange(&request)
            .map_err(|why| format!("{why} for {}", first_line(&request)))?;
        if !expect.met(&reply) {
            return Err(fault(&request, &reply).into());
        }
        mine.took(asked);
    }
    Ok(mine)
}

/// One client that writes and asks in turns, so that no answer is one that was kept. What it tells
/// is of what is asked, its time too.
pub fn turns(address: SocketAddr, time: Duration, write: Make<'_>, ask: Make<'_>) -> Outcome<Load> {
    let (mut load, mut client) = (Load::default(), Client::connect(address)?);
    let mut asking = Duration::ZERO;
    let began = Instant::now();
    while began.elapsed() < time {
        client.good(&write(next()))?;
        let request = ask(next());
        let asked = Instant::now();
        client.good(&request)?;
        load.took(asked);
        asking += asked.elapsed();
    }
    Ok(Load {
        wall: asking,
        ..load.ended(began)
    })
}
