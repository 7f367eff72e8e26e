//! Which addresses endpoints may have. A service that sends requests wherever strangers say must not be sent to its neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What is not the public Internet: the special-purpose registries of IANA, and multicast.
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carriers' own
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local: where clouds keep their metadata
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, and broadcast
    "::/128",          // unspecified
    "::1/128",         // loopback
    "64:ff9b:1::/48",  // translation, local
    "100::/64",        // discarded
    "2001::/23",       // protocol assignments, Teredo among them
    "2001:db8::/32",   // documentation
    "3fff::/20",       // documentation
    "5f00::/16",       // segment routing
    "fc00::/7",        // private
    "fe80::/10",       // link-local
    "fec0::/10",       // site-local, once
    "ff00::/8",        // multicast
];

/// The rule, with exceptions.
#[derive(Debug, Clone, Default)]
pub struct Reachable {
    refused: Vec<IpNet>,
    allowed: Vec<IpNet>,
}

impl Reachable {
    /// The public Internet, and these networks.
    #[must_use]
    pub fn public_and(allowed: Vec<IpNet>) -> Self {
        Self { refused: NOT_PUBLIC.iter().filter_map(|network| network.parse().ok()).collect(), allowed }
    }

    /// Everything: for what the operator has configured.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether a request may go there.
    #[must_use]
    pub fn includes(&self, address: IpAddr) -> bool {
        let address = embedded(address).map_or(address, IpAddr::V4);
        let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        within(&self.allowed) || !within(&self.refused)
    }
}

/// The IPv4 address that packets to this one would end up at: mapped, compatible, translated (NAT64) or tunnelled (6to4).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let ipv4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(ipv4(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if address != Ipv6Addr::LOCALHOST && address != Ipv6Addr::UNSPECIFIED => {
            Some(ipv4(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(reachable: &Reachable, address: &str) -> bool {
        reachable.includes(address.parse().unwrap())
    }

    #[test]
    fn every_network_of_the_list_is_one() {
        assert_eq!(Reachable::public_and(Vec::new()).refused.len(), NOT_PUBLIC.len());
    }

    #[test]
    fn neighbours_are_refused_in_every_spelling() {
        let reachable = Reachable::public_and(Vec::new());
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!includes(&reachable, address), "{address}");
        }
    }

    #[test]
    fn the_internet_is_reached() {
        let reachable = Reachable::public_and(Vec::new());
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:1.1.1.1"] {
            assert!(includes(&reachable, address), "{address}");
        }
    }

    #[test]
    fn the_operator_may_allow_more() {
        let reachable = Reachable::public_and(vec!["10.1.0.0/16".parse().unwrap()]);
        assert!(includes(&reachable, "10.1.2.3") && includes(&reachable, "::ffff:10.1.2.3"));
        assert!(!includes(&reachable, "10.2.0.1") && !includes(&reachable, "127.0.0.1"));
        assert!(includes(&Reachable::everything(), "127.0.0.1"));
    }
}
