//! The server: binds, serves, and ends in order, answering what has begun.
use super::app;
use super::contract::Contract;
use super::frame::{self, Frame};
use super::metrics::{self, Metrics};
use crate::config::Config;
use crate::core::Clock;
use crate::db::address::Address;
use crate::db::{Database, modes};
use crate::http::House;
use crate::records::rebuild;
use crate::service::house::Plan;
use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::{Data, get};
use actix_web::{App, Error, HttpServer, middleware::from_fn};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What starting can end in.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Opens the house that the settings name. Only one process may serve an embedded database.
pub fn house(config: &Config, clock: Clock) -> Outcome<Data<House>> {
    folder(config)?;
    narrow(config)?;
    let plan = Plan {
        database_url: &config.database_url,
        data_dir: &config.data_dir,
        token_key_file: &config.token_key_file,
        readers: config.readers,
        rate_limit: config.rate_limit,
        file_limit: config.file_limit,
        clock,
        schemas: super::document::schemas(),
        kinds: super::KINDS,
    };
    up_to_date(plan.database_url)?;
    let house = House::open(&plan)?;
    narrow(config)?; // With what opening it has made.
    Ok(Data::new(house))
}

/// Brings the schema up to date; says which migrations ran.
pub fn migrate(config: &Config) -> Outcome<Vec<String>> {
    folder(config)?;
    narrow(config)?;
    up_to_date(&config.database_url)
}

/// Migrates a database, and fills in what that leaves to be computed.
pub fn up_to_date(url: &str) -> Outcome<Vec<String>> {
    let ran = crate::db::store::migrate(url)?;
    rebuild::fill(&Database::open(url, 1)?, super::replays())?;
    Ok(ran)
}

/// Refuses data that others on this machine can read.
fn narrow(config: &Config) -> Outcome<()> {
    let file = match Address::read(&config.database_url)? {
        Address::Sqlite(path) => Some(PathBuf::from(path)),
        Address::Pg(_) => None,
    };
    Ok(modes::narrow(&config.data_dir, file.as_deref())?)
}

/// Fills the tables that are derived from the ledger anew, those of one kind where it is named;
/// tells how many records there were.
pub fn rebuild(config: &Config, kind: Option<&str>) -> Outcome<usize> {
    folder(config)?;
    narrow(config)?;
    let kinds: Vec<_> = super::replays()
        .filter(|replay| kind.is_none_or(|name| replay.kind.name == name))
        .collect();
    if kinds.is_empty() {
        let names: Vec<&str> = super::KINDS.all().iter().map(|kind| kind.name).collect();
        return Err(format!(
            "--kind: there is no such kind; choose one of {}",
            names.join(", ")
        )
        .into());
    }
    let database = Database::open(&config.database_url, 1)?;
    Ok(rebuild::rebuild(&database, &kinds)?)
}

/// The application: what is served, and what the demo and the tests send their requests to.
pub fn application(
    house: Data<House>,
    metrics: Data<Metrics>,
    frame: Data<Frame>,
    contract: Data<Contract>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let app = App::new().app_data(house).app_data(metrics).app_data(frame);
    app.wrap(from_fn(frame::around))
        .configure(move |app| app::mount(app, &contract))
}

/// Serves until it is told to end, holding the lock on the data folder. `started` hears the
/// address.
pub async fn serve(
    config: &Config,
    _alone: File,
    house: Data<House>,
    started: impl FnOnce(SocketAddr),
) -> Outcome<()> {
    house.tidy()?;
    if let [broken, ..] = house.schemas().prepare().as_slice() {
        return Err(format!("the schema {broken} of the document cannot be read").into());
    }
    let metrics = Data::new(Metrics::new().map_err(|e| e.to_string())?);
    let counted = counted(config, &metrics, &house)?;
    let founded = house.founded().map_err(|e| e.to_string())?;
    let frame = Data::new(Frame {
        behind_tls: config.behind_tls,
    });
    let contract = Data::new(Contract::of(&super::document::document()));
    let cors = Data::new(config.cors.clone());
    let proxies = Data::new(config.forwarded_from.clone());
    let app = move || {
        application(
            house.clone(),
            metrics.clone(),
            frame.clone(),
            contract.clone(),
        )
        .app_data(cors.clone())
        .app_data(proxies.clone())
    };
    let server = HttpServer::new(app)
        .workers(config.workers)
        .worker_max_blocking_threads(config.blocking_threads());
    let server = server
        .client_request_timeout(Duration::from_secs(10))
        .client_disconnect_timeout(Duration::from_secs(1));
    let server = server
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(30)
        .backlog(2048);
    let server = server.max_connections(connections(config.workers));
    let server = server
        .bind(&config.bind)
        .map_err(|e| format!("ISMS_BIND {}: {e}", config.bind))?;
    let address = server
        .addrs()
        .first()
        .copied()
        .ok_or("no address was bound")?;
    introduce(config, founded);
    log::info!("serving http://{address}");
    started(address);
    let metrics = counted.map(|server| (server.handle(), actix_web::rt::spawn(server)));
    server.run().await?;
    if let Some((handle, _)) = metrics {
        handle.stop(false).await;
    }
    log::info!("ended");
    Ok(())
}

/// What runs, and on which data.
fn introduce(config: &Config, founded: bool) {
    let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let database = Address::read(&config.database_url)
        .map(|address| address.place())
        .unwrap_or_default();
    log::info!(
        "isms {}, database {database}, data folder {}",
        env!("CARGO_PKG_VERSION"),
        folder.display()
    );
    if !founded {
        log::info!(
            "there is no organization yet: make one with `isms admin create --organization <name> \
                --email <address>`"
        );
    }
}

/// The server of the metrics, where the settings have an address for it.
fn counted(
    config: &Config,
    metrics: &Data<Metrics>,
    house: &Data<House>,
) -> Outcome<Option<Server>> {
    let Some(bind) = &config.metrics_bind else {
        return Ok(None);
    };
    let (metrics, house) = (metrics.clone(), house.clone());
    let app = move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(house.clone())
            .route("/metrics", get().to(metrics::read))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .worker_max_blocking_threads(1)
        .disable_signals()
        .max_connections(32);
    let server = server
        .bind(bind)
        .map_err(|e| format!("ISMS_METRICS_BIND {bind}: {e}"))?;
    for address in server.addrs() {
        log::info!("metrics at http://{address}/metrics");
    }
    Ok(Some(server.run()))
}

/// Connections that each worker holds: what the system lets the process open, less what the
/// database and files need, shared evenly. More than these wait to be accepted.
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
    Ok(modes::folder(&config.data_dir)
        .map_err(|e| format!("ISMS_DATA_DIR {}: {e}", config.data_dir.display()))?)
}

/// A lock on the data folder: with an embedded database, positions and callers are kept in the
/// memory of the one process that serves it.
pub fn alone(config: &Config) -> Outcome<File> {
    folder(config)?;
    let path = config.data_dir.join("serving.lock");
    let file = modes::lockable(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    if config.database_url.starts_with("sqlite:") && file.try_lock().is_err() {
        return Err(format!(
            "another process serves the data folder {}",
            config.data_dir.display()
        )
        .into());
    }
    Ok(file)
}
