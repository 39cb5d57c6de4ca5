//! Users: people with a login (ISO/IEC 27001:2022 A.5.16). Roles are looked up at each request, so what is taken away is gone at once.
use crate::access::{Role, api_key, password};
use crate::core::{Id, Instant, Problem, Result, TenantId, VersionKey, merge::merge};
use crate::db::Conn;
use crate::db::schema::{credentials as cr, users as u, versions as v};
use crate::http::describe::{self, Rejections};
use crate::http::{Answer, Change, Collection, Guard, Input, Operations, input};
use crate::records::ask::Moments;
use crate::records::{By, Condition, Draft, Kind, Limit, Record, Relation, Resource, Stateless, Stored, Tx, unasked};
use actix_web::{HttpRequest, post};
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

/// What an administrator says about a user.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What they log in with.
    #[validate(email, length(max = 254))]
    #[schema(max_length = 254, format = "email")]
    pub email: String,
    /// What they may do.
    #[validate(length(min = 1, max = 7))]
    #[schema(min_items = 1, max_items = 7)]
    pub roles: Vec<Role>,
    /// Since when they cannot come in; null lets them.
    pub disabled_at: Option<Instant>,
}

/// What a list of users can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// With any of these addresses.
    #[param(max_items = 50, max_length = 254)]
    pub email: Vec<String>,
    /// Disabled, or not.
    #[param(max_items = 2)]
    pub disabled: Vec<bool>,
}

impl Resource for User {
    const KIND: Kind = Kind {
        name: "user",
        path: "users",
        code: "USR",
        about: "Users: people with a login (A.5.16).",
        relations: &[Relation::new("person_id", "person")],
        limited_by: &[
            (Limit::Scopes, By::ReadOnly("accounts act in every scope")),
            (Limit::Period, By::ReadOnly("a period limits evidence alone")),
        ],
        counted: false,
        personal: &["name", "email"],
        account: true,
        erased,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn example() -> Value {
        json!({"name": "Security manager", "email": "security@example.org", "roles": ["manager"]})
    }
    fn permitted<P>(tx: &mut Tx<'_, P>, before: Option<&Record<Self>>, after: &Record<Self>, _: &str) -> Result<()> {
        super::accounts::permitted(tx, before, after)
    }
}

impl Stored for User {
    type Filter = UserFilter;
    fn insert((tenant, id, version): VersionKey, record: &Record<Self>, conn: &mut Conn) -> QueryResult<usize> {
        let own = &record.own;
        let roles: Vec<&str> = own.roles.iter().map(|role| role.into()).collect();
        let key = (u::tenant_id.eq(tenant), u::id.eq(id), u::version.eq(version));
        let row = (key, u::email.eq(folded(&own.email)), u::roles.eq(roles.join(",")), u::disabled_at.eq(own.disabled_at));
        diesel::update(cr::table.find((tenant, id))).set(cr::email.eq(folded(&own.email))).execute(conn)?;
        diesel::insert_into(u::table).values(row).execute(conn)
    }
    fn matching(filter: &UserFilter, _: &Moments) -> Condition {
        let own = u::table.filter(u::tenant_id.eq(v::tenant_id).and(u::id.eq(v::id)).and(u::version.eq(v::version)));
        let emails: Vec<String> = filter.email.iter().map(|email| folded(email)).collect();
        let own = own.filter(u::email.eq_any(emails).or(unasked(&filter.email)));
        Box::new(exists(own.filter(u::disabled_at.is_not_null().eq_any(filter.disabled.clone()).or(unasked(&filter.disabled)))))
    }
}

/// Every user has a name and an address: `erased-usr-3@erased.invalid` (RFC 2606) reaches nobody.
fn erased(code: &str, image: &mut Map<String, Value>) {
    image.insert("name".into(), json!(format!("Erased {code}")));
    image.insert("email".into(), json!(format!("erased-{}@erased.invalid", code.to_lowercase())));
}

/// How addresses are compared.
pub fn folded(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Keeps the password of a new user.
pub fn keep_password(conn: &mut Conn, tenant: TenantId, user: Id, email: &str, hash: &str) -> QueryResult<usize> {
    let row = (cr::tenant_id.eq(tenant), cr::user_id.eq(user), cr::email.eq(folded(email)), cr::password_hash.eq(hash));
    diesel::insert_into(cr::table).values(row).execute(conn)
}

/// Create a user
///
/// With a password of 12 to 128 characters; without one, a password is made and shown in this answer alone, as `secret`.
#[utoipa::path(operation_id = "createUser", tag = "users", security(("bearer" = [])), request_body = ref("#/components/schemas/UserInput"), params(crate::http::document::Retried),
    responses((status = 201, description = "The user.", body = ref("#/components/schemas/NewUser")), Rejections))]
#[post("/v1/users")]
pub async fn create(guard: Guard<Change<User>>, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let mut body = input.clone().members();
    let given = match body.remove("password") {
        None | Some(Value::Null) => None,
        Some(Value::String(given)) => Some(given),
        Some(_) => return Err(Problem::invalid_one("/password", "invalid", "a string is needed")),
    };
    if !body.contains_key("name") {
        body.extend(body.get("email").cloned().map(|email| ("name".to_owned(), email)));
    }
    let draft = Draft::<User>::read(body)?;
    let secret = match given {
        Some(given) => password::acceptable(&given).map(|()| (given, false))?,
        None => (api_key::generate()?, true),
    };
    let hash = password::hash(secret.0.clone()).await?;
    guard
        .write(&input, move |tx| {
            let (tenant, email) = (tx.caller().tenant, draft.own.email.clone());
            let made = tx.create(draft)?;
            free(tx.conn(), tenant, &email, None)?;
            keep_password(tx.conn(), tenant, made.get().spine.id, &email, &hash)?;
            let answer = |shown| Answer::created(shown, User::KIND.path).private();
            Ok(tx.shown(made)?.map(|shown| if secret.1 { answer(shown).with_secret("secret", secret.0) } else { answer(shown) }))
        })
        .await
}

/// 422 when another user of the organization has this address.
fn free(conn: &mut Conn, tenant: TenantId, email: &str, but: Option<Id>) -> Result<()> {
    let same = cr::table.filter(cr::tenant_id.eq(tenant).and(cr::email.eq(folded(email))));
    let taken: Vec<Id> = same.select(cr::user_id).load(conn)?;
    match taken.into_iter().any(|id| Some(id) != but) {
        true => Err(Problem::new(crate::core::Code::Conflict, "Another user has this address.")),
        false => Ok(()),
    }
}

/// Mounts users.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.service(Collection::<User>::new(Operations { create: false, ..Operations::KEPT }));
    describe::schemas::<User>(api.document, Operations { create: true, ..Operations::READ });
    api.document.amend("UserInput", |input| {
        let password = json!({"type": ["string", "null"], "minLength": 12, "maxLength": 128, "format": "password", "description": "When absent, one is made and answered once as `secret`."});
        let name = json!({"type": ["string", "null"], "minLength": 1, "maxLength": 200, "description": "What they are called; the address, when absent."});
        let (properties, required) = (json!({"password": password, "name": name}), json!(["email", "roles"]));
        merge(input, json!({"properties": properties, "required": required}).as_object().cloned().unwrap_or_default());
    });
    let secret =
        json!({"type": "string", "maxLength": 128, "description": "The password that was made, where none was given; shown once."});
    describe::with_secret(api.document, "User", "NewUser", "A user that was just made.", secret);
    api.service(create);
}
