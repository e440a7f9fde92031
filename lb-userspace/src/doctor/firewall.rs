//! What the host's packet filter does that packets for frontends do not meet, and other NAT on the host.

use super::Finding;
use super::nft::{Chain, Filter, Rule, Ruleset, ports};
use crate::config::{Config, PortRange};

/// What has to be said of the packet filter.
pub(super) fn checks(filter: &Filter, legacy: &[String], config: Option<&Config>) -> Vec<Finding> {
    let unseen = |reason| [unseen(reason)].into_iter().chain(legacy_tables(legacy)).collect();
    let ruleset = match filter {
        Filter::Seen(ruleset) => ruleset,
        Filter::NoTool => {
            return unseen("there is no nft to see with whether this host filters or translates".to_owned());
        }
        Filter::Failed(why) => return unseen(format!("`nft -j list ruleset` fails: {why}")),
    };
    let unlisted: Vec<&str> = config
        .iter()
        .flat_map(|config| &config.frontends)
        .filter(|frontend| frontend.allow.is_empty())
        .map(|frontend| frontend.name.as_str())
        .collect();
    let mut findings = vec![input(ruleset, config.is_some(), &unlisted)];
    let nat = config.map_or(PortRange::DEFAULT_NAT, |config| config.nat_ports);
    findings.extend(other_nat(ruleset, nat));
    findings.extend(legacy_tables(legacy));
    findings
}

const NAME: &str = "firewall";

fn unseen(reason: String) -> Finding {
    Finding::note(NAME, reason).with_remedy("`apt install nftables`, and look as root")
}

fn legacy_tables(legacy: &[String]) -> Option<Finding> {
    if legacy.is_empty() {
        return None;
    }
    let tables = legacy.join(", ");
    Some(
        Finding::note(
            NAME,
            format!("iptables has tables of its older kind, which nft does not show: {tables}"),
        )
        .with_remedy("look at them with `iptables-legacy-save`: packets for frontends do not meet INPUT"),
    )
}

/// Rules that packets for frontends would meet if xlb were a program that listens.
fn input(ruleset: &Ruleset, has_config: bool, unlisted: &[&str]) -> Finding {
    let chains = ruleset.chains.iter().filter(|chain| is_on_the_way_in(chain));
    let blocking: Vec<String> = chains.filter_map(|chain| blocking(ruleset, chain)).collect();
    if blocking.is_empty() {
        return Finding::ok(NAME, "no rule of this host's would drop packets that come in");
    }
    let reason = format!("packets for frontends do not meet {}", blocking.join(", nor "));
    if has_config && unlisted.is_empty() {
        return Finding::ok(NAME, format!("{reason}, and `allow` says who may connect"));
    }
    let whose = if has_config { format!(" of {}", unlisted.join(", ")) } else { String::new() };
    Finding::warning(
        NAME,
        reason,
        format!(
            "say in `[[frontend]]`{whose} who may connect: `allow = [\"10.0.0.0/8\"]`, with your networks"
        ),
    )
}

fn is_on_the_way_in(chain: &Chain) -> bool {
    let is_hooked = matches!(chain.hook.as_deref(), Some("input" | "prerouting" | "ingress"));
    is_hooked
        && chain.kind.as_deref() == Some("filter")
        && matches!(chain.family.as_str(), "ip" | "inet" | "netdev")
}

/// What of a chain ends packets, in words.
fn blocking(ruleset: &Ruleset, chain: &Chain) -> Option<String> {
    let rules = ruleset.reached(chain).into_iter().filter(|rule| rule.blocks()).count();
    let policy = chain.policy.as_deref().unwrap_or("accept");
    let Chain { family, table, name, .. } = chain;
    match (policy, rules) {
        ("drop", _) => Some(format!("the policy drop of the chain {family} {table} {name}")),
        (_, 0) => None,
        (_, 1) => Some(format!("a rule of the chain {family} {table} {name} that drops or rejects")),
        (_, count) => Some(format!("{count} rules of the chain {family} {table} {name} that drop or reject")),
    }
}

/// Source NAT that may give other connections ports of ours.
fn other_nat(ruleset: &Ruleset, nat: PortRange) -> Vec<Finding> {
    const NAME: &str = "other-nat";
    let is_nat = |chain: &&Chain| {
        let hook = chain.hook.as_deref();
        chain.kind.as_deref() == Some("nat")
            && matches!(hook, Some("postrouting" | "input"))
            && matches!(chain.family.as_str(), "ip" | "inet")
    };
    let chains = ruleset.chains.iter().filter(is_nat);
    let rules: Vec<&Rule> = chains
        .flat_map(|chain| ruleset.reached(chain))
        .filter(|rule| rule.source_nat().is_some_and(|action| may_pick(ports(action), nat)))
        .collect();
    let Some(first) = rules.first() else {
        return vec![Finding::ok(NAME, format!("no other NAT on this host picks ports from {nat}"))];
    };
    let Rule { family, table, chain, .. } = first;
    let count =
        if rules.len() == 1 { String::new() } else { format!(", and {} more rules,", rules.len() - 1) };
    vec![Finding::warning(
        NAME,
        format!(
            "the chain {family} {table} {chain}{count} may translate a connection to a server to a NAT port of xlb's, \
             which then takes its answers"
        ),
        format!(
            "hold it to other ports (`ip protocol tcp masquerade to :{}`), or leave the servers out: `ip daddr \
             SERVER return` before it",
            outside(nat)
        ),
    )]
}

/// Whether a NAT with these ports, or any, may pick one of ours.
fn may_pick(ports: Option<(u16, u16)>, nat: PortRange) -> bool {
    let range = ports.and_then(|(first, last)| PortRange::new(first, last));
    range.is_none_or(|range| range.intersection(nat).is_some())
}

/// Ports beside these, as large a range as there is above or below.
fn outside(nat: PortRange) -> String {
    const LOWEST: u16 = 1024;
    let above = nat.last().checked_add(1).and_then(|first| PortRange::new(first, u16::MAX));
    let below = nat.first().checked_sub(1).and_then(|last| PortRange::new(LOWEST, last));
    let larger = [above, below].into_iter().flatten().max_by_key(|range| range.count());
    larger.map_or_else(|| "PORTS".to_owned(), |range| range.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Note, Ok as Fine, Warning};
    use super::*;
    use crate::config::Prefix;
    use crate::config::tests::one_server;
    use crate::doctor::nft::parse;

    /// As nft 1.0.6 prints it.
    fn ruleset(items: &str) -> Filter {
        let text = format!("{{\"nftables\": [{{\"metainfo\": {{\"version\": \"1.0.6\"}}}}{items}]}}");
        Filter::Seen(parse(text.as_bytes()).expect("nft writes JSON"))
    }

    fn chain(table: &str, name: &str, kind: &str, hook: &str, policy: &str) -> String {
        format!(
            ", {{\"chain\": {{\"family\": \"inet\", \"table\": \"{table}\", \"name\": \"{name}\", \"handle\": 1, \
             \"type\": \"{kind}\", \"hook\": \"{hook}\", \"prio\": 0, \"policy\": \"{policy}\"}}}}"
        )
    }

    fn rule(table: &str, chain: &str, expression: &str) -> String {
        format!(
            ", {{\"rule\": {{\"family\": \"inet\", \"table\": \"{table}\", \"chain\": \"{chain}\", \"handle\": 2, \
             \"expr\": [{expression}]}}}}"
        )
    }

    fn found(items: &str) -> Vec<Finding> {
        checks(&ruleset(items), &[], Some(&one_server("")))
    }

    #[test]
    fn what_drops_packets_does_not_hold_for_frontends() {
        let firewall = |items: &str| found(items)[0].clone();
        assert_eq!(firewall("").result, Fine);
        assert_eq!(firewall(&chain("f", "input", "filter", "input", "accept")).result, Fine);
        let policy = firewall(&chain("f", "input", "filter", "input", "drop"));
        assert_eq!(policy.result, Warning);
        assert_eq!(
            policy.to_string(),
            "packets for frontends do not meet the policy drop of the chain inet f input; say in `[[frontend]]` of \
             k8s who may connect: `allow = [\"10.0.0.0/8\"]`, with your networks"
        );
        for expression in [
            "{\"drop\": null}",
            "{\"reject\": {\"type\": \"tcp reset\"}}",
            "{\"xt\": {\"type\": \"target\", \"name\": \"DROP\"}}",
        ] {
            let items = chain("f", "input", "filter", "input", "accept") + &rule("f", "input", expression);
            assert_eq!(firewall(&items).result, Warning, "{expression}");
        }
        for harmless in ["{\"accept\": null}", "{\"xt\": {\"type\": \"match\", \"name\": \"DROP\"}}"] {
            let items = chain("f", "input", "filter", "input", "accept") + &rule("f", "input", harmless);
            assert_eq!(firewall(&items).result, Fine, "{harmless}");
        }
        let elsewhere = chain("f", "forward", "filter", "forward", "drop");
        assert_eq!(firewall(&elsewhere).result, Fine);
    }

    #[test]
    fn jumps_are_followed_also_in_circles() {
        let jump = |to: &str| format!("{{\"jump\": {{\"target\": \"{to}\"}}}}");
        let items = chain("f", "input", "filter", "input", "accept")
            + &rule("f", "input", &jump("user"))
            + &rule("f", "user", &jump("input"))
            + &rule("f", "user", "{\"drop\": null}")
            + &rule("other", "user", "{\"drop\": null}");
        assert!(found(&items)[0].reason.contains("a rule of the chain inet f input"), "{}", found(&items)[0]);
    }

    #[test]
    fn maps_of_verdicts_are_looked_into() {
        let firewall = |items: &str| {
            let items = chain("f", "input", "filter", "input", "accept")
                + &rule("f", "k8s", "{\"drop\": null}")
                + items;
            found(&items)[0].result
        };
        let looks = |data: &str| {
            let key = "{\"payload\": {\"protocol\": \"tcp\", \"field\": \"dport\"}}";
            rule("f", "input", &format!("{{\"vmap\": {{\"key\": {key}, \"data\": {data}}}}}"))
        };
        let map = |table: &str, elements: &str| {
            format!(
                ", {{\"map\": {{\"family\": \"inet\", \"table\": \"{table}\", \"name\": \"m\", \"handle\": 3, \"map\": \
                 \"verdict\", \"type\": \"inet_service\", \"elem\": {elements}}}}}"
            )
        };
        let harmless = "[[22, {\"accept\": null}]]";
        for elements in ["[[80, {\"drop\": null}]]", "[[6443, {\"jump\": {\"target\": \"k8s\"}}]]"] {
            assert_eq!(firewall(&looks(&format!("{{\"set\": {elements}}}"))), Warning, "{elements}");
            assert_eq!(firewall(&(looks("\"@m\"") + &map("f", elements))), Warning, "{elements}");
            assert_eq!(firewall(&(looks("\"@m\"") + &map("other", elements))), Fine, "{elements}");
        }
        assert_eq!(firewall(&looks(&format!("{{\"set\": {harmless}}}"))), Fine);
        assert_eq!(firewall(&(looks("\"@m\"") + &map("f", harmless))), Fine);
    }

    #[test]
    fn an_allow_list_is_what_a_firewall_was() {
        let filter = ruleset(&chain("f", "input", "filter", "input", "drop"));
        let mut config = one_server("");
        config.frontends[0].allow = Prefix::around([10, 0, 0, 0].into(), 8).into_iter().collect();
        assert_eq!(checks(&filter, &[], Some(&config))[0].result, Fine);
        assert_eq!(checks(&filter, &[], None)[0].result, Warning);
    }

    #[test]
    fn another_nat_may_pick_our_ports() {
        let nat = |expression: &str| {
            found(&(chain("n", "post", "nat", "postrouting", "accept") + &rule("n", "post", expression)))[1]
                .clone()
        };
        assert_eq!(nat("{\"accept\": null}").result, Fine);
        for picks in [
            "{\"masquerade\": null}",
            "{\"masquerade\": {\"port\": {\"range\": [30000, 60999]}}}",
            "{\"snat\": {\"addr\": \"198.18.0.10\", \"port\": 20000}}",
            "{\"xt\": {\"type\": \"target\", \"name\": \"MASQUERADE\"}}",
        ] {
            assert_eq!(nat(picks).result, Warning, "{picks}");
        }
        let held = nat("{\"masquerade\": {\"port\": {\"range\": [32768, 65535]}}}");
        assert_eq!(held.result, Fine, "{held}");
        let remedy = nat("{\"masquerade\": null}").remedy.expect("a remedy");
        assert!(remedy.contains("masquerade to :32768-65535"), "{remedy}");
    }

    #[test]
    fn what_cannot_be_seen_is_said() {
        let legacy = ["filter".to_owned()];
        let results = |filter: &Filter, legacy: &[String]| {
            checks(filter, legacy, None).iter().map(|finding| finding.result).collect::<Vec<_>>()
        };
        assert_eq!(results(&Filter::NoTool, &[]), [Note]);
        assert_eq!(results(&Filter::Failed("Operation not permitted".into()), &legacy), [Note, Note]);
        assert_eq!(results(&ruleset(""), &legacy), [Fine, Fine, Note]);
        assert_eq!(parse(b"\n").expect("nothing").chains.len(), 0);
    }
}
