//! Answers that took long to find, kept until what they were read from changes: a dashboard that
//! asks again gets the same text.
use super::Answer;
use crate::access::Caller;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of all answers that are kept.
const ALL: u64 = 8 * 1024 * 1024;
/// Bytes of one.
const ONE: usize = 512 * 1024;
/// What is found sooner is found again.
const LONG: Duration = Duration::from_micros(100);

/// What was asked, and by whom: the whole of what an answer depends on, but for the state that its
/// entity tag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question([u8; 32]);

impl Question {
    /// Answers are shared by no two accounts, nor before and after the rights of one change.
    pub fn of(caller: &Caller, path_and_query: &str, format: Option<&str>) -> Self {
        let account = (
            caller.actor.kind,
            caller.actor.id,
            caller.actor.person_id,
            caller.user_id,
        );
        let whole = (
            caller.tenant.0,
            account,
            &caller.roles,
            &caller.limits,
            path_and_query,
            format,
        );
        Question(Sha256::digest(serde_json::to_vec(&whole).unwrap_or_default()).into())
    }
}

/// The answers, each with the entity tag of the state that it is of.
pub struct Kept(Cache<Question, Arc<Answer>, Size>);

#[derive(Clone)]
struct Size;
impl Weighter<Question, Arc<Answer>> for Size {
    fn weight(&self, _: &Question, answer: &Arc<Answer>) -> u64 {
        answer.body.len() as u64 + 512
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept(Cache::with_weighter(256, ALL, Size))
    }
}

impl Kept {
    /// The answer to this question, of whatever state.
    pub fn get(&self, question: &Question) -> Option<Arc<Answer>> {
        self.0.get(question)
    }
    /// Keeps an answer, if finding it took long enough.
    pub fn keep(&self, question: Question, answer: &Answer, took: Duration) {
        let plain =
            answer.status.as_u16() == 200 && answer.secret.is_none() && answer.body.len() <= ONE;
        if plain && took >= LONG {
            self.0.insert(question, Arc::new(answer.clone()));
        } else {
            self.0.remove(&question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Actor, Limits, Role};
    use crate::core::{Id, Instant, TenantId};

    fn caller(roles: &[Role], limits: Limits) -> Caller {
        let tenant = TenantId(Id::new().0);
        Caller::new(
            tenant,
            Actor::system(tenant),
            roles.to_vec(),
            limits,
            Instant::from_millis(0).unwrap_or_else(|| panic!("an instant")),
        )
    }

    #[test]
    fn a_question_is_of_one_account_and_its_rights() {
        let one = caller(&[Role::Auditor], Limits::default());
        let asked = |caller: &Caller| Question::of(caller, "/v1/overview", None);
        assert_eq!(asked(&one), asked(&one.clone()));
        let mut other = one.clone();
        other.roles = vec![Role::Manager];
        assert_ne!(asked(&one), asked(&other));
        let mut other = one.clone();
        other.limits.sources = vec!["scanner".into()];
        assert_ne!(asked(&one), asked(&other));
        let mut other = one.clone();
        other.actor.person_id = Some(Id::new());
        assert_ne!(asked(&one), asked(&other));
        assert_ne!(
            asked(&one),
            asked(&caller(&[Role::Auditor], Limits::default()))
        );
        assert_ne!(
            asked(&one),
            Question::of(&one, "/v1/overview?as_of=seq:1", None)
        );
        assert_ne!(asked(&one), Question::of(&one, "/v1/overview", Some("csv")));
    }

    #[test]
    fn memory_has_an_end_and_short_work_is_not_kept() {
        let (kept, one) = (Kept::default(), caller(&[Role::Auditor], Limits::default()));
        let question = |n: usize| Question::of(&one, &format!("/v1/{n}"), None);
        let answer = |bytes: usize| Answer::json("x".repeat(bytes));
        let long = Duration::from_millis(5);
        kept.keep(question(0), &answer(10), Duration::from_micros(10));
        kept.keep(question(1), &answer(ONE + 1), long);
        kept.keep(
            question(2),
            &answer(10).with_secret("secret", "x".into()),
            long,
        );
        assert!((0..3).all(|n| kept.get(&question(n)).is_none()));
        for n in 0..1000 {
            kept.keep(question(n), &answer(100_000), long);
        }
        let bytes: usize = (0..1000)
            .filter_map(|n| kept.get(&question(n)))
            .map(|answer| answer.body.len())
            .sum();
        assert!(bytes > 0 && bytes as u64 <= ALL, "{bytes}");
        // A newer answer takes the place of the one before.
        kept.keep(question(3), &answer(7), long);
        assert_eq!(
            kept.get(&question(3)).map(|answer| answer.body.len()),
            Some(7)
        );
    }
}
