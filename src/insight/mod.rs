//! Floor 6: what is computed across registers, at any moment: the statement of applicability, the risk matrix, the overview, the feed.
pub mod drawing;
pub mod event;
pub mod feed;
pub mod format;
pub mod matrix;
pub mod overview;
pub mod scan;
pub mod soa;
pub mod treatment_plan;
pub mod trend;
pub mod upcoming;

/// Mounts the views.
pub fn mount(api: &mut crate::http::Api<'_>) {
    soa::mount(api);
    api.service(matrix::get_matrix);
    api.service(trend::get_trend);
    api.service(treatment_plan::get_plan);
    api.service(overview::get_overview);
    api.service(feed::list_events);
    api.service(feed::list_entries);
}
