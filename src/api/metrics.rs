//! Prometheus metrics of the process, at an address of their own: they tell what an organization
//! does, and nobody who reaches the API needs them.
use crate::core::Problem;
use crate::http::House;
use crate::http::journal::Event;
use crate::service::measures::Measures;
use actix_web::{HttpResponse, web::Data};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};
use std::fmt::Write;
use std::time::Duration;

/// The counters.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    /// New ones.
    pub fn new() -> Result<Self, Problem> {
        let registry = Registry::new();
        let about = "Requests by method, route and status.";
        let requests = IntCounterVec::new(
            Opts::new("isms_http_requests_total", about),
            &["method", "route", "status"],
        );
        let about = "Seconds by method and route.";
        let buckets = vec![0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        let seconds = HistogramVec::new(
            HistogramOpts::new("isms_http_request_seconds", about).buckets(buckets),
            &["method", "route"],
        );
        let (requests, seconds) = (
            requests.map_err(Problem::internal)?,
            seconds.map_err(Problem::internal)?,
        );
        registry
            .register(Box::new(requests.clone()))
            .map_err(Problem::internal)?;
        registry
            .register(Box::new(seconds.clone()))
            .map_err(Problem::internal)?;
        Ok(Metrics {
            registry,
            requests,
            seconds,
        })
    }
    /// Counts a request. Its route is the template of its path (`/v1/risks/{id}`), so that there
    /// are as many series as operations, whatever is asked for.
    pub fn count(&self, method: &str, route: Option<&str>, status: &str, took: Duration) {
        let method = if ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"].contains(&method) {
            method
        } else {
            "other"
        };
        let route = route.unwrap_or("none");
        self.requests
            .with_label_values(&[method, route, status])
            .inc();
        self.seconds
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }
    /// As Prometheus reads them.
    pub fn text(&self, measures: Option<&Measures>) -> String {
        let mut bytes = Vec::new();
        if let Err(why) = TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            log::error!("metrics: {why}");
        }
        let mut text = String::from_utf8(bytes).unwrap_or_default();
        let mut say = |name: &str, kind: &str, about: &str, values: &[(&str, f64)]| {
            // Writing to a text does not fail.
            let _ = write!(text, "# HELP {name} {about}\n# TYPE {name} {kind}\n");
            for (labels, value) in values {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let build = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        say(
            "isms_build_info",
            "gauge",
            "The version that runs.",
            &[(&build, 1.0)],
        );
        let events: Vec<(String, f64)> = <Event as strum::VariantArray>::VARIANTS
            .iter()
            .map(|event| {
                (
                    format!("{{event=\"{}\"}}", event.name()),
                    event.count() as f64,
                )
            })
            .collect();
        let events: Vec<(&str, f64)> = events
            .iter()
            .map(|(labels, count)| (labels.as_str(), *count))
            .collect();
        say(
            "isms_security_events_total",
            "counter",
            "Logins, refusals and changes of rights.",
            &events,
        );
        if let Some(found) = measures {
            say(
                "isms_database_reads_total",
                "counter",
                "Reads of the database.",
                &[("", found.reads as f64)],
            );
            say(
                "isms_database_read_wait_seconds_total",
                "counter",
                "Seconds that reads waited for a connection.",
                &[("", found.read_waited)],
            );
            say(
                "isms_database_read_seconds_total",
                "counter",
                "Seconds that reads took then.",
                &[("", found.read_took)],
            );
            say(
                "isms_writes_total",
                "counter",
                "Writes, refused ones included.",
                &[("", found.writes as f64)],
            );
            say(
                "isms_write_seconds_total",
                "counter",
                "Seconds from the queue to the commit.",
                &[("", found.write_took)],
            );
            say(
                "isms_writes_in_progress",
                "gauge",
                "Writes that wait or are being done.",
                &[("", found.writing as f64)],
            );
            let entries = found.entries.map(|entries| ("", entries as f64));
            say(
                "isms_ledger_entries",
                "gauge",
                "Entries of all ledgers.",
                entries.as_slice(),
            );
            let (files, bytes) = (
                found.content.map(|(files, _)| ("", files as f64)),
                found.content.map(|(_, bytes)| ("", bytes as f64)),
            );
            say(
                "isms_content_files",
                "gauge",
                "Files of evidence; looked at every ten minutes.",
                files.as_slice(),
            );
            say(
                "isms_content_bytes",
                "gauge",
                "Their bytes.",
                bytes.as_slice(),
            );
        }
        text
    }
}

/// `GET /metrics`.
pub async fn read(metrics: Data<Metrics>, house: Data<House>) -> HttpResponse {
    let measures = house.measures().await;
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(metrics.text(Some(&measures)))
}
