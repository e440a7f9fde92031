//! The kernel's counters of a network, as `/proc/net/snmp` and `/proc/net/netstat` have them: a line of
//! names and a line of numbers for each group.

/// A counter of a group.
pub fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(": ").filter(|line| line.0 == group));
    let ((_, names), (_, numbers)) = (lines.next()?, lines.next()?);
    let mut columns = names.split_whitespace().zip(numbers.split_whitespace());
    columns.find(|column| column.0 == name)?.1.parse().ok()
}
