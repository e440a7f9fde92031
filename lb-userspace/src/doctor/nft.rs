//! The host's packet filter, as `nft` tells of it in JSON (libnftables-json(5)).

use std::fs;
use std::io;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

/// Lists the tables of the older `iptables`, which nft does not know of.
const LEGACY: &str = "/proc/net/ip_tables_names";

/// All chains and rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruleset {
    pub chains: Vec<Chain>,
    pub rules: Vec<Rule>,
}

/// A chain; one without a hook is only jumped to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Chain {
    pub family: String,
    pub table: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub hook: Option<String>,
    pub policy: Option<String>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    pub family: String,
    pub table: String,
    pub chain: String,
    #[serde(default)]
    pub expr: Vec<Value>,
}

/// A map with a name, which rules of its table look in.
#[derive(Deserialize)]
struct Map {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    elem: Vec<Value>,
}

/// What could be seen of the packet filter.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    /// All that nft knows of.
    Seen(Ruleset),
    /// There is no nft.
    NoTool,
    /// It fails, and says why.
    Failed(String),
}

/// What could be seen, and the tables of the older iptables.
pub(super) fn read() -> (Filter, Vec<String>) {
    let legacy = fs::read_to_string(LEGACY).unwrap_or_default();
    (list(), legacy.lines().map(ToOwned::to_owned).collect())
}

fn list() -> Filter {
    // Where it is need not be in the path of an ordinary user.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("nft").env("PATH", &path).args(["-j", "list", "ruleset"]).output();
    match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Filter::NoTool,
        Err(error) => Filter::Failed(error.to_string()),
        Ok(output) if !output.status.success() => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Filter::Failed(complaint.lines().next().unwrap_or("no word").to_owned())
        }
        Ok(output) => {
            parse(&output.stdout).map_or_else(|error| Filter::Failed(error.to_string()), Filter::Seen)
        }
    }
}

/// Takes in what is a chain or a rule.
pub(super) fn parse(json: &[u8]) -> Result<Ruleset, serde_json::Error> {
    #[derive(Deserialize)]
    struct Document {
        nftables: Vec<Item>,
    }

    #[derive(Deserialize)]
    struct Item {
        chain: Option<Chain>,
        rule: Option<Rule>,
        map: Option<Map>,
    }

    // nft before 1.0 writes nothing where there are no rules.
    if json.trim_ascii().is_empty() {
        return Ok(Ruleset::default());
    }
    let mut ruleset = Ruleset::default();
    let mut maps = Vec::new();
    for Item { chain, rule, map } in serde_json::from_slice::<Document>(json)?.nftables {
        ruleset.chains.extend(chain);
        ruleset.rules.extend(rule);
        maps.extend(map);
    }
    for rule in &mut ruleset.rules {
        rule.take_in(&maps);
    }
    Ok(ruleset)
}

impl Ruleset {
    /// The rules that a packet can meet in a chain, and in those that it may go on to from there.
    pub fn reached<'r>(&'r self, chain: &'r Chain) -> Vec<&'r Rule> {
        let mut names = vec![chain.name.as_str()];
        let mut rules = Vec::new();
        let mut next = 0;
        while let Some(name) = names.get(next).copied() {
            next += 1;
            let of_chain =
                |rule: &&Rule| rule.family == chain.family && rule.table == chain.table && rule.chain == name;
            for rule in self.rules.iter().filter(of_chain) {
                let targets: Vec<&str> = rule.jumps().filter(|target| !names.contains(target)).collect();
                names.extend(targets);
                rules.push(rule);
            }
        }
        rules
    }
}

impl Rule {
    /// Puts the elements of the maps that it names among its expressions, as if they were written in it.
    fn take_in(&mut self, maps: &[Map]) {
        let named = self.expr.iter().filter_map(|expression| {
            let name = expression.get("vmap")?.get("data")?.as_str()?.strip_prefix('@')?;
            maps.iter().find(|map| map.family == self.family && map.table == self.table && map.name == name)
        });
        let elements: Vec<Value> = named.flat_map(|map| map.elem.clone()).collect();
        self.expr.extend(elements);
    }

    fn jumps(&self) -> impl Iterator<Item = &str> {
        self.parts().into_iter().filter_map(jump)
    }

    /// Whether it ends packets.
    pub fn blocks(&self) -> bool {
        let blocks = |expression: &Value| {
            expression.get("drop").is_some()
                || expression.get("reject").is_some()
                || matches!(target(expression), Some("DROP" | "REJECT"))
        };
        self.parts().into_iter().any(blocks)
    }

    /// Its expressions and all that is in them: a verdict may be an element of a map.
    fn parts(&self) -> Vec<&Value> {
        let mut parts: Vec<&Value> = self.expr.iter().collect();
        let mut next = 0;
        while let Some(part) = parts.get(next).copied() {
            next += 1;
            match part {
                Value::Array(items) => parts.extend(items),
                Value::Object(fields) => parts.extend(fields.values()),
                _ => {}
            }
        }
        parts
    }

    /// What of it gives packets another source address, if anything does.
    pub fn source_nat(&self) -> Option<&Value> {
        self.expr.iter().find_map(|expression| {
            let native = expression.get("masquerade").or_else(|| expression.get("snat"));
            let of_iptables =
                || matches!(target(expression), Some("MASQUERADE" | "SNAT")).then_some(&Value::Null);
            native.or_else(of_iptables)
        })
    }
}

/// The chain that a packet goes on to.
fn jump(expression: &Value) -> Option<&str> {
    expression.get("jump").or_else(|| expression.get("goto"))?.get("target")?.as_str()
}

/// What a rule of iptables does that nft has no words for.
fn target(expression: &Value) -> Option<&str> {
    let extension = expression.get("xt")?;
    (extension.get("type")? == "target").then_some(())?;
    extension.get("name")?.as_str()
}

/// The ports that a source NAT is held to, if it is.
pub(super) fn ports(source_nat: &Value) -> Option<(u16, u16)> {
    let number = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let port = source_nat.get("port")?;
    match port.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => Some((number(first)?, number(last)?)),
        _ => number(port).map(|port| (port, port)),
    }
}
