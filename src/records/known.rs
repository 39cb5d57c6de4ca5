//! The version that a change is meant for: `If-Match` (RFC 9110 13.1.1).
use crate::core::{Code, Problem, Result};

/// The `If-Match` of a request, checked against the record once that is known to exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// None was sent.
    #[default]
    Missing,
    /// `*`: whatever version there is.
    Any,
    /// `*` for a decision, which is about one version.
    Undecided,
    /// The strong entity tags, without their quotes. A weak one never matches.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Whatever version there is.
    pub fn any() -> Self {
        IfMatch::Any
    }
    /// Reads the header; `None` when it is neither `*` nor a list of entity tags.
    pub fn read(text: &str) -> Option<Self> {
        match text.trim() {
            "*" => Some(IfMatch::Any),
            list => tags(list).map(IfMatch::Tags),
        }
    }
    /// The same in a JSON body, where a bare version will do.
    pub fn of_member(text: &str) -> Option<Self> {
        let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if bare {
            Some(IfMatch::Tags(vec![text.to_owned()]))
        } else {
            IfMatch::read(text)
        }
    }
    /// Where the header is optional.
    pub fn or_any(self) -> Self {
        if self == IfMatch::Missing {
            IfMatch::Any
        } else {
            self
        }
    }
    /// For an approval, a signature, a verification or the like: it is about the version that was
    /// read, so `*` will not do.
    pub fn for_decision(self) -> Self {
        match self {
            IfMatch::Any => IfMatch::Undecided,
            // A list of every version is a star by another name.
            IfMatch::Tags(tags) if tags.len() > 1 => IfMatch::Undecided,
            known => known,
        }
    }
    /// 428 without a version, 412 with another one. The part after the dot stands for computed
    /// members and is not compared.
    pub fn check(&self, version: i32) -> Result<()> {
        let version = version.to_string();
        let required = |detail: &str| Err(Problem::new(Code::VersionRequired, detail));
        match self {
            IfMatch::Any => Ok(()),
            IfMatch::Missing => required("Send `If-Match` with the ETag that you read."),
            IfMatch::Undecided => required(
                "You decide on the version that you read: send only its ETag in `If-Match`; `*` \
                    and lists are not accepted here.",
            ),
            IfMatch::Tags(tags)
                if tags
                    .iter()
                    .any(|tag| tag.split('.').next() == Some(version.as_str())) =>
            {
                Ok(())
            }
            IfMatch::Tags(_) => Err(Problem::new(
                Code::VersionMismatch,
                format!("The record's current version is {version}. Read it again."),
            )),
        }
    }
}

/// A list of entity tags (RFC 9110 8.8.3, 5.6.1): the strong ones.
fn tags(mut rest: &str) -> Option<Vec<String>> {
    let (mut strong, mut any) = (Vec::new(), false);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return any.then_some(strong);
        }
        let (weak, quoted) = rest
            .strip_prefix("W/")
            .map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if tag
            .chars()
            .any(|letter| letter == ' ' || letter.is_control())
        {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        any = true;
        if !weak {
            strong.push(tag.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_list_of_quoted_tags_or_a_star() {
        let read = |text| IfMatch::read(text);
        let some = |tags: &[&str]| {
            Some(IfMatch::Tags(
                tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ))
        };
        assert_eq!(read(" * "), Some(IfMatch::Any));
        assert_eq!(read(r#""*""#), some(&["*"]), "a quoted star is a tag");
        assert_eq!(read(r#""a,b", "2.1f" ,W/"3""#), some(&["a,b", "2.1f"]));
        assert_eq!(read(r#", "1",,"2","#), some(&["1", "2"]));
        assert_eq!(read(r#"W/"1""#), some(&[]));
        for bad in [
            "",
            ",",
            "1",
            r#""1"#,
            r#"1""#,
            r#""1" "2""#,
            r#"*, "1""#,
            r#"w/"1""#,
            r#""a b""#,
            r#""1"x"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(
            (IfMatch::of_member("3"), IfMatch::of_member("x")),
            (some(&["3"]), None)
        );
    }

    #[test]
    fn a_decision_names_its_version() {
        let code = |known: &IfMatch| match known.check(7) {
            Ok(()) => None,
            Err(problem) if problem.is(Code::VersionRequired) => Some("version_required"),
            Err(problem) => problem
                .is(Code::VersionMismatch)
                .then_some("version_mismatch"),
        };
        let tags = |text| IfMatch::read(text).unwrap_or_default();
        assert_eq!(code(&IfMatch::Any), None);
        assert_eq!(code(&tags(r#""6", "7.01ab""#)), None);
        assert_eq!(code(&tags(r#""*""#)), Some("version_mismatch"));
        assert_eq!(code(&tags(r#"W/"7""#)), Some("version_mismatch"));
        for required in [
            IfMatch::Missing,
            IfMatch::Any.for_decision(),
            tags(r#""6", "7""#).for_decision(),
        ] {
            assert_eq!(code(&required), Some("version_required"), "{required:?}");
        }
    }
}
