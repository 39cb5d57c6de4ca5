//! Who is at the other end: the address of the connection, or, behind a proxy that the settings
//! name, what the proxy says of it.
use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Data;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network like 10.0.0.0/8 or 2001:db8::/32");
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let digits = |length: &str| {
            !length.is_empty()
                && length.len() <= 3
                && length.bytes().all(|byte| byte.is_ascii_digit())
        };
        let length: Option<u32> = match length {
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|_| digits(text))
                    .ok_or_else(wrong)?,
            ),
            None => None,
        };
        let (address, length) = match (address, address.to_canonical()) {
            // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
            (IpAddr::V6(_), mapped @ IpAddr::V4(_)) => (
                mapped,
                length
                    .map(|length| length.checked_sub(96).ok_or_else(wrong))
                    .transpose()?,
            ),
            (address, _) => (address, length),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        let network = Network { address, length };
        match length <= most {
            false => Err(wrong()),
            true if bits(address) & !network.mask() != 0 => Err(format!(
                "`{text}` has bits after the first {length}; write the network's own address"
            )),
            true => Ok(network),
        }
    }
    /// The bits that count, of 128; an IPv4 address has the upper 32.
    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.length).unwrap_or(0)
    }
    fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && (bits(self.address) ^ bits(address)) & self.mask() == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// From `10.0.0.0/8, 2001:db8::/32`; empty is none.
    pub fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Network::read)
            .collect::<Result<_, _>>()
            .map(Proxies)
    }
    fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
    /// The client behind a connection. From the right, each proxy of ours has appended whom it
    /// heard: the first address that is none of ours is the client. What stands further left anyone
    /// may have written. An entry that is no address ends it: then the connection's own counts.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.hold(peer) {
            return peer;
        }
        let lines: Vec<_> = headers.get_all(FORWARDED).collect();
        let mut client = peer;
        for line in lines.into_iter().rev() {
            let Ok(line) = line.to_str() else { return peer };
            for entry in line.rsplit(',') {
                let Some(address) = address(entry.trim()) else {
                    return peer;
                };
                client = address;
                if !self.hold(address) {
                    return client;
                }
            }
        }
        client
    }
}

/// `203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inner| inner.contains(':'))
        .unwrap_or(entry);
    let address = bare
        .parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|both| both.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The address that a request comes from.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    match request.app_data::<Data<Proxies>>() {
        Some(proxies) => proxies.client(peer, request.headers()),
        None => peer.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn client(proxies: &str, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                FORWARDED,
                HeaderValue::from_bytes(line.as_bytes()).unwrap_or_else(|e| panic!("{e}")),
            );
        }
        let proxies = Proxies::read(proxies).unwrap_or_else(|why| panic!("{why}"));
        proxies
            .client(peer.parse().unwrap_or_else(|e| panic!("{e}")), &headers)
            .to_string()
    }

    #[test]
    fn only_a_known_proxy_is_believed() {
        let ours = "10.0.0.0/8, 2001:db8::/32, 192.0.2.7";
        for (peer, lines, wanted) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            ("2001:db8:9::1", &["2001:0db9::1"], "2001:db9::1"),
            // What the client itself sent stands on the left, and does not count.
            ("10.1.2.3", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["rubbish, 198.51.100.1"], "198.51.100.1"),
            // Through several of ours, in one line or in more.
            (
                "10.1.2.3",
                &["198.51.100.1, 10.9.9.9, 192.0.2.7"],
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                &["198.51.100.1", "10.9.9.9 ,192.0.2.7"],
                "198.51.100.1",
            ),
            ("10.1.2.3", &["10.4.4.4, 10.5.5.5"], "10.4.4.4"),
            ("10.1.2.3", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.1.2.3", &["[2001:db9::1]:4711"], "2001:db9::1"),
            ("10.1.2.3", &["[2001:db9::1]"], "2001:db9::1"),
            ("10.1.2.3", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // What is no address is the proxy's fault, and counts as the proxy.
            ("10.1.2.3", &["unknown"], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1, "], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1, 10.9.9.9, _hidden"], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1, b\u{fc}"], "10.1.2.3"),
            ("10.1.2.3", &[""], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1 10.9.9.9"], "10.1.2.3"),
            ("10.1.2.3", &["[198.51.100.1]"], "10.1.2.3"),
        ] {
            assert_eq!(client(ours, peer, lines), wanted, "{peer} {lines:?}");
        }
        assert_eq!(client("", "10.1.2.3", &["198.51.100.1"]), "10.1.2.3");
        assert_eq!(
            client("0.0.0.0/0", "203.0.113.9", &["2001:db9::1"]),
            "2001:db9::1"
        );
        assert_eq!(
            client("::ffff:10.0.0.0/104", "10.1.2.3", &["198.51.100.1"]),
            "198.51.100.1"
        );
    }

    #[test]
    fn a_mistyped_network_is_refused() {
        for bad in [
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0",
            "::/129",
            "2001:db8::1/32",
            "proxy.example",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            "::ffff:10.0.0.0/8",
        ] {
            assert!(Proxies::read(bad).is_err(), "{bad}");
        }
    }
}
