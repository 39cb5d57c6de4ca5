//! `isms demo`: fills an empty database with an example organization, through the API and nothing
//! else, and serves it.
mod play;
mod script;

use super::server::{self, Outcome};
use crate::config::Config;
use crate::core::{Clock, Id};
use crate::http::House;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is printed, and kept beside the data: the database has only hashes of the keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    address: String,
    organization_id: Id,
    manager_key: String,
    approver_key: String,
    collector_key: String,
    auditor_key: String,
}

/// Fills an empty database; serves what is there.
pub async fn run(config: &Config) -> Outcome<()> {
    let (clock, path) = (Clock::system(), config.data_dir.join("demo.json"));
    let alone = server::alone(config)?;
    let founded = server::house(config, clock.clone())?
        .founded()
        .map_err(|e| e.to_string())?;
    let line = if founded {
        kept(&path, config)?
    } else {
        filled(config, &clock, &path).await?
    };
    let house = server::house(config, clock)?;
    belongs(&house, &line, &path).await?;
    server::serve(config, alone, house, |address| announce(line, address)).await
}

async fn filled(config: &Config, clock: &Clock, path: &Path) -> Outcome<Line> {
    eprintln!(
        "Filling {} with an example organization.",
        config.data_dir.display()
    );
    let level = log::max_level();
    log::set_max_level(level.min(log::LevelFilter::Warn)); // hundreds of requests that nobody sent
    let filled = play::fill(config, clock.now()).await;
    log::set_max_level(level);
    let filled = filled?;
    let key = |role: &str| {
        filled
            .keys
            .get(role)
            .cloned()
            .ok_or(format!("the script made no key {role}"))
    };
    let line = Line {
        address: String::new(),
        organization_id: filled.organization,
        manager_key: key("manager")?,
        approver_key: key("approver")?,
        collector_key: key("collector")?,
        auditor_key: key("auditor")?,
    };
    keep(path, &line).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(line)
}

/// Keeps the line where only the owner reads it.
fn keep(path: &Path, line: &Line) -> std::io::Result<()> {
    let new: PathBuf = path.with_extension("json.new");
    drop(std::fs::remove_file(&new));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    serde_json::to_writer(&mut file, line)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

/// The line of an earlier start.
fn kept(path: &Path, config: &Config) -> Outcome<Line> {
    let text = std::fs::read(path).map_err(|_| not_ours(config, path))?;
    Ok(serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?)
}

fn not_ours(config: &Config, path: &Path) -> String {
    let database = config
        .database_url
        .split_once("://")
        .map_or(config.database_url.as_str(), |(scheme, _)| scheme);
    let file = path.display();
    format!(
        "the database ({database}) is not empty, and {file} with the keys of a demo is not there. \
            The demo only fills an empty database: \
         serve this one with `isms serve`, or give the demo another ISMS_DATA_DIR (or an empty \
         DATABASE_URL)"
    )
}

/// Is this line of this very database?
async fn belongs(house: &Data<House>, line: &Line, path: &Path) -> Outcome<()> {
    match play::organization(house, &line.manager_key).await {
        Ok(found) if found == line.organization_id.to_string() => Ok(()),
        _ => Err(format!(
            "the database does not know the keys of {}, or they have ended: give the demo the \
                database that they belong to, or an empty one",
            path.display()
        )
        .into()),
    }
}

/// One line for programs, some words for people.
fn announce(line: Line, address: SocketAddr) {
    let ip = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        address.ip().to_string()
    };
    let ip = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip
    };
    let line = Line {
        address: format!("http://{ip}:{}", address.port()),
        ..line
    };
    let text = serde_json::to_string(&line).unwrap_or_default();
    let mut out = std::io::stdout();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        log::warn!("standard output is closed: the keys are in demo.json");
    }
    eprintln!(
        "Nordwind Logistics is served at {}. The line on standard output has its keys; for \
            example:",
        line.address
    );
    eprintln!(
        "  curl -H \"Authorization: Bearer $MANAGER_KEY\" {}/v1/overview",
        line.address
    );
    eprintln!("The keys are for this example alone. Everything in it is invented.");
}
