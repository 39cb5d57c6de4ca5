//! Where a request comes from, for what is counted by source.
use std::net::IpAddr;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub IpAddr);

impl Source {
    /// What counts as one: an IPv4 address, or the /64 that one host has of IPv6.
    pub fn network(self) -> u128 {
        network(self.0)
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one host has of IPv6.
pub fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX),
    }
}
