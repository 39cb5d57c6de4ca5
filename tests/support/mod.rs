//! A house of its own for each test, on either database, with a clock that the test moves.
pub mod contract;
pub mod make;
pub mod postgres;
pub mod process;
mod template;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{App, test, web::Data};
use chrono::{DateTime, Utc};
use contract::Asked;
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{LocalBoxStream, StreamExt};
use isms::api::contract::Contract;
use isms::api::metrics::Metrics;
use isms::api::{self, app, frame};
use isms::core::Clock;
use isms::db::{Conn, Manager};
use isms::service::{House, house::Plan};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
pub use template::{Keys, PASSWORD};

/// Does a step of this name decide on what was read, in any register?
pub fn decides(verb: &str) -> bool {
    let mut kinds = isms::api::KINDS.all().iter();
    kinds.any(|kind| kind.decides(verb))
}

/// When every test begins: a Friday morning.
pub const BEGIN: &str = "2026-11-20T09:00:00.000Z";

type Call = dyn Fn(test::TestRequest) -> LocalBoxFuture<'static, Reply>;
/// The body of an answer, as it comes.
pub type Parts = LocalBoxStream<'static, Result<bytes::Bytes, String>>;
type Streaming = dyn Fn(test::TestRequest) -> LocalBoxFuture<'static, Parts>;

/// A house, who may come in, and the hands of its clock.
pub struct TestApp {
    call: Rc<Call>,
    streaming: Rc<Streaming>,
    clock: Arc<AtomicI64>,
    database: Option<postgres::Own>,
    /// Where its data is.
    pub url: String,
    /// Who may come in.
    pub keys: Keys,
    /// The house itself.
    pub house: Data<House>,
    /// Its data folder.
    pub dir: tempfile::TempDir,
}

/// What is made of the document, once for all tests.
pub fn contract() -> Data<Contract> {
    static CONTRACT: LazyLock<Data<Contract>> =
        LazyLock::new(|| Data::new(Contract::of(&api::document::document())));
    CONTRACT.clone()
}

/// What is fixed when a house is opened, unless a test says otherwise.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Requests a minute and key.
    pub rate_limit: u32,
    /// Bytes of a file.
    pub file_limit: u64,
}
impl Default for Settings {
    fn default() -> Self {
        Settings {
            rate_limit: 0,
            file_limit: 1 << 20,
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    /// What was asked.
    pub of: String,
}
impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|e| panic!("{}: {e}: {} {}", self.of, self.status, self.text()))
    }
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.of, self.text());
        self
    }
    /// The status, and the code of the problem.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let of = self.of.clone();
        let problem = self.expect(status).json();
        assert_eq!(problem["code"], code, "{of}: {problem}");
        problem
    }
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }
    #[track_caller]
    pub fn etag(&self) -> String {
        self.header("etag")
            .unwrap_or_else(|| panic!("{}: no ETag", self.of))
    }
    /// The members `data` of a list.
    #[track_caller]
    pub fn data(self) -> Vec<Value> {
        let reply = self.expect(200);
        reply.json()["data"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("{}: no data", reply.of))
    }
    /// The places of the faults, in order, each once.
    #[track_caller]
    pub fn pointers(self) -> Vec<String> {
        let problem = self.problem(422, "validation_failed");
        let faults = problem["errors"].as_array().unwrap().iter();
        let mut pointers: Vec<String> = faults
            .map(|fault| fault["pointer"].as_str().unwrap().to_owned())
            .collect();
        pointers.dedup();
        pointers
    }
}

/// Compiled once for all tests.
static SCHEMAS: LazyLock<Arc<isms::core::Schemas>> = LazyLock::new(isms::api::document::schemas);

impl TestApp {
    pub async fn sqlite() -> TestApp {
        TestApp::sqlite_with(Settings::default()).await
    }
    pub async fn sqlite_with(settings: Settings) -> TestApp {
        let template = template::sqlite().await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("isms.db"), &template.file).unwrap();
        std::fs::write(
            dir.path().join(isms::db::sessions::FILE),
            &template.sessions,
        )
        .unwrap();
        let url = format!("sqlite:{}/isms.db", dir.path().display());
        TestApp::at(url, dir, Some(template), settings).await
    }
    /// `None` where the PostgreSQL half does not run.
    pub async fn postgresql() -> Option<TestApp> {
        TestApp::postgresql_with(Settings::default()).await
    }
    pub async fn postgresql_with(settings: Settings) -> Option<TestApp> {
        let server = postgres::server()?;
        let template = template::postgresql(server).await;
        let own = server.copy(template::NAME);
        let mut app = TestApp::at(
            own.url.clone(),
            tempfile::tempdir().unwrap(),
            Some(template),
            settings,
        )
        .await;
        app.database = Some(own);
        Some(app)
    }
    async fn at(
        url: String,
        dir: tempfile::TempDir,
        template: Option<&template::Template>,
        settings: Settings,
    ) -> TestApp {
        // As the program does: what it keeps is for its owner alone.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let token_key_file = dir.path().join("token.key");
        if let Some(template) = template {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(&token_key_file, &template.token_key).unwrap();
            std::fs::set_permissions(&token_key_file, std::fs::Permissions::from_mode(0o600))
                .unwrap();
        }
        let clock = Arc::new(AtomicI64::new(
            BEGIN.parse::<DateTime<Utc>>().unwrap().timestamp_millis(),
        ));
        let hands = clock.clone();
        let plan = Plan {
            database_url: &url,
            data_dir: dir.path(),
            token_key_file: &token_key_file,
            readers: 4,
            rate_limit: settings.rate_limit,
            file_limit: settings.file_limit,
            clock: Clock::from_fn(move || {
                DateTime::from_timestamp_millis(hands.load(Ordering::SeqCst)).unwrap()
            }),
            schemas: SCHEMAS.clone(),
            kinds: api::KINDS,
        };
        api::server::up_to_date(&url).unwrap();
        let house = Data::new(House::open(&plan).unwrap());
        let (metrics, frame) = (
            Data::new(Metrics::new().unwrap()),
            Data::new(frame::Frame { behind_tls: false }),
        );
        let app = App::new()
            .app_data(house.clone())
            .app_data(metrics)
            .app_data(frame);
        let service = Rc::new(
            test::init_service(
                app.wrap(from_fn(frame::around))
                    .configure(|app| app::mount(app, &contract())),
            )
            .await,
        );
        let same = service.clone();
        let streaming = move |request: test::TestRequest| {
            let service = same.clone();
            async move {
                let response = test::try_call_service(&*service, request.to_request())
                    .await
                    .unwrap();
                let mut body = Box::pin(response.into_body());
                let next = move |cx: &mut std::task::Context<'_>| {
                    use actix_web::body::MessageBody;
                    body.as_mut()
                        .poll_next(cx)
                        .map(|part| part.map(|part| part.map_err(|_| "it broke off".to_owned())))
                };
                futures_util::stream::poll_fn(next).boxed_local()
            }
            .boxed_local()
        };
        let call = move |request: test::TestRequest| {
            let service = service.clone();
            async move {
                let request = request.to_request();
                let of = format!("{} {}", request.method(), request.uri());
                match test::try_call_service(&*service, request).await {
                    Ok(response) => reply(of, response).await,
                    Err(error) => {
                        let response = error.error_response();
                        let (status, headers) =
                            (response.status().as_u16(), response.headers().clone());
                        Reply {
                            status,
                            headers,
                            bytes: response
                                .into_body()
                                .try_into_bytes()
                                .unwrap_or_default()
                                .to_vec(),
                            of,
                        }
                    }
                }
            }
            .boxed_local()
        };
        let keys = template
            .map(|template| template.keys.clone())
            .unwrap_or_default();
        TestApp {
            call: Rc::new(call),
            streaming: Rc::new(streaming),
            clock,
            database: None,
            url,
            keys,
            house,
            dir,
        }
    }
    /// On a database that is there.
    pub async fn on(url: String, dir: tempfile::TempDir) -> TestApp {
        TestApp::at(url, dir, None, Settings::default()).await
    }
    /// Moves the clock on to this instant.
    pub fn pass_until(&self, instant: &str) {
        let millis = instant.parse::<DateTime<Utc>>().unwrap().timestamp_millis();
        self.clock.fetch_max(millis, Ordering::SeqCst);
    }
    /// A connection beside the house.
    pub fn conn(&self) -> Conn {
        r2d2::ManageConnection::connect(&Manager::new(&self.url).unwrap()).unwrap()
    }
    /// The file of sessions beside an embedded database.
    pub fn sessions(&self) -> std::path::PathBuf {
        self.dir.path().join(isms::db::sessions::FILE)
    }
    pub fn embedded(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
    /// Moves the clock on.
    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
    pub fn pass_days(&self, days: i64) {
        self.pass(days * 86_400);
    }
    /// What the clock says.
    pub fn now(&self) -> String {
        self.house.clock().now().to_string()
    }
    pub fn send(
        &self,
        key: &str,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> LocalBoxFuture<'static, Reply> {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let has = |name: &str| {
            headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let json = [("Content-Type", "application/json")];
        let more: &[(&str, &str)] = if bytes.is_some() && !has("Content-Type") {
            &json
        } else {
            &[]
        };
        self.raw(key, method, uri, &[headers, more].concat(), bytes)
    }
    pub fn raw(
        &self,
        key: &str,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> LocalBoxFuture<'static, Reply> {
        let (mut request, mut asked) = (
            test::TestRequest::with_uri(uri).method(method.clone()),
            Asked::new(method, uri, body.as_deref()),
        );
        if !key.is_empty() {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {key}")));
        }
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
            asked
                .headers
                .push(((*name).to_owned(), (*value).to_owned()));
        }
        if let Some(bytes) = body {
            request = request
                .insert_header((header::CONTENT_LENGTH, bytes.len()))
                .set_payload(bytes);
        }
        let call = (self.call)(request);
        async move {
            let reply = call.await;
            contract::hold(&asked, &reply);
            reply
        }
        .boxed_local()
    }
    /// A POST without a credential from another address.
    pub async fn from(&self, address: &str, uri: &str, body: &Value) -> Reply {
        let peer = std::net::SocketAddr::new(address.parse().unwrap(), 40_000);
        let request = test::TestRequest::post()
            .uri(uri)
            .peer_addr(peer)
            .set_json(body);
        (self.call)(request).await
    }
    /// A new user who has set the password of all.
    pub async fn user(&self, key: &str, body: &Value) -> Value {
        let made = self.post(key, "/v1/users", body).await.expect(201).json();
        self.set_up(&made["setup_token"]).await;
        made
    }
    /// Sets the password of all with a setup token; gives back the tokens.
    pub async fn set_up(&self, token: &Value) -> Value {
        let body = serde_json::json!({"setup_token": token, "password": PASSWORD});
        self.post("", "/v1/auth/setup", &body)
            .await
            .expect(200)
            .json()
    }
    pub async fn get(&self, key: &str, uri: &str) -> Reply {
        self.send(key, Method::GET, uri, &[], None).await
    }
    /// The parts of an answer, read one by one.
    pub async fn parts(&self, key: &str, uri: &str) -> Parts {
        let request = test::TestRequest::with_uri(uri)
            .insert_header((header::AUTHORIZATION, format!("Bearer {key}")));
        (self.streaming)(request).await
    }
    pub async fn get_with(&self, key: &str, uri: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(key, Method::GET, uri, headers, None).await
    }
    pub async fn post(&self, key: &str, uri: &str, body: &Value) -> Reply {
        self.send(key, Method::POST, uri, &[], Some(body)).await
    }
    pub async fn patch(&self, key: &str, uri: &str, tag: &str, body: &Value) -> Reply {
        self.send(key, Method::PATCH, uri, &[("If-Match", tag)], Some(body))
            .await
    }
    pub async fn delete(&self, key: &str, uri: &str, tag: &str) -> Reply {
        self.send(key, Method::DELETE, uri, &[("If-Match", tag)], None)
            .await
    }
    /// An action at whatever version; a decision at the version that its caller reads now.
    pub async fn act(&self, key: &str, uri: &str, body: &Value) -> Reply {
        let tag = self.tag_for(key, uri).await;
        self.send(key, Method::POST, uri, &[("If-Match", &tag)], Some(body))
            .await
    }
    /// What `If-Match` an action goes with.
    pub async fn tag_for(&self, key: &str, uri: &str) -> String {
        let Some((record, verb)) = uri.rsplit_once('/') else {
            return "*".into();
        };
        match decides(verb) {
            true => self
                .get(key, record)
                .await
                .header("etag")
                .unwrap_or_else(|| "\"1\"".into()),
            false => "*".into(),
        }
    }
    /// A login with the password of every user.
    pub async fn login(&self, email: &str) -> String {
        let tokens = self
            .post(
                "",
                "/v1/auth/login",
                &json!({"email": email, "password": PASSWORD}),
            )
            .await
            .expect(200)
            .json();
        tokens["access_token"].as_str().unwrap().to_owned()
    }
    /// A key that the user of this login makes for themselves.
    pub async fn own_key(&self, login: &str, role: &str, limits: Value) -> Value {
        let account = self.get(login, "/v1/me").await.expect(200).json()["actor"]["id"].clone();
        let body = json!({"name": format!("{role} key"), "role": role, "user_id": account,
            "expires_at": "2027-11-20T00:00:00Z", "limits": limits});
        self.post(login, "/v1/api-keys", &body)
            .await
            .expect(201)
            .json()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(own) = self.database.take() {
            own.remove();
        }
    }
}

async fn reply(of: String, response: ServiceResponse) -> Reply {
    let (status, headers): (StatusCode, HeaderMap) =
        (response.status(), response.headers().clone());
    let bytes = test::try_read_body(response).await.unwrap().to_vec();
    Reply {
        status: status.as_u16(),
        headers,
        bytes,
        of,
    }
}

/// Text inside a query.
pub fn quoted(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Runs each law on both databases.
#[macro_export]
macro_rules! on_both {
    ($($law:ident),+ $(,)?) => {
        mod sqlite { $(#[actix_web::test] async fn $law() { super::$law(&$crate::support::TestApp::sqlite().await).await })+ }
        mod postgresql { $(#[actix_web::test] async fn $law() {
            if let Some(app) =
                $crate::support::TestApp::postgresql().await { super::$law(&app).await }
        })+ }
    };
}
