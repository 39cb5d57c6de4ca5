//! Passwords that attackers try first: what is commonly chosen, with the usual decoration, and
//! what others know of the account.

/// Words that are commonly chosen, folded to letters. Digits and signs around them do not count.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "abc", "abcabc", "abcd", "abcde", "abcdef", "access", "account", "admin", "administrator",
        "adminadmin", "alexander", "amanda",
    "andrea", "andrew", "angel", "angels", "anthony", "apple", "arsenal", "asdf", "asdfasdf",
        "asdfgh", "asdfghjkl", "ashley", "asshole",
    "august", "austin", "autumn", "azerty", "azertyuiop", "babygirl", "bailey", "banana",
        "barcelona", "baseball", "basketball",
    "batman", "berlin", "bitch", "blink", "bonjour", "brandon", "butterfly", "buster", "changeit",
        "changeme", "charlie", "charlotte",
    "cheese", "chelsea", "chocolate", "christian", "christmas", "cisco", "ciso", "company",
        "computer", "cookie", "correcthorse",
    "cowboy", "dallas", "daniel", "daniela", "database", "december", "default", "demo", "diamond",
        "dolphin", "donald", "donut",
    "dragon", "easter", "elephant", "elizabeth", "england", "enter", "estrella", "fall", "family",
        "february", "ferrari", "flower",
    "football", "forever", "france", "freedom", "friday", "friend", "friends", "fuckme", "fuckoff",
        "fuckyou", "gabriel", "george",
    "germany", "ginger", "god", "google", "grandma", "guest", "hallo", "hallohallo", "hannah",
        "harley", "heaven", "hello", "hellohello",
    "herbst", "hockey", "hottie", "hunter", "iloveyou", "iloveyouso", "information",
        "informationsecurity", "internet", "isms", "iso",
    "isoiec", "jackson", "jasmine", "jennifer", "jesus", "jessica", "jonathan", "jordan", "joshua",
        "juventus", "july", "june",
    "justin", "katrina", "killer", "kennwort", "legend", "letmein", "letmeinnow", "liverpool",
        "london", "loveme", "lovely", "lovelove",
    "login", "loginlogin", "london", "loulou", "lucky", "maggie", "manager", "manchester",
        "manchesterunited", "marina", "martin",
    "master", "matrix", "matthew", "melissa", "mercedes", "merlin", "michael", "michelle",
        "mickey", "miller", "minecraft", "monday",
    "money", "monika", "monkey", "monster", "morgan", "mother", "motdepasse", "mustang",
        "mypassword", "naruto", "nicole", "nothing",
    "november", "october", "office", "orange", "organisation", "organization", "pass", "passw",
        "password", "passwordpassword",
    "passwort", "passphrase", "patrick", "peanut", "pepper", "phoenix", "pokemon", "porsche",
        "princess", "private", "purple", "qazwsx",
    "qazwsxedc", "qwer", "qwert", "qwerty", "qwertyqwerty", "qwertyuiop", "qwertz", "qwertzuiop",
        "rachel", "ranger", "realmadrid",
    "robert", "root", "rootroot", "sabrina", "samantha", "samsung", "saturday", "scooter", "scott",
        "secret", "security", "secure",
    "september", "server", "service", "shadow", "silver", "slipknot", "soccer", "sommer", "sophie",
        "spiderman", "spring", "starwars",
    "steelers", "stella", "summer", "sunday", "sunshine", "super", "superman", "supersecret",
        "support", "sweety", "system", "taylor",
    "teamo", "temp", "temporary", "tennis", "test", "tester", "testing", "testtest", "thomas",
        "thuglife", "thursday", "tigger", "tinkerbell",
    "topsecret", "toor", "trustno", "tuesday", "unknown", "user", "username", "vanessa",
        "victoria", "wednesday", "welcome", "welcomehome",
    "whatever", "william", "willkommen", "winter", "wordpass", "yankees", "zaq", "zxcvbn",
        "zxcvbnm",
];

/// Rows of keys and alphabets, for runs along them.
const RUNS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiop[]",
    "qwertzuiopü",
    "azertyuiop",
    "asdfghjkl;'",
    "yxcvbnm",
    "zxcvbnm,./",
    "1qaz2wsx3edc4rfv5tgb",
    "!@#$%^&*()_+",
    "!\"§$%&/()=",
];

/// Why a password is easily guessed; `None` when nothing speaks against it.
pub fn why(password: &str, about: &[&str]) -> Option<&'static str> {
    let folded = password.trim().to_lowercase();
    if let Some(words) = known(&folded, about) {
        return Some(words);
    }
    if repeats(&folded) || runs(&folded) {
        return Some(
            "repetitions and keyboard sequences are easy to guess; choose another password",
        );
    }
    let letters = plain(&folded);
    let undone = plain(&substituted(&folded));
    match [letters, undone].iter().any(|word| common(word)) {
        true => Some("this is a common password; choose another one"),
        false => None,
    }
}

/// What others know of the account makes no password.
fn known(folded: &str, about: &[&str]) -> Option<&'static str> {
    let squeezed = squeeze(folded);
    let inside = |text: &str| text.chars().count() >= 4 && squeezed.contains(text);
    about.iter().find_map(|fact| {
        let fact = fact.trim().to_lowercase();
        let local = fact.split('@').next().unwrap_or_default();
        let named = inside(&squeeze(&fact)) || (fact.contains('@') && inside(&squeeze(local)));
        named.then_some("do not use your address or your organization's name in a password")
    })
}

fn squeeze(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// Its letters alone.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_alphabetic())
        .collect()
}

/// `p4$$w0rd` as it is meant.
fn substituted(text: &str) -> String {
    let meant = |letter| match letter {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    // What is appended (a year, a sign) is decoration, no letter.
    text.trim_end_matches(|c: char| !c.is_alphabetic())
        .chars()
        .map(meant)
        .collect()
}

/// Made of common words alone, up to three of them?
fn common(letters: &str) -> bool {
    fn made_of(rest: &str, words: usize) -> bool {
        rest.is_empty()
            || (words > 0
                && COMMON.iter().any(|word| {
                    rest.strip_prefix(word)
                        .is_some_and(|rest| made_of(rest, words - 1))
                }))
    }
    made_of(letters, 3)
}

/// A short piece again and again.
fn repeats(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let longest = (letters.len() / 2).min(6);
    (1..=longest).any(|length| {
        letters
            .iter()
            .zip(letters.iter().skip(length))
            .all(|(one, other)| one == other)
    })
}

/// Mostly runs along the keyboard or the alphabet, forwards or backwards: what is left of it
/// without them is too short to be guessed slowly.
fn runs(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let follows = |one: char, next: char| {
        RUNS.iter().any(|run| {
            let pairs = || run.chars().zip(run.chars().skip(1));
            pairs().any(|(a, b)| (a, b) == (one, next) || (b, a) == (one, next)) || one == next
        })
    };
    let steps = letters
        .iter()
        .zip(letters.iter().skip(1))
        .filter(|(a, b)| follows(**a, **b));
    letters.len().saturating_sub(steps.count()) < 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_known() {
        for bad in [
            "password1234",
            "Password!2026",
            "P@ssw0rd2026",
            "123456789012",
            "qwertyuiop12",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "Welcome2026!!",
            "letmein!!!!!",
            "abcdefghijkl",
            "iloveyou1234",
            "administrator",
            "Summer2026!!!",
            "1q2w3e4r5t6y7u8i9o",
            "passwordpassword",
            "AdminAdmin123",
            "zyxwvutsrqponm",
            "Changeme1234",
            "1qaz2wsx3edc",
        ] {
            let odd = bad == "1q2w3e4r5t6y7u8i9o"; // a zigzag is left to its length
            assert_eq!(why(bad, &[]).is_some(), !odd, "{bad}");
        }
        let about = ["director@example.org", "Example Shop"];
        for bad in [
            "Director-of-the-shop",
            "I am at example shop!",
            "director@example.org",
        ] {
            assert!(why(bad, &about).is_some(), "{bad}");
        }
        for good in [
            "correct horse battery",
            "correct horse battery staple",
            "nine blue tractors sing",
            "Xk3#vPq9!mZt",
        ] {
            assert_eq!(why(good, &about), None, "{good}");
        }
    }
}
