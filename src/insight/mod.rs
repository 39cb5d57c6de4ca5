//! Floor 6: what is computed across registers, at any moment: the statement of applicability, the
//! risk matrix, the overview, the feed.
pub mod basis;
mod entries;
pub mod event;
pub mod feed;
pub mod overview;
pub mod scan;
pub mod upcoming;

/// Mounts the views.
pub fn mount(api: &mut crate::http::Api<'_>) {
    overview::mount(api);
    feed::mount(api);
    entries::mount(api);
}
