//! The service as a process, and HTTP on a bare connection: for what happens when either goes away.
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The program with these arguments and this data folder.
pub fn isms(dir: &Path, arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_isms"));
    let settings = [
        ("ISMS_DATA_DIR", dir.to_str().unwrap()),
        ("ISMS_BIND", "127.0.0.1:0"),
        ("ISMS_RATE_LIMIT", "0"),
    ];
    program
        .args(arguments)
        .env_clear()
        .envs(settings)
        .env("ISMS_ADMIN_PASSWORD", "correct horse battery");
    program
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    program
}

/// A running service; dropping it kills it.
pub struct Server {
    process: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// On the database of its data folder, or on another one.
    pub fn start(dir: &Path, database: Option<&str>) -> Self {
        let mut program = isms(dir, &["serve"]);
        program.envs(database.map(|url| ("DATABASE_URL", url)));
        let mut process = program.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let (mut heard, mut address) = (String::new(), None);
        while address.is_none() && said.read_line(&mut heard).unwrap() > 0 {
            let last = heard.lines().last().unwrap_or_default();
            address = last
                .split_once("serving http://")
                .map(|(_, address)| address.to_owned());
        }
        let Some(address) = address else {
            process.wait().unwrap();
            panic!("the service did not start: {heard}");
        };
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Server { process, address }
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A connection.
pub fn connect(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    BufReader::new(stream)
}

/// Sends a request; `None` when the connection is gone.
pub fn send(stream: &mut BufReader<TcpStream>, head: &str, body: &[u8]) -> Option<()> {
    let head = format!(
        "{head}\r\nHost: isms\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .get_mut()
        .write_all(&[head.as_bytes(), body].concat())
        .ok()
}
/// Hears an answer: status, headers, body; `None` when it did not come whole.
pub fn hear(stream: &mut BufReader<TcpStream>) -> Option<(u16, String, Vec<u8>)> {
    let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    loop {
        line.clear();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            None => break,
            _ => {}
        }
        headers.push_str(&line.to_ascii_lowercase());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).ok()?;
    Some((status, headers, bytes))
}
/// One request on a kept connection; `None` when the answer did not come whole.
pub fn ask(
    stream: &mut BufReader<TcpStream>,
    key: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let media = if body.is_empty() {
        ""
    } else {
        "\r\nContent-Type: application/json"
    };
    send(
        stream,
        &format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {key}{media}"),
        body.as_bytes(),
    )?;
    let (status, _, bytes) = hear(stream)?;
    Some((status, serde_json::from_slice(&bytes).ok()?))
}
