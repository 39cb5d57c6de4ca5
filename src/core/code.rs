//! Every code that a problem can have: its status, its title, and what to do about it.
macro_rules! codes {
    ($($code:ident $name:literal $status:literal $title:literal $help:literal;)+) => {
        /// What went wrong, as programs branch on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $code),+ }
        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$(Code::$code),+];
            /// `(type, code, status, title)`.
            pub const fn row(self) -> (&'static str, &'static str, u16, &'static str) {
                match self { $(Code::$code => (concat!("/problems/", $name), $name, $status,
                    $title)),+ }
            }
            /// What it means, and what to do about it.
            pub const fn help(self) -> &'static str {
                match self { $(Code::$code => $help),+ }
            }
        }
    };
}
codes! {
    Malformed            "malformed"              400 "The request cannot be parsed"
        "The body is no JSON object, breaks off, repeats a name, or has a number that a double \
            cannot hold. `detail` says where. Mend the request; sending it again as it is will \
            not help.";
    InvalidParameter     "invalid_parameter"      400 "A query parameter or header is invalid"
        "`errors` names each query parameter or header whose value cannot be used, and says what \
            is needed.";
    UnknownParameter     "unknown_parameter"      400 "There is no such query parameter"
        "The operation has no query parameter of that name; names are never ignored, so that a \
            mistyped filter does not return everything. `errors` names each.";
    InvalidCursor        "invalid_cursor"         400 "The cursor does not belong to this query"
        "A cursor goes with the filters and the sort of the page that gave it. Ask for the first \
            page again, or repeat the question as it was.";
    Unauthenticated      "unauthenticated"        401 "A valid credential is needed"
        "Send `Authorization: Bearer` with an API key or the access token of a login. The one \
            that was sent is unknown, ended, revoked, or of an account that was disabled.";
    Forbidden            "forbidden"              403 "This role may not do that"
        "The roles of this account do not allow the action on this kind of record. `GET /v1/me` \
            says which roles it has.";
    OutsideLimits        "outside_limits"         403 "This key is limited to something else"
        "The key is limited to scopes, controls, frameworks, sources or a period, and this lies \
            outside. `GET /v1/me` says what it is limited to.";
    SegregationOfDuties  "segregation_of_duties"  403 "Another person has to do that"
        "Whoever edited, submitted or did this cannot approve or verify it, nor with a credential \
            that they issued: another person has to. All accounts and keys of a person are one \
            person.";
    NotAssigned          "not_assigned"           403 "The record belongs to someone else"
        "A contributor changes only what they own or what is assigned to them. Ask its owner, or \
            a manager.";
    NotFound             "not_found"              404 "There is no such thing"
        "Nothing stands at this path, or no record that this caller may see has this id or code. \
            An archived record is found with `archived=any`.";
    MethodNotAllowed     "method_not_allowed"     405 "This path has other methods"
        "The path is there, with other methods: `Allow` and `allowed` name them.";
    NotAcceptable        "not_acceptable"         406 "There is no such representation"
        "`Accept` names no media type that this view has. `detail` names those that there are.";
    RequestTimeout       "request_timeout"        408 "The request did not arrive in time"
        "The body took too long to arrive. Send it again, from a better connection or in smaller \
            parts.";
    IllegalTransition    "illegal_transition"     409 "The state does not allow that"
        "The record is in a state that does not allow this. `allowed` names the transitions that \
            there are now.";
    NotReady             "not_ready"              409 "Something is missing first"
        "What was asked for needs more before it can be done: `errors` names each thing that is \
            missing. Add it and try again, or, where the operation allows it, say why it is done \
            without.";
    ReviseFirst          "revise_first"           409 "What is approved changes by a new revision"
        "What is approved stays as it was approved. Open the next revision with `revise`, and \
            change that.";
    ReadOnly             "read_only"              409 "This record is built in"
        "The record is part of the product and the same for everyone. Make one of your own.";
    Conflict             "conflict"               409 "Another record is in the way"
        "Another record has this value, or came first. Read it, and decide which of the two is \
            right.";
    InUse                "in_use"                 409 "Other records need this one"
        "Other records refer to this one: `needed_by` names them. Take the links away first.";
    EvidenceDiffers      "evidence_differs"       409 "That evidence is there with other content"
        "Evidence with this source, external id and moment is there with other content. New \
            content has a new moment of collection.";
    Retained             "retained"               409 "The record must be kept for now"
        "The record is on hold, or its time of retention has not ended. While it is on hold, only \
            links can be added; it changes, is superseded or archived after `release`, and is \
            archived after its day of retention.";
    LastAdmin            "last_admin"             409 "The organization needs an admin"
        "Nobody else could administer the organization after this: another account with the role \
            `admin` has to be able to log in, with no end set. Give the role to another account, \
            let its holder set a password, and try again.";
    VersionMismatch      "version_mismatch"       412 "The record has changed since it was read"
        "Somebody changed the record after it was read: `If-Match` names another version, or is a \
            weak tag. Read it again, look at what changed, and repeat the change with the new tag.";
    PayloadTooLarge      "payload_too_large"      413 "The body is too large"
        "The body has more bytes than the operation takes; `detail` says how many it may have.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body has another media type"
        "`Content-Type` is missing or is none that the operation takes, or the body is encoded. \
            `detail` says what to send.";
    RangeUnsatisfiable   "range_not_satisfiable"  416 "The range lies outside the content"
        "The content has fewer bytes than `Range` asks for; `detail` says how many.";
    ValidationFailed     "validation_failed"      422 "Validation failed"
        "The body was understood, but values in it are not accepted. `errors` names every one \
            with its place, a code and what is needed.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key belongs to another \
        request"
        "An idempotency key belongs to one request for 24 hours, and this is another one. Make a \
            new key for it.";
    VersionRequired      "version_required"       428 "If-Match is needed"
        "A change names the version that it is meant for: send `If-Match` with the `ETag` that \
            was read, or `*` for whatever it is. Approving, signing, verifying and closing decide \
            on what was read: they do not take `*`.";
    RateLimited          "rate_limited"           429 "Too many requests"
        "This key, or this address, has sent more requests than its share. Wait as `Retry-After` \
            says; `RateLimit` and `RateLimit-Policy` say how much there is.";
    Internal             "internal"               500 "Something broke here"
        "A fault of the service. Its log has the cause under the `request_id`; a repeated request \
            is safe with the same idempotency key.";
    ContentMissing       "content_missing"        500 "The content is missing from the store"
        "The record names a content that the object store does not have: the store was lost, or \
            restored from an older backup than the database. Restore `object_store` from the \
            backup that goes with the database, or push the same content again.";
    Unavailable          "unavailable"            503 "Too busy; try again"
        "The service or its database is too busy, starting or ending. Wait as `Retry-After` says, \
            then send the request again.";
}
