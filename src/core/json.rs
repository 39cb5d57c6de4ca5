//! JSON: its canonical form (RFC 8785), and reading it strictly (RFC 7493).
use super::{Code, Problem, Result};
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// The canonical text of a value (RFC 8785): what is hashed, and what the ledger keeps.
pub fn canonical(value: &impl Serialize) -> Result<String> {
    serde_json_canonicalizer::to_string(value).map_err(Problem::internal)
}

/// Values that one JSON text may have: memory is bounded by them, not by the bytes alone (`[]`
/// takes two bytes, and thirty in memory).
pub const VALUES: usize = 600_000;

/// Reads one JSON text as I-JSON asks (RFC 7493): a repeated name or an integer that a double
/// cannot hold is an error, not a surprise. Nesting ends at 128 levels, and there are up to
/// [`VALUES`] values.
pub fn strict(bytes: &[u8]) -> Result<Value> {
    let (mut reader, left) = (
        serde_json::Deserializer::from_slice(bytes),
        Cell::new(VALUES),
    );
    let value = Strict(&left)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|e| match left.get() {
        0 => Problem::new(
            Code::PayloadTooLarge,
            format!("The body may have at most {VALUES} values; send it in parts."),
        ),
        _ => Problem::new(Code::Malformed, format!("The body is not valid JSON: {e}.")),
    })
}

/// Reads one JSON object strictly.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    match strict(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::new(
            Code::Malformed,
            "The body must be a JSON object.",
        )),
    }
}

/// The largest integer that every JSON reader keeps exactly: 2^53 - 1.
const SAFE: u64 = (1 << 53) - 1;

/// Reads one value, as long as so many are left.
#[derive(Clone, Copy)]
struct Strict<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let left = self.0.get().saturating_sub(1);
        self.0.set(left);
        if left == 0 {
            return Err(serde::de::Error::custom("too many values"));
        }
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Value, E> {
        if v.unsigned_abs() <= SAFE {
            Ok(v.into())
        } else {
            Err(E::custom(format!(
                "{v} is beyond 2^53 - 1; send it as a string"
            )))
        }
    }
    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Value, E> {
        if v <= SAFE {
            Ok(v.into())
        } else {
            Err(E::custom(format!(
                "{v} is beyond 2^53 - 1; send it as a string"
            )))
        }
    }
    // 1.0 and 1 are one number, and RFC 8785 writes both as 1.
    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        if v.fract() == 0.0 && v.abs() <= SAFE as f64 {
            return Ok((v as i64).into());
        }
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if all.contains_key(&name) {
                return Err(serde::de::Error::custom(format!(
                    "the name `{name}` occurs twice"
                )));
            }
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_as_in_the_rfc() {
        let value = json!({"\u{20ac}": "Euro", "\r": "CR", "1": "one",
            "numbers": [333333333.333_333_3, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]});
        let text = canonical(&value).unwrap_or_default();
        assert_eq!(
            text,
            "{\"\\r\":\"CR\",\"1\":\"one\",\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"€\":\"Euro\"}"
        );
    }

    #[test]
    fn a_text_has_so_many_values() {
        let many = |n: usize| format!("[{}0]", "[],".repeat(n - 2));
        assert!(strict(many(VALUES - 1).as_bytes()).is_ok());
        assert!(
            strict(many(VALUES).as_bytes()).is_err_and(|fault| fault.is(Code::PayloadTooLarge))
        );
        let named = format!(
            "{{{}}}",
            (0..VALUES)
                .map(|n| format!("\"{n}\":{{}}"))
                .collect::<Vec<_>>()
                .join(",")
        );
        assert!(strict(named.as_bytes()).is_err_and(|fault| fault.is(Code::PayloadTooLarge)));
    }

    #[test]
    fn strict_refuses_what_readers_would_read_differently() {
        for bad in [
            "{\"a\":1,\"a\":2}",
            "{\"n\":9007199254740993}",
            "[1] 2",
            "{\"a\":}",
            "\u{feff}{}",
            "nul",
        ] {
            assert!(strict(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(strict(&[b'"', 0xff, b'"']).is_err());
        assert!(strict("[".repeat(10_000).as_bytes()).is_err());
        assert_eq!(
            strict(br#"{"a":[1,2.5,"x",null,true]}"#).ok(),
            Some(json!({"a": [1, 2.5, "x", null, true]}))
        );
        assert_eq!(
            strict(b"[1.0, -2e3, 0.5, 1e300]").ok(),
            Some(json!([1, -2000, 0.5, 1e300]))
        );
    }
}
