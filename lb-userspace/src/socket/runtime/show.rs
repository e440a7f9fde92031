//! What only shows something.

use std::time::SystemTime;

use super::servers;
use super::table::Table;
use crate::socket::ServerName;
use crate::stats::View;
use crate::stats::haproxy::{self, info, info_json, info_typed};

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// `show info`
    Info(Info),
    /// `show stat`
    Table(Table),
    /// `show servers state`, of one backend or all
    States(Option<String>),
    /// `show servers conn`, of one backend or all
    Connections(Option<String>),
    /// `show backend`
    Backends,
    /// `show errors`
    Errors,
    /// `show version`
    Version,
    /// `get weight`
    Weight(ServerName),
}

/// The form of `show info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Info {
    /// Names and values.
    #[default]
    Plain,
    /// With what they mean.
    Described,
    /// With their types.
    Typed,
    /// As JSON.
    Json,
}

impl Info {
    /// Reads the words behind `show info`.
    pub fn of(words: &[&str]) -> Self {
        let form = |word: &&str| match *word {
            "desc" => Some(Self::Described),
            "typed" => Some(Self::Typed),
            "json" => Some(Self::Json),
            _ => None,
        };
        words.iter().find_map(form).unwrap_or_default()
    }

    fn answer(self, view: &View) -> String {
        let info = info(view);
        let lines = |line: fn(&haproxy::Info) -> String| info.iter().map(line).collect();
        match self {
            Self::Plain => lines(|line| format!("{}: {}\n", line.name, line.value)),
            Self::Described => {
                lines(|line| format!("{}: {}:\"{}\"\n", line.name, line.value, line.description))
            }
            Self::Typed => info_typed(&info),
            Self::Json => info_json(&info) + "\n",
        }
    }
}

impl Show {
    /// The answer.
    pub fn answer(&self, view: &View) -> String {
        let of = |backend: &Option<String>, list: fn(&View, Option<&str>) -> String| match backend.as_deref()
        {
            Some(name) if !has_backend(view, name) => "Can't find backend.\n".to_owned(),
            name => list(view, name),
        };
        match self {
            Self::Info(form) => form.answer(view),
            Self::Table(table) => table.answer(view),
            Self::States(backend) => of(backend, servers::states),
            Self::Connections(backend) => of(backend, servers::connections),
            Self::Backends => servers::backends(view),
            // Errors of protocols, and xlb follows none above TCP.
            Self::Errors => format!("Total events captured on [{}] : 0\n", date(SystemTime::now())),
            Self::Version => format!("{}\n", haproxy::version()),
            Self::Weight(server) => match servers::find(server, &view.snapshot) {
                Ok(server) => format!("{} (initial {})\n", server.weight, server.configured_weight),
                Err(missing) => format!("{missing}\n"),
            },
        }
    }
}

fn has_backend(view: &View, name: &str) -> bool {
    servers::backends(view).lines().skip(1).any(|backend| backend == name)
}

/// A moment as HAProxy writes it, `26/Nov/2026:19:30:16.872`, but in UTC.
fn date(at: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // `2026-11-26T19:30:16.872Z`
    let text = humantime::format_rfc3339_millis(at).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return text };
    let month = month.parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1)));
    format!("{day}/{}/{year}:{}", month.unwrap_or(&"???"), time.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::haproxy::tests::view;

    fn answer(show: &Show) -> String {
        show.answer(&view())
    }

    #[test]
    fn the_process_is_shown_in_four_forms() {
        let info = |words: &[&str]| answer(&Show::Info(Info::of(words)));
        assert!(info(&[]).starts_with("Name: xlb\nVersion: 2.6-xlb"), "{}", info(&[]));
        assert!(info(&["desc"]).starts_with("Name: xlb:\"Product name\"\n"));
        assert!(info(&["typed"]).starts_with("0.Name.1:POS:str:xlb\n"));
        assert!(info(&["json"]).starts_with("[{") && info(&["json"]).ends_with("}]\n"));
    }

    /// Which hatop cannot do without, and which the exporter reads.
    #[test]
    fn the_process_has_all_that_tools_ask_for() {
        let info = answer(&Show::Info(Info::Plain));
        for name in [
            "Name",
            "Version",
            "Release_date",
            "Nbproc",
            "Process_num",
            "Pid",
            "Uptime",
            "Maxconn",
            "CurrConns",
            "Maxpipes",
            "PipesUsed",
            "Tasks",
            "Run_queue",
            "node",
        ] {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            assert!(value.is_some_and(|value| !value.is_empty()), "{info}has no {name}");
        }
    }

    #[test]
    fn a_weight_has_the_one_of_the_configuration_beside_it() {
        let weight = |name: &str| answer(&Show::Weight(name.parse().expect("a name")));
        assert_eq!(weight("k8s-api-server/fenn"), "2 (initial 1)\n");
        assert_eq!(weight("k8s-api-server/nobody"), "No such server.\n");
    }

    #[test]
    fn a_backend_that_there_is_not_is_told_of() {
        for show in [Show::States, Show::Connections] {
            assert_eq!(answer(&show(Some("nothing".into()))), "Can't find backend.\n");
            assert!(answer(&show(Some("other".into()))).contains("backup"));
        }
    }

    #[test]
    fn dates_are_haproxys() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_721_416_872);
        assert_eq!(date(at), "26/Nov/2026:19:30:16.872");
    }
}
