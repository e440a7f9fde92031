//! What the interface is, how the program would be attached to it, and what that does to other traffic.

use std::fs;

use super::Finding;
use super::Severity::{Fatal, Note, Ok};
use crate::dataplane::attach::{Choice, Mode, WantedMode, choose};
use crate::neighbours::{self, Interface, Merging};

/// The MTU of Ethernet.
const ETHERNET: u32 = 1500;

/// What has to fit into a page beside a packet where a driver has no multi-buffer XDP: the room that XDP keeps
/// before and behind a frame, and the frame's own header.
const BESIDE: u64 = 598;

/// The least that IPv6, and so most paths, carry.
const NARROW: u32 = 1280;

/// There is no such interface, or none of Ethernet.
pub(super) fn unusable(error: &neighbours::Error) -> Finding {
    Finding::fatal("interface", error.to_string(), "set `interface` to one of those that `ip link` shows")
}

/// Whether it works.
pub(crate) fn link(interface: &Interface) -> Finding {
    const NAME: &str = "interface";
    let Interface { name, mac, mtu, .. } = interface;
    if !interface.is_up {
        return Finding::fatal(
            NAME,
            format!("interface {name} is down"),
            format!("bring it up: `ip link set dev {name} up`"),
        );
    }
    if !interface.has_carrier {
        return Finding::warning(
            NAME,
            format!("{name} has no carrier: nothing comes in, and servers are not checked meanwhile"),
            "connect its cable, or turn on what is at the other end",
        );
    }
    Finding::ok(NAME, format!("{name} is up, {mac}, MTU {mtu}"))
}

/// What it is driven by.
pub(super) fn driver(interface: &Interface) -> Finding {
    let Interface { name, .. } = interface;
    let driver = interface.driver.as_deref().unwrap_or("a driver without a name");
    let native = match interface.has_native_xdp {
        Some(true) => "which takes native XDP",
        Some(false) => "which does not take native XDP",
        None => "of which only an attempt tells whether it takes native XDP",
    };
    Finding::ok("driver", format!("{name} is driven by {driver}, {native}"))
}

/// Another's XDP program on it, beside which there can be no other.
pub(super) fn other_xdp(interface: &Interface, wanted: WantedMode, ours: &[u32]) -> Finding {
    const NAME: &str = "xdp-program";
    let name = &interface.name;
    let other = interface.xdp.filter(|xdp| xdp.program.is_none_or(|program| !ours.contains(&program)));
    let Some(xdp) = other else {
        return Finding::ok(NAME, format!("no other XDP program is on {name}"));
    };
    let (mode, program) = (xdp.mode.name(), xdp.program.map_or("unknown".to_owned(), |id| id.to_string()));
    let reason = format!("interface {name} has another XDP program attached ({mode}, id {program})");
    let remedy = format!(
        "detach it (`ip link set dev {name} xdp off`), set `mode = \"tc\"`, or choose another interface"
    );
    // In TC, programs run one after the other, and `auto` finds a mode that is free.
    match wanted {
        WantedMode::Only(Mode::Native | Mode::Generic) => Finding::fatal(NAME, reason, remedy),
        _ => Finding::note(NAME, format!("{reason}: it sees packets before xlb does, which takes TC")),
    }
}

/// Others' programs in TC, which see what ours passes.
pub(super) fn other_tc(interface: &Interface, others: usize) -> Finding {
    const NAME: &str = "tc-programs";
    let name = &interface.name;
    match others {
        0 => Finding::ok(NAME, format!("no other program is at the ingress of {name}")),
        _ => Finding::note(
            NAME,
            format!(
                "{others} other programs or filters are at the ingress of {name}: they see what xlb passes, and nothing \
                 of what it forwards"
            ),
        ),
    }
}

/// How the program would be attached, and whether it can be.
pub(super) fn mode(interface: &Interface, wanted: WantedMode) -> Finding {
    const NAME: &str = "mode";
    let name = &interface.name;
    if wanted == WantedMode::Only(Mode::Native) && interface.has_native_xdp == Some(false) {
        return Finding::fatal(
            NAME,
            format!("the driver of {name} does not offer native XDP"),
            "set `mode = \"tc\"`, or `mode = \"auto\"` to take what there is",
        );
    }
    let Choice { first, reason, .. } = choose(wanted, interface);
    Finding::ok(NAME, format!("{name} in mode {first}: {reason}"))
}

/// What becomes of the host's other traffic on the interface.
pub(super) fn other_traffic(interface: &Interface, mode: Mode) -> Finding {
    const NAME: &str = "other-traffic";
    let name = &interface.name;
    match mode {
        Mode::Generic => Finding::warning(
            NAME,
            format!(
                "generic XDP copies every packet that comes to {name}, and turns GRO off for all of them"
            ),
            "set `mode = \"tc\"`, which costs other traffic next to nothing",
        ),
        Mode::Native if !interface.leaves_checksums() => Finding::note(
            NAME,
            format!(
                "most drivers set the card up anew for native XDP: {name} is without a link for a moment when the \
                 program comes and goes"
            ),
        ),
        _ => Finding::ok(NAME, format!("passes, and GRO on {name} stays as it is")),
    }
}

/// What is merged before the program sees it.
pub(super) fn merging(interface: &Interface, mode: Mode, merging: Merging) -> Finding {
    const NAME: &str = "offloads";
    let name = &interface.name;
    if merging.lro == Some(true) {
        return Finding::warning(
            NAME,
            format!("LRO is on: {name} merges packets for good, and they cannot be forwarded as they came"),
            format!("`ethtool -K {name} lro off`"),
        );
    }
    if mode == Mode::Tc && merging.gro == Some(false) {
        return Finding::note(NAME, format!("GRO is off on {name}: the program runs once for each packet"))
            .with_remedy(format!("`ethtool -K {name} gro on` saves most of that"));
    }
    Finding::ok(NAME, format!("nothing on {name} is in the way"))
}

/// Checksums that a peer on the same machine has left to a network card that does not exist.
pub(crate) fn checksums(interface: &Interface, mode: Option<Mode>) -> Finding {
    const NAME: &str = "checksums";
    let driver = interface.driver.as_deref().unwrap_or("unknown driver");
    let words = mode.map_or_else(|| "no mode".to_owned(), |mode| format!("{mode} mode"));
    if interface.leaves_checksums() && mode.is_some_and(Mode::leaves_checksums) {
        return Finding::warning(
            NAME,
            format!(
                "{driver} in {words}: frames from this machine's other guests may come with unfinished checksums and \
                 be forwarded so"
            ),
            "set `mode = \"tc\"`, or turn that off at their end (`ethtool -K DEV tx off`)",
        );
    }
    Finding::ok(NAME, format!("{driver} in {words}"))
}

/// Whether frames have the size that the others on the network expect, and fit into a page of this many bytes.
pub(super) fn mtu(interface: &Interface, mode: Mode, page: u64) -> Finding {
    const NAME: &str = "mtu";
    let Interface { name, mtu, .. } = interface;
    let usual = format!("`ip link set dev {name} mtu {ETHERNET}`");
    let usual_if_it_may = format!("{usual}, if its network carries that");
    let one_page = page - BESIDE;
    if u64::from(*mtu) > one_page && mode == Mode::Native {
        let reason =
            format!("{name} has an MTU of {mtu}, and most drivers take native XDP only up to {one_page}");
        return Finding::warning(NAME, reason, format!("{usual}, or set `mode = \"tc\"`"));
    }
    if *mtu < NARROW {
        let reason =
            format!("{name} has an MTU of {mtu}: larger packets of clients and servers do not get through");
        return Finding::warning(NAME, reason, usual_if_it_may);
    }
    if *mtu < ETHERNET {
        let reason = format!("{name} has an MTU of {mtu}: connections are held to segments that fit");
        return Finding::note(NAME, reason).with_remedy(usual_if_it_may);
    }
    Finding::ok(NAME, format!("{mtu} on {name}"))
}

/// Strict reverse path filtering, which only clients on this host can meet: forwarded packets are gone
/// before the kernel filters.
pub(crate) fn strict_filter(interface: &str, setting: Option<u8>) -> Option<Finding> {
    const NAME: &str = "rp_filter";
    Some(match setting? {
        1 => Finding::note(
            NAME,
            format!(
                "strict on {interface}: no matter to forwarded connections, but a server that answers this host's \
                 own clients by another interface than they use is not heard"
            ),
        ),
        _ => Finding::ok(NAME, format!("not strict on {interface}")),
    })
}

/// What is in force of reverse path filtering.
pub(crate) fn rp_filter(interface: &str) -> Option<u8> {
    let value = |name: &str| -> Option<u8> {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    // The kernel takes the larger one; 1 is strict, 2 is loose.
    Some(value("all")?.max(value(interface)?))
}

/// An interface that no configuration names: what it is, and what `auto` would do.
pub(super) fn candidate(interface: &Interface) -> Finding {
    let choice = choose(WantedMode::Auto, interface);
    let result = if interface.is_up { Ok } else { Note };
    Finding { result, ..Finding::ok("interface", format!("{}: {choice}", interface.name)) }
}

/// The findings that keep `xlb run` from starting.
pub(super) fn essential(interface: &Interface, wanted: WantedMode, ours: &[u32]) -> Vec<Finding> {
    [link(interface), other_xdp(interface, wanted, ours), mode(interface, wanted)]
        .into_iter()
        .filter(|finding| finding.result == Fatal)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use lb_common::net::Mac;

    use super::super::Severity::{self, Warning};
    use super::*;
    use crate::neighbours::{AttachedXdp, XdpMode};

    /// One on which all is well.
    pub fn interface() -> Interface {
        Interface {
            index: 2,
            name: "eth0".into(),
            mac: Mac([2, 0, 0, 0, 0, 10]),
            mtu: 1500,
            addresses: vec![(std::net::Ipv4Addr::new(198, 18, 0, 10), 24)],
            is_up: true,
            has_carrier: true,
            driver: Some("bcmgenet".into()),
            has_native_xdp: Some(false),
            xdp: None,
        }
    }

    fn with(change: impl FnOnce(&mut Interface)) -> Interface {
        let mut changed = interface();
        change(&mut changed);
        changed
    }

    #[test]
    fn an_interface_that_is_down_is_fatal_and_one_without_a_cable_is_not() {
        assert_eq!(link(&interface()).result, Ok);
        let down = link(&with(|interface| interface.is_up = false));
        assert_eq!(down.result, Fatal);
        assert_eq!(down.to_string(), "interface eth0 is down; bring it up: `ip link set dev eth0 up`");
        assert_eq!(link(&with(|interface| interface.has_carrier = false)).result, Warning);
    }

    #[test]
    fn the_driver_says_what_it_takes() {
        assert!(driver(&interface()).reason.contains("bcmgenet, which does not take native XDP"));
        for (native, words) in [(Some(true), "which takes native"), (None, "only an attempt tells")] {
            assert!(driver(&with(|interface| interface.has_native_xdp = native)).reason.contains(words));
        }
    }

    #[test]
    fn another_xdp_program_is_fatal_where_there_can_be_only_one() {
        let occupied = with(|interface| {
            interface.xdp = Some(AttachedXdp { program: Some(42), mode: XdpMode::Native });
            interface.has_native_xdp = Some(true);
        });
        let result = |wanted, ours: &[u32]| other_xdp(&occupied, wanted, ours).result;
        assert_eq!(result(WantedMode::Only(Mode::Native), &[]), Fatal);
        assert_eq!(result(WantedMode::Only(Mode::Generic), &[41]), Fatal);
        assert_eq!(result(WantedMode::Only(Mode::Native), &[41, 42]), Ok);
        assert_eq!(result(WantedMode::Only(Mode::Tc), &[]), Note);
        assert_eq!(result(WantedMode::Auto, &[]), Note);
        assert_eq!(other_xdp(&interface(), WantedMode::Auto, &[]).result, Ok);
        assert_eq!(essential(&occupied, WantedMode::Only(Mode::Native), &[]).len(), 1);
        assert_eq!(essential(&occupied, WantedMode::Auto, &[]).len(), 0);
    }

    #[test]
    fn native_mode_needs_a_driver_for_it() {
        let finding = mode(&interface(), WantedMode::Only(Mode::Native));
        assert_eq!(finding.result, Fatal);
        assert!(finding.to_string().contains("does not offer native XDP; set `mode = \"tc\"`"), "{finding}");
        assert!(mode(&interface(), WantedMode::Auto).reason.starts_with("eth0 in mode tc: the driver"));
        assert_eq!(mode(&with(|i| i.has_native_xdp = None), WantedMode::Only(Mode::Native)).result, Ok);
    }

    #[test]
    fn modes_differ_in_what_they_cost_others() {
        let result = |interface: &Interface, mode| other_traffic(interface, mode).result;
        assert_eq!(result(&interface(), Mode::Tc), Ok);
        assert_eq!(result(&interface(), Mode::Native), Note);
        assert_eq!(result(&with(|i| i.driver = Some("veth".into())), Mode::Native), Ok);
        assert_eq!(result(&interface(), Mode::Generic), Warning);
    }

    #[test]
    fn merging_for_good_is_bad_and_no_merging_is_dear() {
        let result =
            |mode, gro, lro| -> Severity { merging(&interface(), mode, Merging { gro, lro }).result };
        assert_eq!(result(Mode::Tc, Some(true), Some(false)), Ok);
        assert_eq!(result(Mode::Tc, None, None), Ok);
        assert_eq!(result(Mode::Tc, Some(false), Some(false)), Note);
        assert_eq!(result(Mode::Native, Some(false), Some(false)), Ok);
        assert_eq!(result(Mode::Tc, Some(true), Some(true)), Warning);
    }

    #[test]
    fn unfinished_checksums_are_a_matter_of_driver_and_mode() {
        let result = |driver: &str, mode| {
            checksums(&with(|interface| interface.driver = Some(driver.to_owned())), Some(mode)).result
        };
        assert_eq!(result("bcmgenet", Mode::Native), Ok);
        assert_eq!(result("veth", Mode::Native), Warning);
        assert_eq!(result("virtio_net", Mode::Generic), Warning);
        assert_eq!(result("bcmgenet", Mode::Tc), Ok);
        assert_eq!(result("veth", Mode::Tc), Ok);
        assert_eq!(checksums(&with(|i| i.driver = Some("veth".into())), None).result, Ok);
    }

    #[test]
    fn frames_may_be_too_long_or_too_short() {
        let of_page = |length, mode, page| mtu(&with(|interface| interface.mtu = length), mode, page);
        let result = |length, mode| of_page(length, mode, 4096).result;
        assert_eq!(result(1500, Mode::Native), Ok);
        assert_eq!(result(9000, Mode::Tc), Ok);
        assert_eq!(result(3498, Mode::Native), Ok);
        assert_eq!(result(3499, Mode::Native), Warning);
        assert_eq!(of_page(9000, Mode::Native, 16_384).result, Ok);
        assert_eq!(result(1400, Mode::Tc), Note);
        assert_eq!(result(576, Mode::Tc), Warning);
        for short in [576, 1400] {
            let remedy = of_page(short, Mode::Tc, 4096).remedy.expect("a remedy");
            assert!(remedy.ends_with("mtu 1500`, if its network carries that"), "{remedy}");
        }
    }

    #[test]
    fn strict_filtering_and_other_programs_are_notes() {
        assert_eq!(strict_filter("eth0", Some(1)).expect("a finding").result, Note);
        assert_eq!(strict_filter("eth0", Some(2)).expect("a finding").result, Ok);
        assert_eq!(strict_filter("eth0", None), None);
        assert_eq!(other_tc(&interface(), 0).result, Ok);
        assert_eq!(other_tc(&interface(), 2).result, Note);
        assert_eq!(candidate(&interface()).result, Ok);
        assert_eq!(candidate(&with(|interface| interface.is_up = false)).result, Note);
    }
}
