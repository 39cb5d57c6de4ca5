//! Lists of what is no register, page by page.
use crate::core::{Code, Problem, Result, text::folded};
use crate::http::{Target, ViewQuery};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::iter::Peekable;

/// A walk through what is no register: `limit`, and where the last page ended.
pub struct Walk {
    limit: usize,
    after: Option<String>,
    question: String,
    target: Target,
}

/// One page of it.
pub struct Page<T> {
    /// What it holds.
    pub data: Vec<T>,
    /// Where the next one begins.
    pub next_cursor: Option<String>,
    /// The link to it.
    pub link: Option<String>,
    /// Is there one?
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The same of something else.
    pub fn map<U>(self, of: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(of).collect(),
            next_cursor: self.next_cursor,
            link: self.link,
            has_more: self.has_more,
        }
    }
}

/// A page as it is answered.
macro_rules! page {
    ($(#[$doc:meta])* $name:ident of $item:ty: $order:literal) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            #[doc = $order]
            #[schema(max_items = 200)]
            pub data: Vec<$item>,
            /// Ask with it for the next page; null on the last.
            #[schema(required, max_length = 2000)]
            pub next_cursor: Option<String>,
            /// Is there a next page?
            pub has_more: bool,
        }
        impl $name {
            /// With the link to the next page.
            pub fn answer(page: $crate::registers::pages::Page<$item>) -> Result<Answer> {
                let all = $name {
                    data: page.data,
                    next_cursor: page.next_cursor,
                    has_more: page.has_more,
                };
                Ok(Answer { link: page.link, ..Answer::of(&all)? })
            }
        }
    };
}
pub(crate) use page;

impl Walk {
    /// Where this page begins; a cursor goes with the question of its page.
    pub fn read<Q>(asked: &ViewQuery<Q>) -> Result<Walk> {
        let (page, target) = (asked.page.clone(), asked.target.clone());
        let elsewhere = ["limit", "cursor", "as_of", "archived"];
        let mut given: Vec<_> = form_urlencoded::parse(target.query.as_bytes())
            .filter(|(name, _)| !elsewhere.contains(&&**name))
            .collect();
        given.sort();
        let question = format!(
            "{:08x}",
            crc32fast::hash(&serde_json::to_vec(&given).map_err(Problem::internal)?)
        );
        let read = |text: String| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (of, after) = text.split_once(' ')?;
            (of == question).then(|| after.to_owned())
        };
        let after = page
            .cursor
            .map(|text| read(text).ok_or_else(foreign))
            .transpose()?;
        Ok(Walk {
            limit: usize::try_from(page.limit).unwrap_or(50),
            after,
            question,
            target,
        })
    }
    /// The page that begins there.
    pub fn page<T>(
        &self,
        all: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>> {
        let mut rest = all.peekable();
        if let Some(after) = &self.after {
            rest.by_ref()
                .find(|one| key(one) == *after)
                .ok_or_else(foreign)?;
        }
        Ok(self.cut(rest, key))
    }
    /// The same of what may change from page to page: it goes on behind the place, whether what
    /// was there still is or not. The keys rise.
    pub fn behind<T>(&self, all: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Page<T> {
        let after = self.after.as_ref();
        let rest = all.skip_while(|one| after.is_some_and(|after| key(one) <= *after));
        self.cut(rest.peekable(), &key)
    }
    fn cut<T>(
        &self,
        mut rest: Peekable<impl Iterator<Item = T>>,
        key: impl Fn(&T) -> String,
    ) -> Page<T> {
        let data: Vec<T> = rest.by_ref().take(self.limit).collect();
        let has_more = rest.peek().is_some();
        let next = data
            .last()
            .filter(|_| has_more)
            .map(|last| URL_SAFE_NO_PAD.encode(format!("{} {}", self.question, key(last))));
        Page {
            data,
            link: next.as_deref().map(|cursor| self.target.next(cursor)),
            next_cursor: next,
            has_more,
        }
    }
}

fn foreign() -> Problem {
    Problem::new(
        Code::InvalidCursor,
        "Use the same filters as for the previous page.",
    )
}

/// Does one of the values that were asked for fit, or was none asked for?
pub fn any<T>(asked: &[T], fits: impl Fn(&T) -> bool) -> bool {
    asked.is_empty() || asked.iter().any(fits)
}
/// Pure: do all of these words begin one of the text?
pub fn begins(text: &str, words: &str) -> bool {
    let text = format!(" {}", folded(text));
    folded(words)
        .split(' ')
        .filter(|word| !word.is_empty())
        .all(|word| text.contains(&format!(" {word}")))
}
