//! Counters as the kernel writes them.

use crate::snmp::counter;

#[test]
fn a_counter_is_found_by_group_and_name() {
    let text = "\
IpExt: InNoRoutes InBcastOctets InOctets
IpExt: 0 62 990
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 14527
";
    assert_eq!(counter(text, "Ip", "InReceives"), Some(14_527));
    assert_eq!(counter(text, "IpExt", "InOctets"), Some(990));
    assert_eq!(counter(text, "Ip", "InOctets"), None);
    assert_eq!(counter(text, "Tcp", "InSegs"), None);
}
