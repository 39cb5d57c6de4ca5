//! API keys (ISO/IEC 27001:2022 A.5.17). A service key is made by an administrator for a machine or
//! for somebody who reads; a key of a person is made by that person and by nobody else. A key has
//! one role, limits and an end; its secret is shown once.
use super::key_rules as rules;
pub use super::key_rules::{ApiKey, KeyState};
use super::secrets;
use crate::access::policy::{API_KEY, USER};
use crate::access::{Caller, Role};
use crate::core::{Code, Id, Problem, Result};
use crate::db::schema::{api_keys, links as l, versions as v};
use crate::http::OptionalComment;
use crate::http::describe::{self, Description};
use crate::http::references::schema;
use crate::http::{
    Answer, Change, Guard, Input, Operations, RecordId, RequiredComment, Rotate, Step, With,
    collection, workflow,
};
use crate::records::{
    By, Condition, IfMatch, Kind, Limit, Patch, Record, Relation, Resource, Transition, Writing,
};
use diesel::{dsl::exists, prelude::*};
use serde_json::{Value, json};

/// What a limited key may make of other keys.
const WITHIN: &str = "a key is written whose limits lie within those of the key that writes it";

impl Resource for ApiKey {
    const KIND: Kind = Kind {
        name: API_KEY,
        path: "api-keys",
        code: "KEY",
        about: "API keys: for machines, and for people who read (A.5.17).",
        transitions: &STATES,
        done: &["revoked"],
        counted: false,
        relations: &[Relation::new("user_id", USER).freed_when(&["revoked"])],
        limited_by: &[
            (Limit::Scopes, By::Rule(WITHIN)),
            (Limit::Frameworks, By::Rule(WITHIN)),
            (Limit::Controls, By::Rule(WITHIN)),
            (Limit::Sources, By::Rule(WITHIN)),
            (Limit::Period, By::Rule(WITHIN)),
        ],
        personal: &["name"],
        account: true,
        remembered: true,
        also: Some(own_keys),
        ..Kind::PLAIN
    };
    type State = KeyState;
    fn example() -> Value {
        json!({"name": "Backup reports", "role": "collector", "expires_at": "2027-11-20T00:00:00Z",
            "limits": {"sources": ["backup"]}})
    }
    fn permitted(
        tx: &mut Writing<'_>,
        before: Option<&Record<Self>>,
        after: &Record<Self>,
        action: &str,
    ) -> Result<()> {
        rules::permitted(tx, before, after, action)
    }
}

/// Who does not see accounts sees the keys that are theirs.
fn own_keys(caller: &Caller) -> Option<Condition> {
    let own = l::table.filter(
        l::tenant_id
            .eq(v::tenant_id)
            .and(l::from_id.eq(v::id))
            .and(l::relation.eq("user_id")),
    );
    let only = !caller.sees_accounts();
    only.then(|| -> Condition {
        Box::new(exists(own.filter(l::to_id.nullable().eq(caller.user_id))))
    })
}

crate::columns! {
    api_keys of ApiKey as key {
        role,
        expires_at,
        revoked_at = key.state.revoked_at,
    }
    /// What a list of keys can be filtered by.
    pub struct ApiKeyFilter {
        /// Any of these roles.
        #[param(max_items = 7)]
        role: Vec<Role> => any(role),
    }
}

async fn create(guard: Guard<Change<ApiKey>>, input: Input) -> Result<Answer> {
    let body = input.clone().checked("ApiKeyInput");
    guard
        .write(&input, move |tx| {
            let (tenant, mut body) = (tx.caller().tenant, body?);
            rules::resolved(tx.conn(), tenant, &mut body)?;
            let draft = tx.draft_of::<ApiKey>(body)?;
            let (id, until, now) = (Id::new(), draft.own.expires_at, tx.now());
            let made = tx.create_as(id, draft, KeyState::default(), "active")?;
            let secret = secrets::issue(tx.conn(), (tenant, id), until, now)?;
            Ok(tx.shown(made)?.map(|shown| {
                Answer::created(shown, ApiKey::KIND.path).with_secret("secret", secret)
            }))
        })
        .await
}

async fn update(
    guard: Guard<Change<ApiKey>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, patch) = (at.of(&ApiKey::KIND)?, input.checked("ApiKeyPatch"));
    guard
        .write_raw(&[], move |tx| {
            let stored = tx.load::<ApiKey>(&selector, &known)?;
            let (tenant, id, before) = (tx.caller().tenant, stored.spine.id, stored.own.expires_at);
            let mut patch = patch?;
            rules::resolved(tx.conn(), tenant, &mut patch)?;
            let patch = Patch::read(tx.schemas(), patch);
            let saved = tx.patch(stored, patch)?;
            let (until, now) = (saved.get().own.expires_at, tx.now());
            if until != before {
                secrets::end(tx.conn(), (tenant, id), until, now)?;
            }
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

async fn rotate(
    guard: Guard<Rotate<ApiKey>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, said) = (
        at.of(&ApiKey::KIND)?,
        input.clone().read::<OptionalComment>(),
    );
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<ApiKey>(&selector, &known)?;
            tx.because(said?.comment);
            if stored.state.revoked_at.is_some() {
                return Err(Problem::new(
                    Code::IllegalTransition,
                    "This key was revoked for good. Create a new one.",
                ));
            }
            let (key, now, until) = (
                (tx.caller().tenant, stored.spine.id),
                tx.now(),
                stored.own.expires_at,
            );
            let saved = tx.save(&stored, stored.clone(), "rotate")?;
            let secret = secrets::rotate(tx.conn(), key, until, now)?;
            Ok(tx
                .shown(saved)?
                .map(|shown| Answer::shown(shown).with_secret("secret", secret)))
        })
        .await
}

const STEPS: &[Step<ApiKey>] = &[Step::to("revoke", &["active"], "revoked")
    .says(
        "Revoke an API key",
        "It ends at once; the comment says why.",
    )
    .body(&With::<ApiKey, RequiredComment>(|tx, record, _| {
        record.state.revoked_at = Some(tx.now());
        Ok(())
    }))
    .commented()];
const STATES: [Transition; 1] = workflow::transitions(STEPS);

/// Mounts keys.
pub fn mount(api: &mut crate::http::Api<'_>) {
    collection::mount::<ApiKey>(api, Operations::READ);
    let writes = Operations {
        create: true,
        update: true,
        ..Operations::READ
    };
    describe::schemas(api.document, &Description::of::<ApiKey>(), writes);
    let secret = json!({"type": "string", "maxLength": 64,
        "pattern": "^isms_[0-9A-Za-z]{22,43}_[0-9A-Za-z]{6}$",
        "example": "isms_0123456789ABCDEFGHIJKLMNOPQRSTUV_abcdef",
        "description": "What to send as `Authorization: Bearer`; shown once."});
    let about = "A key that was just made, and its secret.";
    describe::with_secret(
        api.document,
        "ApiKey",
        "NewApiKey",
        about,
        ("secret", secret),
    );
    api.post("/v1/api-keys", create)
        .id("createApiKey")
        .says(
            "Create an API key",
            "The answer alone has the secret. Everyone who has logged in \
            makes keys of their own, with `user_id` their account (`actor.id` of `GET /v1/me`), \
            one of their roles, and for their own person. An administrator makes service keys, \
            without `user_id`; they act for no person. Nobody makes a key for somebody else.",
        )
        .retried()
        .body_named("ApiKeyInput")
        .answer(
            201,
            "The key and its secret.",
            "application/json",
            schema("NewApiKey"),
        );
    api.patch("/v1/api-keys/{id}", update)
        .id("updateApiKey")
        .says(
            "Change an API key",
            "A JSON merge patch (RFC 7396) of its name, role, limits or \
            end. Its user never changes, and what has ended stays ended.",
        )
        .changes::<ApiKey>()
        .patch_named("ApiKeyPatch");
    workflow::mount(api, STEPS);
    api.post("/v1/api-keys/{id}/rotate", rotate)
        .id("rotateApiKey")
        .says(
            "Rotate an API key",
            "Makes a new secret; the old one is good for another 24 hours. \
            A key of a person is rotated by that person, after a login; a service key by an \
            administrator.",
        )
        .versioned("IfMatch")
        .body::<OptionalComment>()
        .optional()
        .answer(
            200,
            "The key and its new secret.",
            "application/json",
            schema("NewApiKey"),
        );
}
