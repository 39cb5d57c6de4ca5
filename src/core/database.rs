//! What the database's errors are to a client.
use super::{Code, Problem};
use diesel::result::{DatabaseErrorKind, Error as Db};

impl From<Db> for Problem {
    fn from(error: Db) -> Self {
        match error {
            Db::NotFound => Problem::not_found(),
            Db::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                Problem::new(Code::Conflict, "This value is already in use.")
            }
            Db::DatabaseError(
                DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection,
                what,
            ) => {
                log::error!("the database connection was lost: {}", what.message());
                Problem::new(
                    Code::Unavailable,
                    "The database cannot be reached. Try again.",
                )
            }
            Db::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => {
                busy("another transaction was first")
            }
            Db::DatabaseError(_, what) if is_busy(what.message()) => busy(what.message()),
            Db::RollbackErrorOnCommit { commit_error, .. } => Problem::from(*commit_error),
            Db::BrokenTransactionManager => busy("the connection was abandoned"),
            other => Problem::internal(other),
        }
    }
}

/// Is it that somebody else holds what is asked for, or that it took too long? (Neither driver
/// gives these a kind of their own.)
fn is_busy(words: &str) -> bool {
    const BUSY: &[&str] = &[
        "database is locked",
        "database table is locked",
        "database schema is locked",
        "canceling statement due to",
        "deadlock detected",
        "could not serialize access",
        "could not obtain lock",
        "remaining connection slots",
        "too many clients",
        "the database system is",
        "terminating connection",
    ];
    BUSY.iter().any(|busy| words.contains(busy))
}
fn busy(words: &str) -> Problem {
    log::warn!("the database is busy: {words}");
    Problem::new(Code::Unavailable, "The database is busy. Try again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::http::header;

    #[test]
    fn a_lock_is_no_fault_of_the_service() {
        let said = |words: &str| {
            Problem::from(Db::DatabaseError(
                DatabaseErrorKind::Unknown,
                Box::new(words.to_owned()),
            ))
        };
        for words in [
            "database is locked",
            "canceling statement due to lock timeout",
            "canceling statement due to statement timeout",
            "deadlock detected",
            "FATAL: sorry, too many clients already",
        ] {
            let answer = said(words).error_response();
            assert_eq!(answer.status(), 503, "{words}");
            assert!(
                answer.headers().contains_key(header::RETRY_AFTER),
                "{words}"
            );
        }
        assert!(said("no such table: x").is(Code::Internal));
        let commit = || {
            Box::new(Db::DatabaseError(
                DatabaseErrorKind::Unknown,
                Box::new("database is locked".to_owned()),
            ))
        };
        let both = Db::RollbackErrorOnCommit {
            rollback_error: commit(),
            commit_error: commit(),
        };
        assert!(Problem::from(both).is(Code::Unavailable));
    }
}
