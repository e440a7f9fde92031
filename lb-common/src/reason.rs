//! Every outcome of a packet that is not plain forwarding has a reason, and every reason a counter.

/// What becomes of a packet that is not plainly forwarded.
///
/// A packet that cannot be answered, or whose SYN nobody can send again, is dropped in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The host gets it, untouched.
    Pass,
    /// Nobody gets it.
    Drop,
    /// It goes back to its sender as a RST.
    Reset,
    /// The SYN that it answers goes to another server in its place.
    Retry,
    /// It was rewritten, and leaves.
    Forward,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal => $disposition:ident;)+) => {
        /// Why a packet was not plainly forwarded; the index of its counter in the `REASONS` map.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the CLI and in the metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence for a person.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }

            /// What becomes of the packet.
            #[inline(always)]
            #[must_use]
            pub const fn disposition(self) -> Disposition {
                match self { $(Self::$variant => Disposition::$disposition,)+ }
            }
        }
    };
}

reasons! {
    /// The frame is for another MAC address, or for all.
    OtherHost = "other_host" => Pass;
    /// Not IPv4: ARP, IPv6, a VLAN tag.
    NotIpv4 = "not_ipv4" => Pass;
    /// IPv4, but neither TCP nor ICMP.
    NotTcp = "not_tcp" => Pass;
    /// ICMP that is no error about a packet of ours.
    OtherIcmp = "other_icmp" => Pass;
    /// TCP to a port that is neither a frontend's nor in the NAT range.
    OtherPort = "other_port" => Pass;
    /// TCP to a frontend's port on another address.
    OtherAddress = "other_address" => Pass;
    /// TCP to the NAT range, but not from a server of ours.
    NotAServer = "not_a_server" => Pass;
    /// A later fragment, which has no ports.
    LaterFragment = "later_fragment" => Pass;
    /// Too short for its headers, and nothing says that it is ours.
    Truncated = "truncated" => Pass;
    /// No connection has this tuple and the packet opens none.
    NoConnection = "no_connection" => Pass;
    /// A SYN to a frontend that takes no new connections any more.
    Draining = "draining" => Pass;
    /// No server of the frontend is usable.
    NoServer = "no_server" => Reset;
    /// A SYN from a source that the frontend's allow list does not have.
    NotAllowed = "not_allowed" => Reset;
    /// A SYN from a source that opens connections faster than the frontend allows.
    SourceRate = "source_rate" => Drop;
    /// A SYN to a frontend that has all the connections that it may have; the client sends it again.
    FrontendFull = "frontend_full" => Drop;
    /// The connection was reset because its server is down.
    ServerDown = "server_down" => Reset;
    /// A server answers after its connection was given to another.
    LateAnswer = "late_answer" => Reset;
    /// A server refuses a connection.
    Refused = "refused" => Retry;
    /// A server knows an older connection by the same addresses and ports.
    StalePort = "stale_port" => Retry;
    /// A first fragment for us; whole packets only.
    FirstFragment = "first_fragment" => Drop;
    /// IP options on a packet for us.
    IpOptions = "ip_options" => Drop;
    /// Lengths of a packet for us that contradict each other.
    Malformed = "malformed" => Drop;
    /// TCP flags that no TCP sends.
    BadFlags = "bad_flags" => Drop;
    /// The packet came with its last hop spent.
    TtlExpired = "ttl_expired" => Drop;
    /// A SYN from a source MAC address that no answer could go to.
    BadSourceMac = "bad_source_mac" => Drop;
    /// A SYN from an address that no packet can come from: loopback, a group, everybody.
    BadSource = "bad_source" => Drop;
    /// The next hop of the server is not known.
    NoNextHop = "no_next_hop" => Drop;
    /// All slots that were tried are in use.
    NoSlot = "no_slot" => Drop;
    /// Both buckets of the tuple are full of live connections.
    IndexFull = "index_full" => Drop;
    /// Another CPU opened the same connection at the same moment.
    LostRace = "lost_race" => Drop;
    /// An ICMP error about a packet that nobody has under way.
    ImplausibleIcmp = "implausible_icmp" => Drop;
    /// An ICMP error that a SYN does not reach its server.
    UnreachableSyn = "unreachable_syn" => Drop;
    /// An ICMP error about a packet to a server, translated for the client.
    IcmpToClient = "icmp_to_client" => Forward;
    /// An ICMP error about a packet to a client, translated for the server.
    IcmpToServer = "icmp_to_server" => Forward;
}

impl Reason {
    /// A result as a number, which is all that a global function of a BPF program can return.
    #[inline(always)]
    #[must_use]
    pub const fn to_number(result: Result<(), Self>) -> u32 {
        match result {
            Ok(()) => REASONS,
            Err(reason) => reason as u32,
        }
    }

    /// The result that [`Self::to_number`] has made a number, of a function that fails for one of these
    /// reasons.
    ///
    /// # Errors
    ///
    /// The one of the reasons whose number it is, and the first for what is no number of theirs: a failure stays one.
    #[inline(always)]
    pub fn from_number<const N: usize>(number: u32, reasons: [Self; N]) -> Result<(), Self> {
        if number == REASONS {
            return Ok(());
        }
        Err(reasons.into_iter().find(|reason| *reason as u32 == number).unwrap_or(reasons[0]))
    }

    /// Whether it is about traffic of the host's that was never the balancer's.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_others(self) -> bool {
        matches!(
            self,
            Self::OtherHost
                | Self::NotIpv4
                | Self::NotTcp
                | Self::OtherIcmp
                | Self::OtherPort
                | Self::OtherAddress
                | Self::NotAServer
                | Self::LaterFragment
                | Self::Truncated
        )
    }
}

/// Elements of the `REASONS` map.
pub const REASONS: u32 = Reason::ALL.len() as u32;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_stands_for_a_result() {
        for reason in [Reason::NotAllowed, Reason::FrontendFull, Reason::SourceRate] {
            let number = Reason::to_number(Err(reason));
            let reasons = [Reason::NotAllowed, Reason::FrontendFull, Reason::SourceRate];
            assert_eq!(Reason::from_number(number, reasons), Err(reason));
        }
        let reasons = [Reason::OtherHost, Reason::NotAllowed];
        assert_eq!(Reason::from_number(Reason::to_number(Ok(())), reasons), Ok(()));
        let unknown = Reason::to_number(Err(Reason::SourceRate));
        assert_eq!(Reason::from_number(unknown, reasons), Err(Reason::OtherHost), "a failure all the same");
    }

    #[test]
    fn counters_and_names_are_unique() {
        let names: HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }
}
