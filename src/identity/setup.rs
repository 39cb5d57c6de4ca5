//! The first password of an account, and the next one when it was forgotten: its holder sets it
//! with a token that is good once, for seven days. No administrator ever knows it.
use super::attempts::Attempt;
use super::auth::{TokenPair, begin, count, uncounted};
use super::credential;
use super::user::User;
use crate::access::{api_key, password};
use crate::core::{Code, Problem, Result};
use crate::db::Conn;
use crate::http::journal::Event;
use crate::http::{Answer, House, Input, Visitor};
use crate::records::{Covers, IfMatch, Selector};
use crate::service::house::Holding;
use actix_web::web::Data;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

impl Covers<User> for Holding {}

/// A first password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"setup_token": "setup_0123456789ABCDEFGHIJKLMNOPQRSTUV",
    "password": "a long sentence of mine"}))]
pub struct Setup {
    /// The token that the administrator handed over.
    #[schema(min_length = 1, max_length = 200)]
    pub setup_token: String,
    /// The password to log in with from now on.
    #[schema(min_length = 12, max_length = 128, format = "password")]
    pub password: String,
}

fn ended() -> Problem {
    let detail = "The setup token is unknown, already used or has expired; ask your administrator \
        for a new one.";
    Problem::new(Code::Unauthenticated, detail)
}

async fn set_up(visitor: Visitor, house: Data<House>, input: Input) -> Result<Answer> {
    let said: Setup = input.read()?;
    password::acceptable("/password", &said.password, &[])?;
    let now = house.clock().now();
    let attempt = count(&house, Attempt::setup(visitor.source)).await?;
    let hash = api_key::setup_hash(&said.setup_token);
    let look = move |conn: &mut Conn| {
        let found = hash
            .map(|hash| credential::holder(conn, hash, now))
            .transpose()?
            .flatten();
        found
            .map(|account| Ok((account, credential::known(conn, account)?)))
            .transpose()
    };
    let found = match house.look(look).await {
        Ok(found) => found,
        Err(why) => return uncounted(&house, &attempt, why).await,
    };
    let (Some(hash), Some(((tenant, user), known))) = (hash, found) else {
        visitor.tell(Event::SetupFailed, None);
        return Err(ended());
    };
    let about: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Err(why) = password::acceptable("/password", &said.password, &about) {
        return uncounted(&house, &attempt, why).await;
    }
    let kept = match house.logins().passwords().hash(said.password).await {
        Ok(kept) => kept,
        Err(why) => return uncounted(&house, &attempt, why).await,
    };
    let Some(caller) = house.holder(tenant, user).await? else {
        return Err(ended());
    };
    let work = move |tx: &mut crate::records::Tx<'_, Holding>| {
        let (now, account) = (tx.now(), (tenant, user));
        // Again, behind the lock: of two that come at once, one finds the token used up.
        if credential::holder(tx.conn(), hash, now)? != Some(account) {
            return Err(ended());
        }
        credential::set_by_holder(tx.conn(), account, &kept, now)?;
        let epoch = credential::epoch(tx.conn(), account)?.unwrap_or_default();
        let record = tx.load::<User>(&Selector::Id(user), &IfMatch::any())?;
        Ok(tx
            .save(&record, record.clone(), "set_password")?
            .map(|_| epoch))
    };
    let set = house.as_holder(caller, visitor.id, work).await;
    let epoch = set.inspect_err(|_| visitor.tell(Event::SetupFailed, Some(user)))?;
    visitor.tell(Event::Setup, Some(user));
    begin(&house, tenant, user, epoch, attempt).await
}

/// Mounts it.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/auth/setup", set_up)
        .id("setUpLogin")
        .says(
            "Set a first password",
            "With the `setup_token` of a new account, or of one whose \
            password was reset. The token is good once, for seven days; the answer has the tokens \
            of a login.",
        )
        .body::<Setup>()
        .answers::<TokenPair>("Tokens.");
}
