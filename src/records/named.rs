//! How a query names records and accounts.
use super::spine::coded;
use super::{Kinds, Reader, Resource, Selector};
use crate::core::{Id, Problem};
use serde::Deserialize;
use std::marker::PhantomData;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A record of a register, by id or code.
#[derive(Deserialize)]
#[serde(try_from = "String", bound = "")]
pub struct RecordRef<R: Resource>(Selector, PhantomData<fn() -> R>);

impl<R: Resource> RecordRef<R> {
    /// The record's id: 404 where the caller does not see it. In the past it may be archived.
    pub fn id(&self, reader: &mut Reader<'_>) -> crate::core::Result<Id> {
        let past = reader.moment.past();
        reader.row::<R>(&self.0, past).map(|row| row.id)
    }
    /// How it was named.
    pub fn selector(self) -> Selector {
        self.0
    }
}
impl<R: Resource> std::fmt::Debug for RecordRef<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl<R: Resource> TryFrom<String> for RecordRef<R> {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let named = Selector::parse(&text, &R::KIND).ok_or(NEITHER)?;
        Ok(RecordRef(named, PhantomData))
    }
}
impl<R: Resource> PartialSchema for RecordRef<R> {
    fn schema() -> RefOr<Schema> {
        let pattern = format!(
            "^([0-9A-Fa-f]{{8}}(-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}|{}-[0-9]{{1,18}})$",
            R::KIND.code
        );
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.max_length(Some(64)).pattern(Some(pattern)).into()
    }
}
impl<R: Resource> ToSchema for RecordRef<R> {}

/// A record of any register, by id or code.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct AnyRef(String);

const NEITHER: &str = "must be an id or a code";

impl AnyRef {
    /// What it names; a fault of the parameter of that name where no kind has such a code.
    pub fn selector(&self, parameter: &str, kinds: Kinds) -> crate::core::Result<Selector> {
        Selector::among(&self.0, kinds.all()).ok_or_else(|| Problem::parameter(parameter, NEITHER))
    }
}
impl TryFrom<String> for AnyRef {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        match Id::parse(&text).is_some() || coded(&text).is_some() {
            true => Ok(AnyRef(text)),
            false => Err(NEITHER),
        }
    }
}

/// An account, by its id.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountRef(pub Id);

impl TryFrom<String> for AccountRef {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Id::parse(&text).map(AccountRef).ok_or("must be an id")
    }
}
