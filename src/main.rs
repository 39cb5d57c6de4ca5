//! `isms serve` · `demo` · `migrate` · `rebuild` · `openapi` · `admin create`, `list`,
//! `set-password`, `grant` · `health`.
use clap::{Parser, Subcommand};
use isms::access::Role;
use isms::api::server::{self, Outcome};
use isms::api::{demo, document};
use isms::config::{Config, SETTINGS};
use isms::core::Clock;
use isms::http::journal;
use isms::identity::{admin, founding};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use strum::VariantNames;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A headless information security management system (ISO/IEC 27001:2022).
#[derive(Parser)]
#[command(version, after_help = settings())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API.
    Serve,
    /// Fills an empty database with an example organization and serves it.
    Demo,
    /// Migrates the database schema and exits.
    Migrate,
    /// Rebuilds the tables that are derived from the ledger. Stop every process that serves the
    /// database first.
    Rebuild {
        /// Only the tables of this kind of record, such as `risk`.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Prints the OpenAPI document.
    Openapi,
    /// Manages accounts without a login.
    #[command(subcommand)]
    Admin(Admin),
    /// Checks whether the service at ISMS_BIND is ready; exits with 0 or 1.
    Health,
}

#[derive(Subcommand)]
enum Admin {
    /// Creates an organization with a user who is admin and manager. The password comes from
    /// ISMS_ADMIN_PASSWORD or standard input.
    Create {
        /// The name of the organization.
        #[arg(long)]
        organization: String,
        /// The e-mail address that the user logs in with.
        #[arg(long)]
        email: String,
        /// The name of the user, who also becomes a person of the organization. Not the address.
        #[arg(long, default_value = "First admin")]
        name: String,
        /// The IANA time zone of the organization: its days begin and end there.
        #[arg(long, default_value = "UTC")]
        time_zone: String,
        /// Also creates an API key for the user, with the role manager.
        #[arg(long)]
        api_key: bool,
        /// Creates another organization, even if one of this name has an account with this address.
        #[arg(long)]
        another: bool,
    },
    /// Prints every account, one line of JSON each.
    List {
        /// Only accounts of the organization with this name or id.
        #[arg(long)]
        organization: Option<String>,
    },
    /// Sets the password of an account and ends its sessions. The password comes from
    /// ISMS_ADMIN_PASSWORD or standard input.
    SetPassword {
        /// The name or id of the organization.
        #[arg(long)]
        organization: String,
        /// The e-mail address of the account.
        #[arg(long)]
        email: String,
    },
    /// Gives an account a role, and enables or restores it if it was disabled or archived.
    Grant {
        /// The name or id of the organization.
        #[arg(long)]
        organization: String,
        /// The e-mail address of the account.
        #[arg(long)]
        email: String,
        /// The role.
        #[arg(long, default_value = "admin")]
        role: String,
    },
}

fn settings() -> String {
    let lines: Vec<String> = SETTINGS
        .iter()
        .map(|(name, default, meaning)| format!("  {name:<22} {meaning} [{default}]"))
        .collect();
    format!("Settings, from the environment:\n{}", lines.join("\n"))
}

#[actix_web::main]
async fn main() -> ExitCode {
    isms::db::modes::keep_to_the_owner();
    let cli = Cli::parse();
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("isms: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Outcome<()> {
    if let Command::Openapi = command {
        return printed(&serde_json::to_string_pretty(&document::document())?);
    }
    let config = Config::from_env()?;
    log_as(&config)?;
    if !config.ignored.is_empty() {
        log::warn!(
            "ignored, because these are not settings of isms: {}",
            config.ignored.join(", ")
        );
    }
    match command {
        Command::Openapi => Ok(()),
        Command::Serve => {
            // First the lock: a second process on the folder touches nothing.
            let alone = server::alone(&config)?;
            server::serve(
                &config,
                alone,
                server::house(&config, Clock::system())?,
                |_| {},
            )
            .await
        }
        Command::Demo => demo::run(&config).await,
        Command::Migrate => {
            server::migrate(&config)?
                .iter()
                .for_each(|name| eprintln!("ran {name}"));
            Ok(())
        }
        Command::Rebuild { kind } => {
            let _alone = server::alone(&config)?;
            let count = server::rebuild(&config, kind.as_deref())?;
            Ok(writeln!(
                std::io::stdout(),
                "rebuilt {count} records from the ledger"
            )?)
        }
        Command::Admin(command) => administer(&config, command).await,
        Command::Health => health(&config.bind),
    }
}

async fn administer(config: &Config, command: Admin) -> Outcome<()> {
    let _alone: Option<File> = match &command {
        Admin::SetPassword { .. } | Admin::Grant { .. } => {
            Some(server::alone(config).map_err(|why| {
                format!(
                    "{why}; stop it, run this command again, then start it (with PostgreSQL it may \
                        keep running)"
                )
            })?)
        }
        Admin::Create { .. } | Admin::List { .. } => None,
    };
    let house = server::house(config, Clock::system())?;
    let lines = match command {
        Admin::Create {
            organization,
            email,
            name,
            time_zone,
            api_key,
            another,
        } => {
            let password = password(config)?;
            let plan = founding::Plan {
                organization,
                time_zone,
                name,
                email,
                password,
                api_key,
                another,
            };
            founding::found(&house, plan)
                .await
                .and_then(|founded| Ok(vec![line(&founded)?]))
        }
        Admin::List { organization } => {
            let all = admin::list(&house, organization.as_deref()).await;
            all.and_then(|all| all.iter().map(line).collect())
        }
        Admin::SetPassword {
            organization,
            email,
        } => {
            let password = password(config)?;
            let done = admin::set_password(&house, (&organization, &email), password).await;
            done.and_then(|account| Ok(vec![line(&account)?]))
        }
        Admin::Grant {
            organization,
            email,
            role,
        } => {
            let known = || format!("--role: must be one of {}", Role::VARIANTS.join(", "));
            let role: Role = role.parse().map_err(|_| known())?;
            let done = admin::grant(&house, (&organization, &email), role).await;
            done.and_then(|account| Ok(vec![line(&account)?]))
        }
    };
    let lines = lines.map_err(|problem| said(&problem))?;
    lines.iter().try_for_each(|line| printed(line))
}

fn line(value: &impl serde::Serialize) -> Result<String, isms::core::Problem> {
    serde_json::to_string(value).map_err(isms::core::Problem::internal)
}

fn password(config: &Config) -> Outcome<String> {
    match &config.admin_password {
        Some(password) => Ok(password.clone()),
        None => from_standard_input(),
    }
}

/// On standard output. Who reads only the first lines of it has read enough.
fn printed(text: &str) -> Outcome<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

fn said(problem: &isms::core::Problem) -> String {
    let option = |pointer: &str| match pointer {
        "/organization" => "--organization".to_owned(),
        "/email" => "--email".to_owned(),
        "/name" => "--name".to_owned(),
        "/time_zone" => "--time-zone".to_owned(),
        "/password" => "the password".to_owned(),
        other => other.trim_start_matches('/').replace('/', " "),
    };
    let fault =
        |fault: &isms::core::Invalid| format!("{}: {}", option(&fault.pointer), fault.detail);
    let mut faults: Vec<String> = problem.errors().iter().map(fault).collect();
    faults.dedup();
    if faults.is_empty() {
        problem.detail().to_owned()
    } else {
        faults.join("; ")
    }
}

fn from_standard_input() -> Outcome<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Each line is one line, whatever is in it.
fn log_as(config: &Config) -> Outcome<()> {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(log::LevelFilter::Info);
    // A request that cannot be parsed is the client's fault and is answered; enable
    // `actix_http=error` to log it.
    logger.filter_module("actix_http", log::LevelFilter::Off);
    for (part, level) in isms::config::filter(&config.log)? {
        logger.filter(part, level);
    }
    if config.json_log {
        journal::as_json();
        logger.format(|out, record| {
            let mut line = serde_json::json!({"time": Clock::system().now(),
                "level": record.level().as_str(), "target": record.target()});
            let message = record.args().to_string();
            if let Some(line) = line.as_object_mut() {
                match journal::members(record.target(), &message) {
                    Some(members) => line.extend(members),
                    None => drop(line.insert("message".into(), message.into())),
                }
            }
            writeln!(out, "{line}")
        });
    } else {
        logger.format(|out, record| {
            let (time, level, target) = (Clock::system().now(), record.level(), record.target());
            writeln!(
                out,
                "[{time} {level:<5} {target}] {}",
                journal::one_line(&record.args().to_string())
            )
        });
    }
    Ok(logger.try_init()?)
}

/// One request by hand, so that a container needs no other program for its health check.
fn health(bind: &str) -> Outcome<()> {
    let address = bind
        .replace("0.0.0.0", "127.0.0.1")
        .replace("[::]", "[::1]");
    let told = |why: std::io::Error| {
        format!("no answer from the service at http://{address} (ISMS_BIND): {why}")
    };
    let mut stream = connect(&address).map_err(told)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .map_err(told)?;
    stream
        .write_all(
            format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or((answer.as_str(), ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let why = problem
        .get("detail")
        .and_then(serde_json::Value::as_str)
        .map(|why| format!(": {}", journal::one_line(why)))
        .unwrap_or_default();
    Err(format!("the service at http://{address} is not ready{why}").into())
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for place in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, Duration::from_secs(3)) {
            Ok(stream) => return Ok(stream),
            Err(why) => last = why,
        }
    }
    Err(last)
}
