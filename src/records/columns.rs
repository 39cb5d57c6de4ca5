//! What a kind's own table holds and how lists are filtered by it, in one declaration.
use super::ask::ListContext;
use super::{Condition, Stored};
use crate::db::Backend;
use crate::db::own::{OwnRow, Test};
use diesel::query_builder::QueryFragment;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// What was asked of the columns of a kind.
pub struct Asked<'a> {
    /// When.
    pub then: &'a ListContext,
    /// Of the row in its table: of each group, one holds.
    pub row: Vec<Vec<Test>>,
    /// Of the version.
    pub version: Vec<Condition>,
}

impl<'a> Asked<'a> {
    /// Nothing yet.
    pub fn at(then: &'a ListContext) -> Self {
        Asked {
            then,
            row: vec![],
            version: vec![],
        }
    }
    /// Is it any of these values? Everything is where none is given.
    pub fn among<T, Q>(&mut self, values: &[T], test: impl FnOnce(Vec<T>) -> Q)
    where
        T: Clone,
        Q: QueryFragment<Backend> + Send + 'static,
    {
        if !values.is_empty() {
            self.row.push(vec![Box::new(test(values.to_vec()))]);
        }
    }
    /// Is it on this side of a bound, if there is one?
    pub fn bound<T, Q>(&mut self, bound: Option<T>, test: impl FnOnce(T) -> Q)
    where
        Q: QueryFragment<Backend> + Send + 'static,
    {
        self.row
            .extend(bound.map(|bound| -> Vec<Test> { vec![Box::new(test(bound))] }));
    }
    /// Adds a group of tests, of which one has to hold; none where there are none.
    pub fn any(&mut self, tests: Vec<Test>) {
        self.row.extend((!tests.is_empty()).then_some(tests));
    }
    /// What all of it says about a version.
    pub fn conditions(mut self, table: &'static str) -> Vec<Condition> {
        if !self.row.is_empty() {
            self.version
                .insert(0, Box::new(OwnRow::new(table, self.row)));
        }
        self.version
    }
}

/// The versions of a kind whose own row passes a test.
pub fn own<R: Stored>(test: impl QueryFragment<Backend> + Send + 'static) -> Condition {
    row_of(R::TABLE.unwrap_or_default(), test)
}
/// The same where the table is known, and not the kind.
pub fn row_of(
    table: &'static str,
    test: impl QueryFragment<Backend> + Send + 'static,
) -> Condition {
    let group: Vec<Test> = vec![Box::new(test)];
    Box::new(OwnRow::new(table, vec![group]))
}

/// For a kind that has nothing of its own to filter by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct NoFilter {}

/// Declares the columns of a kind and its filters.
///
/// ```text
/// crate::columns! {
///     table assets of Asset {            // `assets of Asset` where the table is in db::schema
///         asset_type: Text,              // holds record.own.asset_type
///         acquired_on: Nullable<Date>,
///     }
///     /// What a list of assets can be filtered by.
///     pub struct AssetFilter {
///         /// Any of these types.
///         #[param(max_items = 10)]
///         asset_type: Vec<AssetType> => any(asset_type),
///         /// Acquired on this day or later.
///         acquired_on_since: Option<NaiveDate> => since(acquired_on),
///     }
/// }
/// ```
///
/// expands to the `table!` with the key of a version before these columns, to `AssetFilter` with
/// its documentation, and to
///
/// ```text
/// impl Stored for Asset {
///     type Filter = AssetFilter;
///     const TABLE: Option<&'static str> = Some("assets");
///     fn insert(rows, conn) -> QueryResult<()> {
///         let rows = rows.map(|record| (…, assets::asset_type.eq(&record.own.asset_type), …));
///         insert_into(assets::table).values(rows).execute(conn).map(drop)   // one statement
///     }
///     fn matching(filter, then) -> Vec<Condition> {
///         let mut asked = Asked::at(then);
///         asked.among(&filter.asset_type, |any| assets::asset_type.eq_any(any));
///         asked.bound(filter.acquired_on_since, |since| assets::acquired_on.ge(since));
///         asked.conditions("assets")     // EXISTS (SELECT 1 FROM assets WHERE …)
///     }
/// }
/// ```
///
/// A column that does not hold the member of its name says what it holds, of a record that has a
/// name then: `table scopes of Scope as scope { revision: Integer = scope.state.revision }`.
///
/// A filter is `any(column)` of some values, `since(column)`, `before(column)`, `set(column)` (has
/// a value, or has none), `row(f)` with a function of what was asked to tests of which one has to
/// hold, or `with(f)` with one of what was asked and the moments to a condition, or to none.
#[macro_export]
macro_rules! columns {
    (table $table:ident of $kind:ident $(as $record:ident)? {
        $($column:ident: $sql:ty $(= $value:expr)?),* $(,)?
    } $($filters:tt)*) => {
        mod table {
            use $crate::db::schema::versions;
            diesel::table! {
                use diesel::sql_types::*; use $crate::core::sql::*;
                $table (tenant_id, id, version) {
                    tenant_id -> DbUuid, id -> DbUuid, version -> Integer, $($column -> $sql,)*
                }
            }
            diesel::allow_tables_to_appear_in_same_query!(versions, $table);
        }
        pub(crate) use table::$table;
        $crate::columns! {
            $table of $kind $(as $record)? { $($column $(= $value)?,)* } $($filters)* }
    };
    ($table:ident of $kind:ident { $($columns:tt)* } $($filters:tt)*) => {
        $crate::columns! { $table of $kind as record { $($columns)* } $($filters)* }
    };
    ($table:ident of $kind:ident as $record:ident {
        $($column:ident $(= $value:expr)?),* $(,)?
    } $($(#[$doc:meta])* pub struct $filter:ident {
        $($(#[$attribute:meta])* $member:ident: $type:ty => $how:ident($by:ident)),* $(,)?
    })?) => {
        $($(#[$doc])*
        #[derive(Debug, Default, serde::Serialize, serde::Deserialize, utoipa::IntoParams)]
        #[serde(default, deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $filter { $($(#[$attribute])* pub $member: $type),* })?

        impl $crate::records::Stored for $kind {
            type Filter = $crate::columns!(@or_none $($filter)?);
            const TABLE: Option<&'static str> = Some(stringify!($table));
            fn insert(
                rows: &[($crate::core::VersionKey, $crate::records::Record<Self>)],
                conn: &mut $crate::db::Conn,
            ) -> diesel::QueryResult<()> {
                use diesel::{ExpressionMethods as _, RunQueryDsl as _};
                let rows = rows.iter().map(|((tenant, id, version), $record)| Ok((
                    $table::tenant_id.eq(tenant), $table::id.eq(id), $table::version.eq(version),
                    $($table::$column.eq($crate::columns!(@of $record $column $(= $value)?)),)*
                )));
                let into = diesel::insert_into($table::table);
                match <[_; 1]>::try_from(rows.collect::<diesel::QueryResult<Vec<_>>>()?) {
                    Ok([row]) => into.values(row).execute(conn), // Such a statement stays prepared.
                    Err(rows) => $crate::each!(conn, |c| into.values(rows).execute(c)),
                }.map(drop)
            }
            $(fn matching(filter: &$filter, then: &$crate::records::ask::ListContext)
            -> Vec<$crate::records::Condition> {
                let mut asked = $crate::records::columns::Asked::at(then);
                $($crate::columns!(@$how asked filter.$member, $table $by);)*
                asked.conditions(stringify!($table))
            })?
        }
    };
    (@or_none) => { $crate::records::NoFilter };
    (@or_none $filter:ident) => { $filter };
    (@of $record:ident $column:ident) => { &$record.own.$column };
    (@of $record:ident $column:ident = $value:expr) => { $value };
    (@any $asked:ident $value:expr, $table:ident $column:ident) => {
        $asked.among(&$value, |any| diesel::ExpressionMethods::eq_any($table::$column, any))
    };
    (@set $asked:ident $value:expr, $table:ident $column:ident) => {
        $asked.among(&$value, |any| diesel::ExpressionMethods::eq_any(
            diesel::ExpressionMethods::is_not_null($table::$column), any))
    };
    (@since $asked:ident $value:expr, $table:ident $column:ident) => {
        $asked.bound($value, |since| diesel::ExpressionMethods::ge($table::$column, since))
    };
    (@before $asked:ident $value:expr, $table:ident $column:ident) => {
        $asked.bound($value, |before| diesel::ExpressionMethods::lt($table::$column, before))
    };
    (@row $asked:ident $value:expr, $table:ident $test:ident) => { $asked.any($test(&$value)) };
    (@with $asked:ident $value:expr, $table:ident $function:ident) => {
        $asked.version.extend($function(&$value, $asked.then))
    };
}
