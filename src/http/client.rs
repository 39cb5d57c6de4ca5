//! Who sends a request, as far as the network knows.
use actix_web::HttpRequest;
use std::net::IpAddr;

/// The address that a request comes from.
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}
