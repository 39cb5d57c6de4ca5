//! The server: binds, serves, and ends in order, answering what has begun.
use super::app;
use super::frame::{self, Frame};
use super::metrics::Metrics;
use crate::config::Config;
use crate::core::Clock;
use crate::db::Database;
use crate::http::House;
use crate::http::house::Plan;
use crate::records::rebuild;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpServer, middleware::from_fn, web::Data};
use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

/// What starting can end in.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Opens the house that the settings name. Only one process may serve an embedded database.
pub fn house(config: &Config, clock: Clock) -> Outcome<Data<House>> {
    super::introduce();
    folder(config)?;
    let plan = Plan {
        database_url: &config.database_url,
        data_dir: &config.data_dir,
        token_key_file: &config.token_key_file,
        readers: config.readers,
        rate_limit: config.rate_limit,
        file_limit: config.file_limit,
        clock,
    };
    Ok(Data::new(House::open(&plan)?))
}

/// Fills the tables that are derived from the ledger anew, those of one kind where it is named; tells how many records there were.
pub fn rebuild(config: &Config, kind: Option<&str>) -> Outcome<usize> {
    super::introduce();
    let kinds: Vec<_> = super::replays().filter(|replay| kind.is_none_or(|name| replay.kind.name == name)).collect();
    if kinds.is_empty() {
        let names: Vec<&str> = super::kinds().map(|kind| kind.name).collect();
        return Err(format!("--kind: there is no such kind; choose one of {}", names.join(", ")).into());
    }
    let database = Database::open(&config.database_url, 1)?;
    Ok(rebuild::rebuild(&database, &kinds)?)
}

/// The application: what is served, and what the demo and the tests send their requests to.
pub fn application(
    house: Data<House>,
    metrics: Data<Metrics>,
    frame: Data<Frame>,
) -> App<impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>> {
    let app = App::new().app_data(house).app_data(metrics).app_data(frame);
    app.wrap(from_fn(frame::around)).configure(app::mount)
}

/// Serves until it is told to end, holding the lock on the data folder. `started` hears the address.
pub async fn serve(config: &Config, _alone: File, house: Data<House>, started: impl FnOnce(SocketAddr)) -> Outcome<()> {
    house.tidy()?;
    let metrics = Data::new(Metrics::new(config.metrics).map_err(|e| e.to_string())?);
    let frame = Data::new(Frame { behind_tls: config.behind_tls });
    let cors = Data::new(config.cors.clone());
    let app = move || application(house.clone(), metrics.clone(), frame.clone()).app_data(cors.clone());
    let server = HttpServer::new(app).workers(config.workers).worker_max_blocking_threads(config.blocking_threads());
    let server = server.client_request_timeout(Duration::from_secs(10)).client_disconnect_timeout(Duration::from_secs(1));
    let server = server.keep_alive(Duration::from_secs(75)).shutdown_timeout(30).backlog(2048);
    let server = server.max_connections(connections(config.workers));
    let server = server.bind(&config.bind).map_err(|e| format!("ISMS_BIND {}: {e}", config.bind))?;
    let address = server.addrs().first().copied().ok_or("no address was bound")?;
    log::info!("serving http://{address}");
    started(address);
    server.run().await?;
    log::info!("ended");
    Ok(())
}

/// Connections that each worker holds: what the system lets the process open, less what the database and files need, shared evenly. More than these
/// wait to be accepted.
fn connections(workers: usize) -> usize {
    const OTHERS: u64 = 512;
    let files = rlimit::increase_nofile_limit(65_536).unwrap_or_else(|why| {
        log::warn!("open files: {why}");
        1024
    });
    (files.saturating_sub(OTHERS).max(256) as usize / workers.max(1)).max(64)
}

/// The data folder, made where there is none.
fn folder(config: &Config) -> Outcome<()> {
    Ok(std::fs::create_dir_all(&config.data_dir).map_err(|e| format!("ISMS_DATA_DIR {}: {e}", config.data_dir.display()))?)
}

/// A lock on the data folder: with an embedded database, positions and callers are kept in the memory of the one process that serves it.
pub fn alone(config: &Config) -> Outcome<File> {
    folder(config)?;
    let path = config.data_dir.join("serving.lock");
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    if config.database_url.starts_with("sqlite:") && file.try_lock().is_err() {
        return Err(format!("another process serves the data folder {}", config.data_dir.display()).into());
    }
    Ok(file)
}
