//! Closed vocabularies: an enum that is `snake_case` text in JSON, in the database and in OpenAPI.

/// Makes a plain enum such a vocabulary. `vocabulary! { pub enum Level { Low, High } }` expands to
/// the enum with the derives (serde, utoipa, strum, diesel) in `snake_case`, and to one
/// `ToSql<Text>` and one `FromSql<Text>` that serve every backend.
#[macro_export]
macro_rules! vocabulary {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
            utoipa::ToSchema,
                 strum::IntoStaticStr, strum::EnumString, strum::VariantNames,
                     diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        #[diesel(sql_type = diesel::sql_types::Text)]
        pub enum $name { $($(#[$variant_doc])* #[expect(missing_docs, reason = "the word says \
            it")] $variant),+ }

        impl<DB: diesel::backend::Backend> diesel::serialize::ToSql<diesel::sql_types::Text,
            DB> for $name
        where str: diesel::serialize::ToSql<diesel::sql_types::Text, DB> {
            fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_,
                DB>) -> diesel::serialize::Result {
                <&'static str>::from(self).to_sql(out)
            }
        }
        impl<DB: diesel::backend::Backend> diesel::deserialize::FromSql<diesel::sql_types::Text,
            DB> for $name
        where String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB> {
            fn from_sql(raw: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(String::from_sql(raw)?.parse()?)
            }
        }
    };
}

/// For members inside of a body that may be absent: null says the same.
pub fn or_default<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de> + Default>(
    given: D,
) -> Result<T, D::Error> {
    serde::Deserialize::deserialize(given).map(Option::unwrap_or_default)
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Is it a character that nobody sees, or that turns the order of others around? A control
/// character, a mark of direction, a tag.
pub fn hidden(letter: char) -> bool {
    let invisible = matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
    );
    let marks = matches!(letter,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    letter.is_control() || invisible || marks
}

/// Text in Unicode's composed form (NFC): `é` is one letter, however it was typed.
pub fn composed(text: &str) -> String {
    icu_normalizer::ComposingNormalizerBorrowed::new_nfc()
        .normalize(text)
        .into_owned()
}

/// For identifiers in bodies: in the composed form, so that what looks the same is the same.
pub fn composed_name<'de, D: serde::Deserializer<'de>>(
    given: D,
) -> Result<Option<String>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(given)?;
    Ok(text.map(|text| composed(&text)))
}

/// An identifier that can be read: no character of it is invisible.
pub fn legible(text: &str) -> Result<(), validator::ValidationError> {
    let unseen = |letter: char| hidden(letter) || matches!(letter, '\u{200c}' | '\u{200d}');
    match text.chars().any(unseen) {
        false => Ok(()),
        true => Err(validator::ValidationError::new("invisible")
            .with_message("use visible characters only".into())),
    }
}

/// Text as search compares it: lower case, white space folded.
pub fn folded(text: &str) -> String {
    text.to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The schema of text in a known format.
pub fn formatted(
    format: utoipa::openapi::KnownFormat,
    example: &str,
) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    let text =
        utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
    text.format(Some(utoipa::openapi::SchemaFormat::KnownFormat(format)))
        .examples([serde_json::json!(example)])
        .into()
}
