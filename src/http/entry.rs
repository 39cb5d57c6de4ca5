//! How a handler is entered: its first argument says what the caller needs.
use super::{Guard, Permission, Visitor};
use actix_web::FromRequest;

/// What a caller needs for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is open to everyone.
    Nothing,
    /// A credential, whatever it may do.
    Credential,
    /// A permission of the policy.
    Permission {
        /// The register.
        kind: &'static str,
        /// What is done with it.
        action: &'static str,
    },
}

/// How a handler is entered. Its first argument says what the caller needs.
pub trait Entry {
    /// What the caller needs.
    const NEEDS: Needs;
}
impl<P: Permission> Entry for Guard<P> {
    const NEEDS: Needs = match P::KIND.is_empty() {
        true => Needs::Credential,
        false => Needs::Permission {
            kind: P::KIND,
            action: P::ACTION,
        },
    };
}
impl Entry for Visitor {
    const NEEDS: Needs = Needs::Nothing;
}
/// `entries!(A B C)` expands to `Entry` for the tuple `(A, B, C)`, as its first part has it.
macro_rules! entries {
    ($($first:ident $($rest:ident)*;)+) => { $(
        impl<$first: Entry, $($rest),*> Entry for ($first, $($rest),*) {
            const NEEDS: Needs = $first::NEEDS;
        }
    )+ };
}
entries! { A; A B; A B C; A B C D; A B C D E; A B C D E F; }

/// What a handler has to be, to be mounted.
pub trait Handler<A>: actix_web::Handler<A, Output: actix_web::Responder + 'static>
where
    A: Entry + FromRequest + 'static,
{
}
impl<A, F> Handler<A> for F
where
    A: Entry + FromRequest + 'static,
    F: actix_web::Handler<A, Output: actix_web::Responder + 'static>,
{
}
