//! A register on the wire: one value that mounts its operations and describes them.
use super::{Answer, Described, Document, bulk, describe, handlers as h};
use crate::core::Result;
use crate::records::Resource;
use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::{guard, web};
use std::marker::PhantomData;

/// Which of the common operations a register has; what it has not, it does in its own way or not at
/// all.
#[derive(Debug, Clone, Copy)]
pub struct Operations {
    /// POST of a JSON body.
    pub create: bool,
    /// PATCH, and links one by one.
    pub update: bool,
    /// DELETE, restore.
    pub archive: bool,
    /// Review.
    pub review: bool,
    /// A table as input.
    pub import: bool,
}

impl Operations {
    /// All but tables as input.
    pub const ALL: Operations = Operations {
        create: true,
        update: true,
        archive: true,
        review: true,
        import: false,
    };
    /// All but these and reviews.
    pub const KEPT: Operations = Operations {
        review: false,
        ..Operations::ALL
    };
    /// Nothing but reading.
    pub const READ: Operations = Operations {
        create: false,
        update: false,
        archive: false,
        review: false,
        import: false,
    };
}

/// `api.service(Collection::<Asset>::new(Operations::ALL))`.
pub struct Collection<R>(Operations, PhantomData<R>);

impl<R> Collection<R> {
    /// A register with these operations.
    pub fn new(operations: Operations) -> Self {
        Collection(operations, PhantomData)
    }
}

impl<R: Resource> HttpServiceFactory for Collection<R> {
    fn register(self, app: &mut AppService) {
        let does = self.0;
        let at = |rest: &str| web::resource(format!("/v1/{}{rest}", R::KIND.path));
        if does.update {
            let batch =
                move |guard, request, input| bulk::batch::batch::<R>(guard, request, input, does);
            at("/batch").guard(guard::Post()).to(batch).register(app);
            at("/batch").to(posted).register(app);
        }
        if does.import {
            at("/import")
                .guard(guard::Post())
                .to(bulk::import::import::<R>)
                .register(app);
            at("/import").to(posted).register(app);
        }
        at("/export")
            .guard(seen())
            .to(bulk::export::export::<R>)
            .register(app);
        at("/export").to(only_seen).register(app);
        at("").guard(seen()).to(h::list::<R>).register(app);
        at("/{id}").guard(seen()).to(h::get::<R>).register(app);
        at("/{id}/history")
            .guard(seen())
            .to(h::history::<R>)
            .register(app);
        if does.create {
            at("").guard(guard::Post()).to(h::create::<R>).register(app);
        }
        if does.update {
            at("/{id}")
                .guard(guard::Patch())
                .to(h::update::<R>)
                .register(app);
            at("/{id}/links")
                .guard(guard::Post())
                .to(h::link_to::<R>)
                .register(app);
            at("/{id}/links/{relation}/{to}")
                .guard(guard::Delete())
                .to(h::unlink::<R>)
                .register(app);
        }
        if does.archive {
            at("/{id}")
                .guard(guard::Delete())
                .to(h::delete::<R>)
                .register(app);
            at("/{id}/restore")
                .guard(guard::Post())
                .to(h::restore::<R>)
                .register(app);
        }
        if does.review {
            at("/{id}/review")
                .guard(guard::Post())
                .to(h::review::<R>)
                .register(app);
        }
    }
}

/// 405 at a place that could be taken for a record.
async fn posted() -> Result<Answer> {
    Err(super::document::other_methods(&["POST"]))
}

/// The same where a table is read.
async fn only_seen() -> Result<Answer> {
    Err(super::document::other_methods(&["GET", "HEAD"]))
}

/// GET, and HEAD where GET is: actix does not do that by itself. What no service takes, the
/// application answers with 404 or 405.
pub fn seen() -> impl guard::Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

impl<R: Resource> Described for Collection<R> {
    fn describe(&self, to: &mut Document) {
        describe::schemas::<R>(to, self.0);
        bulk::describe::schemas::<R>(to, self.0);
        describe::operations::<R>(to, self.0);
    }
}
