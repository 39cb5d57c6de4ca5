//! Users: people with a login (ISO/IEC 27001:2022 A.5.16). Roles are looked up at each request, so
//! what is taken away is gone at once.
use super::credential;
use crate::access::Role;
use crate::access::policy::{PERSON, USER};
use crate::core::{Code, Instant, Invalid, Problem, Result, merge::merge};
use crate::db::dialect::OPEN;
use crate::db::own::Test;
use crate::db::schema::{users, users as u, versions as v};
use crate::http::OptionalComment;
use crate::http::describe::{self, Description};
use crate::http::references::schema;
use crate::http::{Answer, Change, Guard, Input, Operations, RecordId, ResetPassword, collection};
use crate::records::accounts::Written;
use crate::records::{
    Body, By, IfMatch, Kind, Limit, NoState, Record, Relation, Resource, Writing,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What an administrator says about a user.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What they log in with.
    #[schema(max_length = 254, format = "email")]
    pub email: String,
    /// What they may do.
    #[schema(min_items = 1, max_items = 7)]
    pub roles: Vec<Role>,
    /// From when on they cannot come in, now or later; null lets them.
    pub disabled_at: Option<Instant>,
}

impl Resource for User {
    const KIND: Kind = Kind {
        name: USER,
        path: "users",
        code: "USR",
        about: "Users: people with a login (A.5.16).",
        relations: &[Relation::new("person_id", PERSON)],
        limited_by: &[
            (Limit::Scopes, By::ReadOnly("accounts act in every scope")),
            (
                Limit::Period,
                By::ReadOnly("a period limits evidence alone"),
            ),
        ],
        counted: false,
        personal: &["name", "email"],
        confidential: &["email"],
        account: true,
        remembered: true,
        erased,
        ..Kind::PLAIN
    };
    type State = NoState;
    fn example() -> Value {
        json!({"name": "Security manager", "email": "security@example.org", "roles": ["manager"]})
    }
    fn permitted(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
        _: &str,
    ) -> Result<()> {
        super::accounts::permitted(tx, before, after)
    }
    /// An address has one account that is not archived; who comes back logs in anew; the last admin
    /// stays.
    fn followed(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
    ) -> Result<()> {
        let ended = |record: &Record<Self>| (record.own.disabled_at, record.spine.archived_at);
        let mut written = Written::of(tx);
        if after.spine.archived_at.is_none() {
            free(&mut written, after)?;
        }
        if let Some(before) = before {
            let was = ended(before);
            if was != ended(after) && was != (None, None) {
                written.end_sessions(after.spine.id)?;
            }
            written.administered()?;
        }
        Ok(())
    }
}

crate::columns! {
    users of User as user {
        email = folded(&user.own.email),
        roles = user.own.roles.iter().map(<&str>::from).collect::<Vec<_>>().join(","),
        disabled_at,
    }
    /// What a list of users can be filtered by.
    pub struct UserFilter {
        /// With any of these addresses.
        #[param(max_items = 50, max_length = 254)]
        email: Vec<String> => row(addressed),
        /// Disabled, or not.
        #[param(max_items = 2)]
        disabled: Vec<bool> => set(disabled_at),
    }
}

fn addressed(emails: &[String]) -> Vec<Test> {
    let one = |email: &String| -> Test { Box::new(u::email.eq(folded(email))) };
    emails.iter().map(one).collect()
}

/// 409 when another account of the organization has this address.
fn free(written: &mut Written<'_>, record: &Record<User>) -> Result<()> {
    let current = v::tenant_id
        .eq(u::tenant_id)
        .and(v::id.eq(u::id))
        .and(v::version.eq(u::version));
    let others = u::table
        .inner_join(v::table.on(current))
        .filter(v::to_seq.eq(OPEN));
    let others = others
        .filter(v::archived_at.is_null())
        .filter(v::id.ne(record.spine.id));
    let same = u::tenant_id
        .eq(written.tenant)
        .and(u::email.eq(folded(&record.own.email)));
    let taken = others
        .filter(same)
        .select(v::number)
        .first::<i64>(written.conn)
        .optional()?;
    let Some(number) = taken else { return Ok(()) };
    let code = format!("{}-{number}", User::KIND.code);
    let fault = Invalid::body(
        "/email",
        "taken",
        format!("{code} already has this address"),
    );
    let detail =
        format!("{code} already has this address. Change or archive that account, or use it.");
    Err(Problem::new(Code::Conflict, detail)
        .listing(vec![fault])
        .needed_by([code]))
}

/// Every user has a name and an address: `erased-usr-3@erased.invalid` (RFC 2606) reaches nobody.
fn erased(code: &str, image: &mut Map<String, Value>) {
    image.insert("name".into(), json!(format!("Erased {code}")));
    image.insert(
        "email".into(),
        json!(format!("erased-{}@erased.invalid", code.to_lowercase())),
    );
}

/// How addresses are compared.
pub fn folded(email: &str) -> String {
    email.trim().to_lowercase()
}

async fn create(guard: Guard<Change<User>>, input: Input) -> Result<Answer> {
    let mut body = input.clone().members();
    if body.get("name").is_none_or(Value::is_null) {
        let name = body
            .get("email")
            .cloned()
            .map(|email| ("name".to_owned(), email));
        body.extend(name);
    }
    let body = Body::<User>::read(&input.schemas(), body);
    guard
        .write(&input, move |tx| {
            let draft = tx.draft(body)?;
            let made = tx.create(draft)?;
            let account = (tx.caller().tenant, made.get().spine.id);
            let (by, now) = (tx.caller().actor.clone(), tx.now());
            let token = credential::issue(tx.conn(), account, &by, now)?;
            Ok(tx.shown(made)?.map(|shown| {
                Answer::created(shown, User::KIND.path)
                    .private()
                    .with_secret(SECRET, token)
            }))
        })
        .await
}

async fn reset(
    guard: Guard<ResetPassword<User>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, body) = (at.of(&User::KIND)?, input.clone());
    let known = known.or_any();
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<User>(&selector, &known)?;
            tx.because(body.read::<OptionalComment>()?.comment);
            let account = (tx.caller().tenant, stored.spine.id);
            let (by, now) = (tx.caller().actor.clone(), tx.now());
            let token = credential::issue(tx.conn(), account, &by, now)?;
            let saved = tx.save(&stored, stored.clone(), "reset_password")?;
            Ok(tx
                .shown(saved)?
                .map(|shown| Answer::shown(shown).with_secret(SECRET, token)))
        })
        .await
}

/// The member that is answered once.
const SECRET: &str = "setup_token";

/// Mounts users.
pub fn mount(api: &mut crate::http::Api<'_>) {
    collection::mount::<User>(
        api,
        Operations {
            create: false,
            ..Operations::KEPT
        },
    );
    let creates = Operations {
        create: true,
        ..Operations::READ
    };
    describe::schemas(api.document, &Description::of::<User>(), creates);
    api.document.amend("UserInput", |input| {
        let name = json!({"type": ["string", "null"], "minLength": 1, "maxLength": 200,
            "description": "What they are called; the address, when absent."});
        let (properties, required) = (json!({"name": name}), json!(["email", "roles"]));
        merge(
            input,
            json!({"properties": properties,
            "required": required})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        );
    });
    let token = json!({"type": "string", "maxLength": 64, "pattern": "^setup_[0-9A-Za-z]{32}$",
        "example": "setup_0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "description": "What the holder sets a password with, once, within seven days; shown \
            once."});
    let about = "A user, and the token that its holder sets a password with.";
    describe::with_secret(api.document, "User", "NewUser", about, (SECRET, token));
    api.post("/v1/users", create)
        .id("createUser")
        .says(
            "Create a user",
            "The answer alone has `setup_token`: hand it to the holder of the \
            account, who sets a password with it within seven days (`POST /v1/auth/setup`). \
            Nobody else ever knows that.",
        )
        .retried()
        .body_named("UserInput")
        .answer(
            201,
            "The user, and the token for a first password.",
            "application/json",
            schema("NewUser"),
        );
    api.post("/v1/users/{id}/reset-password", reset)
        .id("resetPassword")
        .says(
            "Reset a user's password",
            "The password is good for nothing from now on, and every \
            session of the user ends. The answer alone has a new `setup_token`, with which the \
            holder sets another one within seven days.",
        )
        .shared("IfMatchMaybe")
        .retried()
        .body::<OptionalComment>()
        .optional()
        .answer(
            200,
            "The user, and the token for another password.",
            "application/json",
            schema("NewUser"),
        );
}
