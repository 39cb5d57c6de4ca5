//! Prometheus metrics of the process.
use crate::config::Audience;
use crate::core::Problem;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};
use std::net::SocketAddr;
use std::time::Duration;

/// The counters.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    audience: Audience,
}

impl Metrics {
    /// New ones, for an audience.
    pub fn new(audience: Audience) -> Result<Self, Problem> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(Opts::new("isms_http_requests_total", "Requests by method and status."), &["method", "status"]);
        let buckets = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        let seconds =
            HistogramVec::new(HistogramOpts::new("isms_http_request_seconds", "Seconds by method.").buckets(buckets), &["method"]);
        let (requests, seconds) = (requests.map_err(Problem::internal)?, seconds.map_err(Problem::internal)?);
        registry.register(Box::new(requests.clone())).map_err(Problem::internal)?;
        registry.register(Box::new(seconds.clone())).map_err(Problem::internal)?;
        Ok(Metrics { registry, requests, seconds, audience })
    }
    /// Counts a request.
    pub fn count(&self, method: &str, status: &str, took: Duration) {
        let method = if ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"].contains(&method) { method } else { "other" };
        self.requests.with_label_values(&[method, status]).inc();
        self.seconds.with_label_values(&[method]).observe(took.as_secs_f64());
    }
    /// As Prometheus reads them; `None` for those who may not.
    pub fn text(&self, peer: Option<SocketAddr>) -> Option<Vec<u8>> {
        let may = match self.audience {
            Audience::Off => false,
            Audience::Loopback => peer.is_none_or(|peer| peer.ip().is_loopback()),
            Audience::On => true,
        };
        let mut text = Vec::new();
        (may && TextEncoder::new().encode(&self.registry.gather(), &mut text).is_ok()).then_some(text)
    }
}
