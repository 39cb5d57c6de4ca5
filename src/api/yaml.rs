//! JSON as YAML 1.2: block style, every text in double quotes, so that nothing is taken for
//! something else.
use serde_json::Value;
use std::fmt::Write;

/// The text of a value.
pub fn of(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text.push('\n');
    text
}

fn write(to: &mut String, value: &Value, depth: usize) {
    let line = |to: &mut String| {
        to.push('\n');
        to.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                line(to);
                // Writing to a text does not fail.
                let _ = write!(to, "{}:", Value::from(name.as_str()));
                below(to, member, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                line(to);
                to.push('-');
                below(to, item, depth);
            }
        }
        plain => {
            let _ = write!(to, "{plain}");
        }
    }
}

fn below(to: &mut String, value: &Value, depth: usize) {
    let block = value.as_object().is_some_and(|members| !members.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty());
    if !block {
        to.push(' ');
    }
    write(to, value, depth + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn structure_is_indented_and_text_is_quoted() {
        let value = json!({"a": {"no": "yes: \u{7}\"", "list": [1, null, {"x": []}]}, "b": {}});
        let text = "\n\"a\":\n  \"list\":\n    - 1\n    - null\n    -\n      \"x\": []\n  \"no\": \
            \"yes: \\u0007\\\"\"\n\"b\": {}\n";
        assert_eq!(of(&value), text);
    }
}
