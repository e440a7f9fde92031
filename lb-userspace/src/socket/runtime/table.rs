//! `show stat`.

use crate::stats::View;
use crate::stats::haproxy::{Column, Kind, Row, csv, json, rows, typed};

/// What stands for all of them.
const ALL: i64 = -1;

/// Which rows are wanted, and in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    form: Form,
    /// Without servers in maintenance.
    hides_maintenance: bool,
    /// Without those that are DOWN, either.
    hides_down: bool,
    bounds: Option<Bounds>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Csv,
    Typed,
    Json,
}

/// `<iid> <type> <sid>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bounds {
    /// The number or name of the frontend or backend.
    proxy: String,
    /// A bit for each kind of row.
    kinds: i64,
    /// The number of the server.
    service: i64,
}

/// There is no such frontend or backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No such proxy.")]
struct NoSuchProxy;

impl Table {
    /// Reads the words behind `show stat`; the numbers may stand at any place.
    pub fn of(words: &[&str]) -> Self {
        let mut table = Self::default();
        let mut words = words;
        while let [word, rest @ ..] = words {
            words = rest;
            match (*word, rest) {
                ("typed", _) => table.form = Form::Typed,
                ("json", _) => table.form = Form::Json,
                ("no-maint", _) => table.hides_maintenance = true,
                ("up", _) => table.hides_down = true,
                // Only typed values of HAProxy have descriptions.
                ("desc", _) => {}
                (proxy, [kinds, service, rest @ ..]) => {
                    let (kinds, service) = (number(kinds), number(service));
                    table.bounds = Some(Bounds { proxy: proxy.to_owned(), kinds, service });
                    words = rest;
                }
                _ => {}
            }
        }
        table
    }

    /// The answer.
    pub fn answer(&self, view: &View) -> String {
        match self.rows(view) {
            Ok(rows) => match self.form {
                Form::Csv => csv(&rows),
                Form::Typed => typed(&rows),
                Form::Json => json(&rows) + "\n",
            },
            Err(error) => format!("{error}\n"),
        }
    }

    fn rows(&self, view: &View) -> Result<Vec<Row>, NoSuchProxy> {
        let mut rows = rows(view);
        rows.retain(|row| !self.hides(row));
        if let Some(Bounds { proxy, kinds, service }) = &self.bounds {
            let proxy = proxy_number(&rows, proxy)?;
            rows.retain(|row| {
                let is_of_proxy = proxy == ALL || proxy == i64::from(row.iid);
                let is_it = row.kind != Kind::Server || *service == ALL || *service == i64::from(row.sid);
                is_of_proxy && is_it && kinds & row.kind.bit() != 0
            });
        }
        Ok(rows)
    }

    /// HAProxy hides a server as DOWN while no check of it passes.
    fn hides(&self, row: &Row) -> bool {
        let status = row.get(Column::Status).map(ToString::to_string).unwrap_or_default();
        let is_in_maintenance = status.starts_with("MAINT");
        let hides_for_maintenance = (self.hides_maintenance || self.hides_down) && is_in_maintenance;
        row.kind == Kind::Server && (hides_for_maintenance || self.hides_down && status == "DOWN")
    }
}

/// The number of a frontend or backend by its name, or as it is; a backend without servers to show has one too.
fn proxy_number(rows: &[Row], proxy: &str) -> Result<i64, NoSuchProxy> {
    let has_name = |row: &&Row| row.get(Column::Pxname).is_some_and(|name| *name == proxy.into());
    match rows.iter().find(has_name).map_or_else(|| number(proxy), |row| row.iid.into()) {
        0 => Err(NoSuchProxy),
        number => Ok(number),
    }
}

/// As C reads numbers: 0 for what is none.
fn number(word: &str) -> i64 {
    word.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::haproxy::tests::view;

    /// What the rows that are shown tell of.
    fn shown(words: &str) -> Vec<String> {
        let mut view = view();
        view.snapshot.servers[2].status = "MAINT".into();
        let text = Table::of(&words.split_whitespace().collect::<Vec<_>>()).answer(&view);
        let service = |line: &str| line.split(',').nth(1).map(ToOwned::to_owned);
        text.lines().skip(1).filter_map(service).collect()
    }

    #[test]
    fn rows_are_chosen_by_number_kind_and_state() {
        let all = ["FRONTEND", "bettley", "fenn", "BACKEND", "backup", "BACKEND"];
        assert_eq!(shown(""), all);
        assert_eq!(shown("-1 -1 -1"), all);
        assert_eq!(shown("-1 4 -1"), ["bettley", "fenn", "backup"]);
        assert_eq!(shown("3 6 2"), ["fenn", "BACKEND"]);
        assert_eq!(shown("3 0 -1"), [""; 0]);
        assert_eq!(shown("9 -1 -1"), [""; 0]);
        assert_eq!(shown("other -1 -1"), ["backup", "BACKEND"]);
        assert_eq!(shown("no-maint"), ["FRONTEND", "bettley", "fenn", "BACKEND", "BACKEND"]);
        // `DOWN 1/2` is on its way up.
        assert_eq!(shown("up"), ["FRONTEND", "bettley", "fenn", "BACKEND", "BACKEND"]);
    }

    #[test]
    fn a_server_that_is_down_is_not_up() {
        let mut view = view();
        view.snapshot.servers[1].status = "DOWN".into();
        let text = Table::of(&["up"]).answer(&view);
        assert!(text.contains(",bettley,") && !text.contains(",fenn,"), "{text}");
    }

    #[test]
    fn a_proxy_that_there_is_not_is_told_of() {
        let answer = |proxy| Table::of(&[proxy, "4", "-1"]).answer(&view());
        assert_eq!(answer("nothing"), "No such proxy.\n");
        assert_eq!(answer("0"), "No such proxy.\n");
    }

    #[test]
    fn the_form_stands_before_or_behind_the_numbers() {
        for words in [["typed", "-1", "4", "1"], ["-1", "4", "1", "typed"]] {
            let text = Table::of(&words).answer(&view());
            assert!(text.starts_with("S.3.1.0.pxname.1:KNS:str:k8s-api-server\n"), "{text}");
        }
        let text = Table::of(&["json"]).answer(&view());
        assert!(text.starts_with("[[{") && text.ends_with("}]]\n"), "{text}");
    }
}
