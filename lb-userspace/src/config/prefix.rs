//! Prefixes of IPv4 addresses.

use std::fmt;
use std::net::Ipv4Addr;

use toml::de::DeValue;

use super::value::{Parsed, refuse, string};

/// All addresses that begin with the same bits, as `10.4.0.0/20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: Ipv4Addr,
    length: u8,
}

impl Prefix {
    /// The most bits that a prefix can have.
    const BITS: u8 = 32;

    /// The addresses whose first `length` bits are those of `address`; none if a prefix cannot be so
    /// long.
    #[must_use]
    pub fn around(address: Ipv4Addr, length: u8) -> Option<Self> {
        let address = Ipv4Addr::from_bits(address.to_bits() & mask(length)?);
        Some(Self { address, length })
    }

    /// The lowest of its addresses: its bits, and zeros after them.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// How many bits its addresses have in common, from 0 to 32.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether an address begins with its bits.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::around(address, self.length) == Some(self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The first `length` of 32 bits.
fn mask(length: u8) -> Option<u32> {
    let rest = Prefix::BITS.checked_sub(length)?;
    Some(u32::MAX.checked_shl(rest.into()).unwrap_or(0))
}

/// A prefix; an address alone is one of all its bits.
pub(super) fn read(value: &DeValue<'_>) -> Parsed<Prefix> {
    let expected = "expected an IPv4 prefix such as \"10.4.0.0/20\"";
    let text = string(value, "an IPv4 prefix such as \"10.4.0.0/20\"")?;
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        if address.contains(':') {
            return refuse("IPv6 is not supported yet", "use an IPv4 prefix");
        }
        return refuse(expected, "write four numbers from 0 to 255, \"/\" and the number of bits");
    };
    let length = length.map_or(Ok(Prefix::BITS), |length| length.parse().map_err(drop));
    let Some(prefix) = length.ok().and_then(|length| Prefix::around(address, length)) else {
        return refuse(expected, "write a number of bits from 0 to 32 after the \"/\"");
    };
    if prefix.address != address {
        return refuse(
            format!("has bits beyond its first {}", prefix.length),
            format!("write \"{prefix}\" for the network, or \"{address}\" for this one address"),
        );
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        read(&DeValue::String(text.into())).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"))
    }

    proptest! {
        #[test]
        fn addresses_with_the_same_first_bits_are_inside(address: u32, other: u32, length in 0u8..=32) {
            let prefix = Prefix::around(address.into(), length).expect("at most 32 bits");
            let same = (address ^ other).leading_zeros() >= u32::from(length);
            prop_assert_eq!(prefix.contains(other.into()), same);
            prop_assert!(prefix.contains(prefix.address()));
            prop_assert_eq!(self::prefix(&prefix.to_string()), prefix);
        }
    }

    #[test]
    fn an_address_is_a_prefix_of_all_its_bits() {
        assert_eq!(prefix("10.4.0.11"), prefix("10.4.0.11/32"));
        assert_eq!(prefix("0.0.0.0/0").length(), 0);
        assert_eq!(Prefix::around(Ipv4Addr::UNSPECIFIED, 33), None);
    }
}
