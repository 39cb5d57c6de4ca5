//! What handlers need permission for, as types.
use crate::records::{Covers, Resource};
use std::marker::PhantomData;

/// What a handler needs permission for.
pub trait Permission: 'static {
    /// The kind.
    const KIND: &'static str;
    /// The action, as `access::policy` names it.
    const ACTION: &'static str;
}

/// The verbs of the product, each on any register: `Guard<Contain<Nonconformity>>`. `verbs! {
/// Contain "contain" }` expands to the unit type `Contain<R>`, its `Permission`, and `Covers<R>`:
/// with it, records of `R` can be written, and of no other kind.
macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident $action:literal),+ $(,)?) => { $(
        $(#[$doc])*
        pub struct $verb<R>(PhantomData<fn() -> R>);
        impl<R: Resource> Permission for $verb<R> {
            const KIND: &'static str = R::KIND.name;
            const ACTION: &'static str = $action;
        }
        impl<R: Resource> Covers<R> for $verb<R> {}
    )+ };
}
verbs! {
    /// See records and their history.
    Read "read",
    /// Create and update.
    Change "change",
    /// Take out of the lists, and bring back.
    Archive "archive",
    /// Ask for approval.
    Submit "submit",
    /// Approve.
    Approve "approve",
    /// Send back.
    Return "return",
    /// Record that it was looked at.
    Review "review",
    /// Score a risk.
    Assess "assess",
    /// Score risks again under the methodology in force.
    Rescore "rescore",
    /// Push evidence.
    Push "push",
    /// Hand in what a scanner found.
    Report "report",
    /// Take back what waits for approval.
    Withdraw "withdraw",
    /// Replace a key.
    Rotate "rotate",
    /// Take a password away, for another one.
    ResetPassword "reset-password",
}

/// Permissions on what is no register: `Guard<View<Overview>>`.
pub struct View<T>(PhantomData<fn() -> T>);
/// A view's name in the policy.
pub trait Viewed: 'static {
    /// As `access::policy` names it.
    const NAME: &'static str;
}
impl<T: Viewed> Permission for View<T> {
    const KIND: &'static str = T::NAME;
    const ACTION: &'static str = "read";
}
/// The dashboard's home.
pub struct Overview;
impl Viewed for Overview {
    const NAME: &'static str = "overview";
}
/// The ledger.
pub struct Ledger;
impl Viewed for Ledger {
    const NAME: &'static str = "ledger";
}

/// Everyone whose credential is good.
pub struct Anyone;
impl Permission for Anyone {
    const KIND: &'static str = "";
    const ACTION: &'static str = "";
}
