//! Addresses out of a subnet's pools.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses as numbers, so that both families are counted alike.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The n-th address of a network; of one that is smaller the last.
pub(super) fn nth(network: IpNet, offset: u128) -> IpAddr {
    let wanted = number(network.network()).saturating_add(offset);
    address(wanted.min(number(network.broadcast())), network.network())
}

/// First and last address that hosts may have.
pub(super) fn host_range(network: IpNet) -> (IpAddr, IpAddr) {
    let last = match network {
        IpNet::V4(network) if network.prefix_len() < 31 => number(IpAddr::V4(network.broadcast())) - 1,
        network => number(network.broadcast()),
    };
    (nth(network, 1), address(last, network.network()))
}

/// What a range is without one address: one range, two, or none.
pub(super) fn without(range: (IpAddr, IpAddr), hole: Option<IpAddr>) -> Vec<(IpAddr, IpAddr)> {
    let Some(hole) = hole.filter(|hole| range.0 <= *hole && *hole <= range.1) else { return vec![range] };
    let mut ranges = Vec::new();
    if range.0 < hole {
        ranges.push((range.0, address(number(hole) - 1, hole)));
    }
    if hole < range.1 {
        ranges.push((address(number(hole) + 1, hole), range.1));
    }
    ranges
}

/// The addresses of a subnet that are taken, and the first one that may be free.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    taken: BTreeSet<IpAddr>,
}

impl Taken {
    /// The lowest free address of the pools.
    pub(super) fn next(&self, pools: &[(IpAddr, IpAddr)]) -> Option<IpAddr> {
        pools.iter().find_map(|(start, end)| {
            let mut candidate = number(*start);
            for taken in self.taken.range(*start..=*end) {
                if number(*taken) != candidate {
                    break;
                }
                candidate = candidate.checked_add(1)?;
            }
            (candidate <= number(*end)).then(|| address(candidate, *start))
        })
    }

    /// Takes an address; false if somebody has it.
    pub(super) fn take(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }

    /// Whether nobody has an address.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_address_is_next() {
        let network: IpNet = "10.0.0.0/29".parse().unwrap();
        let pools = without(host_range(network), Some(nth(network, 1)));
        assert_eq!(pools, [("10.0.0.2".parse().unwrap(), "10.0.0.6".parse().unwrap())]);
        let mut taken = Taken::default();
        for expected in ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"] {
            let next = taken.next(&pools).unwrap();
            assert_eq!(next.to_string(), expected);
            assert!(taken.take(next));
        }
        assert_eq!(taken.next(&pools), None);
        taken.release("10.0.0.4".parse().unwrap());
        assert_eq!(taken.next(&pools).unwrap().to_string(), "10.0.0.4");
    }

    #[test]
    fn a_gateway_in_the_middle_splits_the_pool() {
        let range = ("10.0.0.1".parse().unwrap(), "10.0.0.5".parse().unwrap());
        let pools = without(range, Some("10.0.0.3".parse().unwrap()));
        assert_eq!(pools.len(), 2);
        assert_eq!(pools[1].0.to_string(), "10.0.0.4");
    }
}
