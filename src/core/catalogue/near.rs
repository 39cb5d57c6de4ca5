//! What somebody may have meant: slugs and references that are close to one that there is not.
use super::{FRAMEWORKS, Framework, framework, parts};
use strsim::levenshtein;

/// How many are suggested at most.
const MOST: usize = 5;

/// Small letters and digits alone.
fn bare(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(80)
        .collect()
}

/// Pure: how far a word is from what was asked for, which is `bare`; `None` when it is something
/// else.
fn far(asked: &str, word: &str) -> Option<usize> {
    let word = bare(word);
    let most = word.len().max(asked.len()) / 4;
    match () {
        () if asked.is_empty() => None,
        () if asked == word => Some(0),
        () if asked.len() > 1 && word.starts_with(asked) => Some(1),
        () if asked.len() > 1 && word.ends_with(asked) => Some(2),
        () if asked.len() > 2
            && (word.contains(asked) || asked.contains(&word) && word.len() > 2) =>
        {
            Some(2)
        }
        // So many letters have to be added at least.
        () if word.len().abs_diff(asked.len()) > most => None,
        () => Some(levenshtein(asked, &word))
            .filter(|far| *far <= most)
            .map(|far| 2 + far),
    }
}

/// Those of these words that are close to what was asked for, the nearest first.
pub fn near<'w>(asked: &str, words: impl Iterator<Item = &'w str>) -> Vec<&'w str> {
    let bare = bare(asked);
    let mut found: Vec<(usize, &str)> = words
        .filter_map(|word| Some((far(&bare, word)?, word)))
        .collect();
    found.sort_by_key(|(far, word)| (*far, word.len().abs_diff(asked.len())));
    found.into_iter().take(MOST).map(|(_, word)| word).collect()
}

/// `; did you mean a, b?`, or nothing.
pub fn did_you_mean(near: &[impl AsRef<str>]) -> String {
    let near: Vec<&str> = near.iter().map(AsRef::as_ref).collect();
    if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", near.join(", "))
    }
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The slugs of the built-in frameworks.
pub fn slugs<'a>() -> impl Iterator<Item = &'a str> {
    FRAMEWORKS.iter().map(|framework| framework.slug.as_str())
}

/// What to say of a framework that is not among these.
pub fn no_framework<'w>(slug: &str, among: impl Iterator<Item = &'w str>) -> String {
    // What is there and hidden is not named, nor is what was asked for.
    format!(
        "unknown framework `{}`{}",
        clip(slug),
        did_you_mean(&near(slug, among.filter(|known| *known != slug)))
    )
}

/// Letters of an id that something is suggested for; those of the catalogue have half as many.
const LONGEST: usize = 64;
/// Ids of one body that something is suggested for.
const SUGGESTED: usize = 5;

/// What to say of the requirements of one body that there are not: what was meant is looked for a
/// few times, since that takes a while.
#[derive(Debug, Default)]
pub struct Missing(usize);
impl Missing {
    /// What to say of the next one.
    pub fn say(&mut self, id: &str, seen: &dyn Fn(&str) -> bool) -> String {
        self.0 += 1;
        if self.0 > SUGGESTED {
            format!("unknown requirement `{}`", clip(id))
        } else {
            no_requirement(id, seen)
        }
    }
}

/// What to say of a requirement that there is not, or that is hidden: it suggests those of the
/// frameworks that are seen.
pub fn no_requirement(id: &str, seen: &dyn Fn(&str) -> bool) -> String {
    if id.len() > LONGEST {
        return format!("unknown requirement `{}`", clip(id));
    }
    let all = || FRAMEWORKS.iter().filter(|framework| seen(&framework.slug));
    let of = |framework: &Framework, reference: &str| {
        let asked = bare(reference);
        let all = framework
            .requirements()
            .iter()
            .filter(|one| bare(&one.r#ref) == asked);
        all.map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    let meant: Vec<String> = match parts(id) {
        None => all().flat_map(|framework| of(framework, id)).collect(),
        Some((slug, reference)) => match framework(slug) {
            Some(_) if !seen(slug) => vec![],
            Some(framework) => {
                let same = of(framework, reference);
                let refs = framework
                    .requirements()
                    .iter()
                    .filter(|_| same.is_empty())
                    .map(|one| one.r#ref.as_str());
                let close = near(reference, refs)
                    .into_iter()
                    .map(|close| format!("{slug}:{close}"))
                    .collect::<Vec<_>>();
                same.into_iter().chain(close).collect()
            }
            None => near(slug, slugs().filter(|slug| seen(slug)))
                .into_iter()
                .filter_map(framework)
                .flat_map(|framework| of(framework, reference))
                .collect(),
        },
    };
    let meant: Vec<&String> = meant
        .iter()
        .filter(|known| *known != id)
        .take(MOST)
        .collect();
    format!("unknown requirement `{}`{}", clip(id), did_you_mean(&meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_suggested() {
        let said = |slug: &str| no_framework(slug, slugs().chain(["our-rules"]));
        assert_eq!(
            said("nis2"),
            "unknown framework `nis2`; did you mean nis2-art21, nis2-2024-2690?"
        );
        assert!(
            said("soc-2").ends_with("did you mean soc2-2017?"),
            "{}",
            said("soc-2")
        );
        assert!(
            said("ISO 27001").contains("iso-27001-2022"),
            "{}",
            said("ISO 27001")
        );
        assert!(
            said("iso-27001-2o22").contains("iso-27001-2022"),
            "{}",
            said("iso-27001-2o22")
        );
        assert!(said("our-rule").ends_with("did you mean our-rules?"));
        assert_eq!(said("zzzz"), "unknown framework `zzzz`");
        assert_eq!(said(""), "unknown framework ``");
    }

    #[test]
    fn a_slug_is_no_place_of_a_path() {
        let slug = crate::core::catalogue::is_slug;
        assert_eq!(["..", ".a", "-a", "a", "A1"].map(slug), [false; 5]);
        assert_eq!(["a.", "27k-rules", "iso-27001-2022"].map(slug), [true; 3]);
    }

    #[test]
    fn what_is_meant_is_looked_for_a_few_times() {
        let mut missing = Missing::default();
        let said: Vec<bool> = (0..9)
            .map(|_| missing.say("A.8.5", &|_| true).contains("did you mean"))
            .collect();
        assert_eq!(
            said,
            [true, true, true, true, true, false, false, false, false]
        );
        assert!(
            !no_requirement(&format!("iso-27001-2022:A.8.5{}", " ".repeat(60)), &|_| {
                true
            })
            .contains("mean"),
            "too long to be meant"
        );
        assert_eq!(far("accesscontrol", "A"), None);
    }

    #[test]
    fn what_is_hidden_is_not_suggested() {
        let nis2 = |slug: &str| slug == "nis2-art21";
        for id in [
            "iso-27001-2022:A.8.5",
            "A.8.5",
            "iso27001:A.8.5",
            "iso-27001-2022:8.5",
        ] {
            assert_eq!(
                no_requirement(id, &nis2),
                format!("unknown requirement `{id}`")
            );
        }
        assert!(!no_framework("iso-27001-2022", slugs()).contains("mean iso-27001-2022"));
    }

    #[test]
    fn a_reference_without_its_framework_is_understood() {
        assert!(
            no_requirement("A.8.5", &|_| true).contains("did you mean iso-27001-2022:A.8.5"),
            "{}",
            no_requirement("A.8.5", &|_| true)
        );
        assert!(no_requirement("a.8.5", &|_| true).contains("iso-27001-2022:A.8.5"));
        assert!(
            no_requirement("iso27001:A.8.5", &|_| true).contains("iso-27001-2022:A.8.5"),
            "{}",
            no_requirement("iso27001:A.8.5", &|_| true)
        );
        assert!(
            no_requirement("iso-27001-2022:8.5", &|_| true).contains("iso-27001-2022:A.8.5"),
            "{}",
            no_requirement("iso-27001-2022:8.5", &|_| true)
        );
        assert_eq!(
            no_requirement("zzzz:Q", &|_| true),
            "unknown requirement `zzzz:Q`"
        );
    }
}
