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
        "The body is not a JSON object, is cut off, repeats a name, or has a number that a double \
            cannot hold. `detail` says where. Correct the request before you send it again.";
    InvalidParameter     "invalid_parameter"      400 "A query parameter or header is invalid"
        "`errors` names each invalid query parameter or header and says what is accepted.";
    UnknownParameter     "unknown_parameter"      400 "Unknown query parameter"
        "The operation has no query parameter of that name. Unknown names are never ignored, so a \
            mistyped filter does not return everything. `errors` names each; correct or remove it.";
    InvalidCursor        "invalid_cursor"         400 "The cursor does not belong to this query"
        "A cursor is valid only with the filters and sort order of the page that returned it. \
            Repeat that query unchanged, or start again at the first page.";
    Unauthenticated      "unauthenticated"        401 "A valid credential is required"
        "Send `Authorization: Bearer` with an API key or the access token of a login. The \
            credential you sent is unknown, expired or revoked, or its account is disabled.";
    Forbidden            "forbidden"              403 "Your role does not allow this"
        "The roles of your account do not allow this action on this kind of record. `GET /v1/me` \
            shows your roles. Ask an administrator if you need another one.";
    OutsideLimits        "outside_limits"         403 "This is outside the limits of your key"
        "Your key is limited to scopes, controls, frameworks, sources or a period, and this is \
            outside. `GET /v1/me` shows the limits.";
    SegregationOfDuties  "segregation_of_duties"  403 "Another person has to do this"
        "Whoever edited, submitted or did this cannot approve or verify it, not even with a \
            credential that they issued. Ask another person. All accounts and keys of a person \
            count as that person.";
    NotAssigned          "not_assigned"           403 "The record belongs to someone else"
        "Contributors may change only records that they own or that are assigned to them. Ask the \
            owner or a manager.";
    NotFound             "not_found"              404 "Not found"
        "There is no resource at this path, or no record with this id or code is visible to you. \
            Add `archived=any` to find an archived record.";
    MethodNotAllowed     "method_not_allowed"     405 "Method not allowed"
        "The path exists, but not with this method. `Allow` and `allowed` name its methods.";
    NotAcceptable        "not_acceptable"         406 "Media type not available"
        "The view is not available in any media type that `Accept` names. `detail` lists the \
            available ones.";
    RequestTimeout       "request_timeout"        408 "The request did not arrive in time"
        "The body took too long to arrive. Send it again over a better connection or in smaller \
            parts.";
    IllegalTransition    "illegal_transition"     409 "The record's state does not allow this"
        "The record is in a state that does not allow this. `allowed` names the transitions that \
            are possible now.";
    NotReady             "not_ready"              409 "Something is missing first"
        "`errors` names everything that is missing. Add it and try again or, if the operation \
            allows it, give the reason why you go ahead without it.";
    ReviseFirst          "revise_first"           409 "Open a new revision to change this"
        "An approved record stays as it was approved. Open the next revision with `revise`, and \
            change that.";
    ReadOnly             "read_only"              409 "This record is built in"
        "The record is part of the product and the same for everyone. Create your own record \
            instead.";
    Conflict             "conflict"               409 "The request conflicts with another record"
        "Another record has this value already, or was first. Read it, and decide which of the two \
            is right.";
    InUse                "in_use"                 409 "Other records need this one"
        "Other records refer to this one; `needed_by` names them. Remove these links first.";
    EvidenceDiffers      "evidence_differs"       409 "This evidence exists with different content"
        "Evidence with this source, external id and time of collection exists with different \
            content. Send new content with a new `collected_at`.";
    Retained             "retained"               409 "The record must be kept for now"
        "The record is on hold, or its retention period has not ended. While it is on hold, you \
            can only add links; `release` it to change, supersede or archive it. You can archive \
            it after its retention period.";
    LastAdmin            "last_admin"             409 "The organization needs an admin"
        "Nobody else could administer the organization after this. Another account with the role \
            `admin` must be able to log in, without an end date. Give the role to another account, \
            let its holder set a password, and try again.";
    VersionMismatch      "version_mismatch"       412 "The record has changed since you read it"
        "Somebody changed the record after you read it: `If-Match` names another version, or is a \
            weak tag. Read it again, check what changed, and repeat your change with the new tag.";
    PayloadTooLarge      "payload_too_large"      413 "The body is too large"
        "The body has more bytes than the operation accepts. `detail` says how many it may have.";
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type"
        "`Content-Type` is missing or not one that the operation accepts, or the body is encoded. \
            `detail` says what to send.";
    RangeUnsatisfiable   "range_not_satisfiable"  416 "The range is outside the content"
        "The content has fewer bytes than `Range` asks for. `detail` says how many.";
    ValidationFailed     "validation_failed"      422 "Validation failed"
        "The body was understood, but some of its values are not accepted. `errors` names each one \
            with its place, a code and what to change.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key belongs to another \
        request"
        "An idempotency key belongs to one request for 24 hours, and this is a different request. \
            Send it with a new key.";
    VersionRequired      "version_required"       428 "If-Match is required"
        "A change must name the version it is meant for. Send `If-Match` with the `ETag` you read, \
            or `*` for any version. Approving, signing, verifying and closing decide on the \
            version you read, so they do not accept `*`.";
    RateLimited          "rate_limited"           429 "Too many requests"
        "This key or address has sent more requests than allowed. Wait as long as `Retry-After` \
            says. `RateLimit` and `RateLimit-Policy` show the limit and what is left.";
    Internal             "internal"               500 "Internal error"
        "This is a fault in the service. Its log has the cause under the `request_id`. You can \
            safely send the request again with the same idempotency key.";
    ContentMissing       "content_missing"        500 "The content is missing from the store"
        "The record refers to content that the object store does not have: the store was lost, or \
            restored from an older backup than the database. Restore `object_store` from the \
            backup that belongs to the database, or push the same content again.";
    Unavailable          "unavailable"            503 "Too busy; try again"
        "The service or its database is too busy, starting or stopping. Wait as long as \
            `Retry-After` says, then send the request again.";
}
