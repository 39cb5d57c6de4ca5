//! Two organizations with everyone whom the tests need, made once for each database and copied for
//! each test.
use super::{Settings, TestApp, postgres};
use diesel::connection::SimpleConnection;
use isms::db::Manager;
use isms::identity::founding;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The password of every user.
pub const PASSWORD: &str = "correct horse battery";
/// The template's database on PostgreSQL.
pub const NAME: &str = "isms_template";

/// Credentials, and who is behind them. Those of the organization A, but for `b_…`.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The first user's key; role manager.
    pub manager: String,
    /// The first user's access token; roles admin and manager. It lives for 15 minutes.
    pub admin: String,
    pub approver: String,
    pub contributor: String,
    pub internal_auditor: String,
    /// A service key.
    pub auditor: String,
    /// A service key that is limited to the source `backup`.
    pub collector: String,
    pub b_manager: String,
    pub b_admin: String,
    pub organization: String,
    pub b_organization: String,
    pub user: String,
    pub approver_user: String,
    pub contributor_user: String,
    pub person: String,
    pub approver_person: String,
    pub contributor_person: String,
}

pub struct Template {
    pub keys: Keys,
    pub token_key: Vec<u8>,
    /// The database file; empty on PostgreSQL.
    pub file: Vec<u8>,
    /// The file of sessions beside it.
    pub sessions: Vec<u8>,
}

pub async fn sqlite() -> &'static Template {
    static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
    let make = || async {
        let dir = tempfile::tempdir().unwrap();
        let app = TestApp::at(
            format!("sqlite:{}/isms.db", dir.path().display()),
            dir,
            None,
            Settings::default(),
        )
        .await;
        let mut template = fill(&app).await;
        let copy = app.dir.path().join("copy.db");
        app.conn()
            .batch_execute(&format!("VACUUM INTO '{}'", copy.display()))
            .unwrap();
        template.file = std::fs::read(copy).unwrap();
        let (copy, sessions) = (
            app.dir.path().join("copy-sessions.db"),
            format!("sqlite:{}", app.sessions().display()),
        );
        let mut conn = r2d2::ManageConnection::connect(&Manager::new(&sessions).unwrap()).unwrap();
        conn.batch_execute(&format!("VACUUM INTO '{}'", copy.display()))
            .unwrap();
        template.sessions = std::fs::read(copy).unwrap();
        template
    };
    TEMPLATE.get_or_init(make).await
}

pub async fn postgresql(server: &postgres::Server) -> &'static Template {
    static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
    let make = || async {
        server.create(NAME);
        let app = TestApp::at(
            server.url(NAME),
            tempfile::tempdir().unwrap(),
            None,
            Settings::default(),
        )
        .await;
        let template = fill(&app).await;
        drop(app);
        server.seal(NAME);
        template
    };
    TEMPLATE.get_or_init(make).await
}

async fn fill(app: &TestApp) -> Template {
    let found = async |name: &str, email: &str| {
        let plan = founding::Plan {
            api_key: true,
            ..founding::Plan::new(name, email, PASSWORD)
        };
        founding::found(&app.house, plan).await.unwrap()
    };
    let (a, b) = (
        found("A", "manager@a.example").await,
        found("B", "manager@b.example").await,
    );
    let (admin, b_admin) = (
        app.login("manager@a.example").await,
        app.login("manager@b.example").await,
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let me = async |key: &str| text(&app.get(key, "/v1/me").await.expect(200).json()["person_id"]);
    let person = async |name: &str| {
        text(
            &app.post(&admin, "/v1/people", &json!({"name": name}))
                .await
                .expect(201)
                .json()["id"],
        )
    };
    let user = async |name: &str, role: &str, person: &str| {
        let body = json!({"name": name, "email": format!("{name}@a.example"), "roles": [role],
            "person_id": person});
        text(&app.user(&admin, &body).await["id"])
    };
    let service = async |role: &str, limits: Value| {
        let body = json!({"name": format!("{role} key"), "role": role,
            "expires_at": "2027-11-20T00:00:00Z", "limits": limits});
        text(
            &app.post(&admin, "/v1/api-keys", &body)
                .await
                .expect(201)
                .json()["secret"],
        )
    };
    let own = async |name: &str, role: &str| {
        let login = app.login(&format!("{name}@a.example")).await;
        text(&app.own_key(&login, role, json!({})).await["secret"])
    };
    let (approver_person, contributor_person) =
        (person("Approver").await, person("Contributor").await);
    let internal = person("Internal auditor").await;
    let approver_user = user("approver", "approver", &approver_person).await;
    let contributor_user = user("contributor", "contributor", &contributor_person).await;
    user("internal", "internal_auditor", &internal).await;
    let (manager, b_manager) = (a.api_key.unwrap(), b.api_key.unwrap());
    let keys = Keys {
        approver: own("approver", "approver").await,
        contributor: own("contributor", "contributor").await,
        internal_auditor: own("internal", "internal_auditor").await,
        auditor: service("auditor", json!({})).await,
        collector: service("collector", json!({"sources": ["backup"]})).await,
        person: me(&manager).await,
        organization: a.organization_id.to_string(),
        b_organization: b.organization_id.to_string(),
        user: a.user_id.to_string(),
        manager,
        b_manager,
        admin,
        b_admin,
        approver_user,
        contributor_user,
        approver_person,
        contributor_person,
    };
    Template {
        keys,
        token_key: std::fs::read(app.dir.path().join("token.key")).unwrap(),
        file: vec![],
        sessions: vec![],
    }
}
