//! The house: what the doors lead to. Its fields are private; handlers reach them through a guard
//! that names the permission they need.
use super::aside::Aside;
use super::directory::{Directory, FRESH};
use super::kept::Kept;
use super::limit::Limiter;
use super::logins::Logins;
use super::polls::{LOOK, Polls};
use super::pool::Pool;
use super::writes::{Looked, Writes};
use crate::access::token::Tokens;
use crate::access::{Actor, Caller, Role};
use crate::core::{Clock, Id, Instant, Result, Schemas, TenantId};
use crate::db::opening::Opening;
use crate::db::{Conn, Database, Files, dialect::NOW, schema::tenants as t};
use crate::ledger::{self, AsOf, Head, Recorded, Stamp, Writer};
use crate::records::model::Models;
use crate::records::{Covers, Kinds, Reader, Settings, Tx, Writing, reader};
use diesel::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant as Tick;

/// What opening a house needs.
pub struct Plan<'a> {
    /// `sqlite:…` or `postgres://…`.
    pub database_url: &'a str,
    /// Where contents and keys are kept.
    pub data_dir: &'a Path,
    /// The key that signs access tokens.
    pub token_key_file: &'a Path,
    /// Connections for reading.
    pub readers: u32,
    /// Requests a minute and key; 0 is no limit.
    pub rate_limit: u32,
    /// Bytes of an uploaded file.
    pub file_limit: u64,
    /// The source of time.
    pub clock: Clock,
    /// The schemas of bodies.
    pub schemas: Arc<Schemas>,
    /// The table of kinds.
    pub kinds: Kinds,
}

/// A question to a reader: one type for all that find the same.
pub type Question<T> = Box<dyn FnOnce(&mut Reader<'_>) -> Result<T> + Send>;

/// Databases, writers, files and credentials of one process.
pub struct House {
    pub(super) database: Database,
    pub(super) writer: Writer,
    pub(super) directory: Directory,
    limiter: Limiter,
    pub(super) kept: Kept,
    models: Arc<Models>,
    pub(super) clock: Clock,
    pub(super) schemas: Arc<Schemas>,
    pub(super) kinds: Kinds,
    pub(super) polls: Polls,
    tokens: Tokens,
    pub(super) files: Files,
    logins: Logins,
    file_limit: u64,
    reports: Pool,
    aside: Aside,
    settings: RwLock<HashMap<TenantId, (Settings, Tick)>>,
    pub(super) writes: Writes,
    pub(super) content: Mutex<Option<Looked>>,
}

impl House {
    /// Opens the database, starts the writers.
    pub fn open(plan: &Plan<'_>) -> Opening<House> {
        std::fs::create_dir_all(plan.data_dir)
            .map_err(|e| format!("{}: {e}", plan.data_dir.display()))?;
        let tokens = Tokens::open(plan.token_key_file)?;
        let files =
            Files::open(plan.data_dir).map_err(|e| format!("{}: {e}", plan.data_dir.display()))?;
        let database = Database::open(plan.database_url, plan.readers)?;
        let writer = Writer::start(&database)?;
        let logins = Logins::open(&database, plan.data_dir, plan.rate_limit > 0)?;
        let (directory, limiter) = (Directory::default(), Limiter::new(plan.rate_limit, 60));
        let (clock, file_limit, settings) =
            (plan.clock.clone(), plan.file_limit, RwLock::default());
        let (reports, polls, writes, content) = (
            Pool::default(),
            Polls::default(),
            Writes::default(),
            Mutex::default(),
        );
        Ok(House {
            database,
            writer,
            directory,
            limiter,
            kept: Kept::default(),
            models: Arc::default(),
            clock,
            schemas: plan.schemas.clone(),
            kinds: plan.kinds,
            tokens,
            logins,
            files,
            file_limit,
            reports,
            aside: Aside::default(),
            polls,
            settings,
            writes,
            content,
        })
    }
    /// Requests of each key and each source.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }
    /// The source of time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// The schemas of bodies.
    pub fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }
    /// The table of kinds.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }
    /// Signs and checks access tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
    /// Contents.
    pub fn files(&self) -> &Files {
        &self.files
    }
    /// Bytes that an uploaded file may have.
    pub fn file_limit(&self) -> u64 {
        self.file_limit
    }
    /// Where large bodies are read.
    pub fn aside(&self) -> &Aside {
        &self.aside
    }
    /// Where reports of scanners are read.
    pub fn reports(&self) -> &Pool {
        &self.reports
    }
    /// Does the database answer, is it of this version, and can contents be kept?
    pub async fn ready(&self) -> Result<(), String> {
        let schema = |conn: &mut Conn| Ok(crate::db::migrate::current(conn));
        let schema = self.database.read_one(schema).await;
        schema.map_err(|problem| problem.to_string())??;
        // The disk is asked off the worker: it may be slow, or gone.
        let files = self.files.clone();
        let store = actix_web::web::block(move || files.ready()).await;
        let store = store.map_err(|why| why.to_string())?;
        store.map_err(|why| format!("the object store: {why}"))
    }
    /// Sessions, passwords, and the bucket of logins.
    pub fn logins(&self) -> &Logins {
        &self.logins
    }
    /// Looks up what has no organization yet, or is asked by no caller: logins, and the
    /// administrator's commands.
    pub async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.database.read_one(work).await
    }
    /// Whether any organization was founded yet.
    pub fn founded(&self) -> Result<bool> {
        Ok(t::table
            .select(t::id)
            .first::<Id>(&mut self.database.connect()?)
            .optional()?
            .is_some())
    }
    /// Founds an organization: its log begins, then `work` sets it up as the system. For the
    /// administrator's commands, never for a handler.
    pub async fn found<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_, Founding>) -> Result<Recorded<T>> + Send + 'static,
    ) -> Result<(TenantId, T)> {
        let (tenant, at) = (TenantId(Id::new().0), self.clock.now());
        self.database.connect()?.writing(|conn| {
            diesel::insert_into(t::table)
                .values((t::id.eq(tenant), t::founded_at.eq(at)))
                .execute(conn)?;
            ledger::found(conn, tenant, at)
        })?;
        let made = self.as_system(tenant, Settings::FIRST, work).await?;
        Ok((tenant, made))
    }
    /// Changes an organization as the system. For the administrator's commands, never for a
    /// handler.
    pub async fn administer<T: Send + 'static>(
        &self,
        tenant: TenantId,
        work: impl FnOnce(&mut Tx<'_, Founding>) -> Result<Recorded<T>> + Send + 'static,
    ) -> Result<T> {
        let settings = self.settings(tenant).await?;
        self.as_system(tenant, settings, work).await
    }
    async fn as_system<T: Send + 'static>(
        &self,
        tenant: TenantId,
        settings: Settings,
        work: impl FnOnce(&mut Tx<'_, Founding>) -> Result<Recorded<T>> + Send + 'static,
    ) -> Result<T> {
        let actor = Actor::system(tenant);
        let caller = Caller::new(
            tenant,
            actor,
            vec![Role::Admin, Role::Manager],
            Default::default(),
            self.clock.now(),
        );
        self.write_as(caller, Id::new(), settings, work).await
    }
    /// Changes an account as its holder, who has shown a setup token and has no other credential
    /// yet.
    pub async fn as_holder<T: Send + 'static>(
        &self,
        caller: Caller,
        request: Id,
        work: impl FnOnce(&mut Tx<'_, Holding>) -> Result<Recorded<T>> + Send + 'static,
    ) -> Result<T> {
        let (tenant, settings) = (caller.tenant, self.settings(caller.tenant).await?);
        let done = self.write_as(caller, request, settings, work).await;
        self.forget(tenant);
        done
    }
    async fn write_as<P: 'static, T: Send + 'static>(
        &self,
        caller: Caller,
        request: Id,
        settings: Settings,
        work: impl FnOnce(&mut Tx<'_, P>) -> Result<Recorded<T>> + Send + 'static,
    ) -> Result<T> {
        let (clock, tenant, schemas) = (self.clock.clone(), caller.tenant, self.schemas.clone());
        let kinds = self.kinds;
        let run = move |conn: &mut Conn, head: &mut Head| {
            let at = clock.now().max(head.last_at());
            let stamp = Stamp {
                tenant,
                actor: caller.actor.clone(),
                request,
                at,
                reason: None,
            };
            work(&mut Tx::of(Writing::open(
                conn,
                head,
                &caller,
                stamp,
                (settings, &schemas, kinds),
            )))
        };
        self.writer.submit(tenant, run).await
    }
    /// Reads one state of the caller's organization.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        caller: &Arc<Caller>,
        (now, current): (Instant, Settings),
        as_of: Option<AsOf>,
        work: Question<T>,
    ) -> Result<T> {
        let (caller, models, kinds) = (caller.clone(), self.models.clone(), self.kinds);
        let read = move |conn: &mut Conn| {
            work(&mut Reader::open(conn, &caller, kinds, as_of, now, current)?.keeping(models))
        };
        self.database.read(read).await
    }
    /// The organization's settings, at most a few seconds old.
    pub(super) async fn settings(&self, tenant: TenantId) -> Result<Settings> {
        match self.known_settings(tenant) {
            Some(settings) => Ok(settings),
            None => self
                .database
                .read_one(move |conn| reader::settings(conn, tenant, NOW))
                .await
                .inspect(|found| self.learn(tenant, *found)),
        }
    }
    pub(super) fn known_settings(&self, tenant: TenantId) -> Option<Settings> {
        self.settings
            .read()
            .ok()?
            .get(&tenant)
            .filter(|(_, since)| since.elapsed() < FRESH)
            .map(|(settings, _)| *settings)
    }
    pub(super) fn learn(&self, tenant: TenantId, settings: Settings) {
        if let Ok(mut all) = self.settings.write() {
            all.insert(tenant, (settings, Tick::now()));
        }
    }
    /// Forgets what is kept in memory of an organization's accounts and settings.
    pub fn forget(&self, tenant: TenantId) {
        self.directory.forget(tenant);
        if let Ok(mut all) = self.settings.write() {
            all.remove(&tenant);
        }
    }
    /// The last position: from memory where this process alone writes, else from the database.
    pub(super) async fn position(&self, tenant: TenantId) -> Result<i64> {
        match self
            .writer
            .positions()
            .last(tenant)
            .filter(|_| self.database.embedded())
        {
            Some(seq) => Ok(seq),
            None => {
                self.database
                    .read_one(move |conn| Ok(ledger::read::end(conn, tenant)?.last))
                    .await
            }
        }
    }
    /// Waits until the organization's log is longer than it was, or until then. Nothing is asked
    /// meanwhile where this process alone writes.
    pub(super) async fn changed(
        &self,
        tenant: TenantId,
        known: i64,
        until: tokio::time::Instant,
    ) -> Result<()> {
        let Some(mut watch) = self.writer.positions().watch(tenant, known) else {
            return Ok(());
        };
        while *watch.borrow_and_update() <= known && tokio::time::Instant::now() < until {
            let look = if self.database.embedded() {
                until
            } else {
                until.min(tokio::time::Instant::now() + LOOK)
            };
            if tokio::time::timeout_at(look, watch.changed())
                .await
                .is_err()
                && !self.database.embedded()
                && self.polls.looks(tenant)
            {
                let last = self.position(tenant).await?;
                self.writer.positions().publish(tenant, last);
            }
        }
        Ok(())
    }
    /// Now, not before what the organization's log says.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// The permission of the administrator's commands and of what the system sets up: every kind.
pub struct Founding;
impl<R> Covers<R> for Founding {}

/// The permission of who shows a setup token. What it covers is said where users are kept.
pub struct Holding;
