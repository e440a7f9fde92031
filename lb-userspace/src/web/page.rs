//! The page that a person looks at: HAProxy's tables in HAProxy's order, and charts of the last minutes.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart;
use crate::stats::haproxy::{Column, Kind, Row, Value, rows};
use crate::stats::{Point, Server, View, human};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page is told beside the view.
pub struct Page<'p> {
    /// Its own path, at which `;live` is what changes of it.
    pub uri: &'p str,
    /// Seconds until browsers without scripts load it again.
    pub refresh: Option<u64>,
    /// Whether it says its version.
    pub shows_version: bool,
    /// What the page's own style and script are known by to the browser.
    pub nonce: &'p str,
}

impl Page<'_> {
    /// The whole page.
    pub fn whole(&self, view: &View) -> Markup {
        let version = self.shows_version.then_some(concat!(" ", env!("CARGO_PKG_VERSION")));
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "xlb statistics: " (view.process.node) }
                    link rel="icon" href="data:,";
                    @if let Some(seconds) = self.refresh {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                    style nonce=(self.nonce) { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { "xlb" (version.unwrap_or_default()) " on " (view.process.node) }
                        nav aria-label="Other forms" {
                            a href={ (self.uri) ";csv" } { "CSV" } " "
                            a href={ (self.uri) ";json" } { "JSON" } " "
                            a href="/metrics" { "Metrics" }
                        }
                    }
                    main #live data-source={ (self.uri) ";live" } {
                        (live(view))
                    }
                    script nonce=(self.nonce) { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}

/// What changes.
pub fn live(view: &View) -> Markup {
    let rows = rows(view);
    let frontends: Vec<_> = rows.iter().filter(|row| row.kind == Kind::Frontend).collect();
    let backends: Vec<_> = rows.iter().filter(|row| row.kind == Kind::Backend).collect();
    html! {
        (summary(view))
        (charts(view))
        section aria-labelledby="frontends" {
            h2 #frontends { "Frontends" }
            (table("frontends", &frontends, view, false))
        }
        @for backend in backends {
            @let name = text(backend, Column::Pxname);
            @let of_backend: Vec<_> = rows
                .iter()
                .filter(|row| row.iid == backend.iid && row.kind != Kind::Frontend)
                .collect();
            @let id = format!("backend-{}", backend.iid);
            section aria-labelledby=(id) {
                h2 id=(id) { "Backend " (name) }
                (table(&id, &of_backend, view, true))
            }
        }
        (reasons(view))
    }
}

fn summary(view: &View) -> Markup {
    let snapshot = &view.snapshot;
    let mode = if snapshot.mode.is_empty() { "not attached" } else { &snapshot.mode };
    html! {
        p.summary {
            "Interface " b { (snapshot.interface) } ", mode " b title=(snapshot.mode_reason) { (mode) }
            ". Process " (view.process.pid) ", up " (human::duration(view.process.uptime))
            ". Maps " (human::bytes(snapshot.memory_bytes())) "."
        }
    }
}

fn charts(view: &View) -> Markup {
    let points: Vec<&Point> = view.timeline.points().collect();
    let series = |value: fn(&Point) -> u64| points.iter().map(|point| value(point)).collect::<Vec<_>>();
    let count = |value: u64| format!("{value}/s");
    let bytes = |value: u64| format!("{}/s", human::bytes(value));
    html! {
        section.charts aria-label="The last minutes" {
            (chart::chart("New connections", &series(|point| point.connections), count))
            (chart::chart("Throughput", &series(|point| point.bytes), bytes))
            (chart::chart("Failed attempts", &series(|point| point.failures), count))
        }
    }
}

/// A table of frontends, or of a backend's servers with its own line below them.
fn table(id: &str, rows: &[&Row], view: &View, has_servers: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Table of " (id) } {
            table aria-labelledby=(id) {
                thead {
                    tr {
                        th rowspan="2" scope="col" { (if has_servers { "Server" } else { "Frontend" }) }
                        th rowspan="2" scope="col" { "Status" }
                        @if has_servers { th rowspan="2" scope="col" { "Last check" } }
                        th colspan="2" scope="colgroup" { "Session rate" }
                        th colspan="4" scope="colgroup" { "Sessions" }
                        th colspan="2" scope="colgroup" { "Bytes" }
                        @if has_servers {
                            th colspan="3" scope="colgroup" { "Errors and warnings" }
                            th colspan="7" scope="colgroup" { "Server" }
                        }
                    }
                    tr {
                        @for name in ["Cur", "Max", "Cur", "Max", "Limit", "Total", "In", "Out"] { th scope="col" { (name) } }
                        @if has_servers {
                            @for name in ["Conn", "Retr", "Redis", "Wght", "Act", "Bck", "Chk", "Dwn", "Dwntme", "LastChg"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                }
                tbody { @for row in rows { (line(row, view, has_servers)) } }
            }
        }
    }
}

fn line(row: &Row, view: &View, has_servers: bool) -> Markup {
    let status = text(row, Column::Status);
    let name = if row.kind == Kind::Frontend { text(row, Column::Pxname) } else { text(row, Column::Svname) };
    let total = (row.kind == Kind::Backend).then_some("total");
    let counts = [Column::Rate, Column::RateMax, Column::Scur, Column::Smax, Column::Slim, Column::Stot];
    html! {
        tr class=[total] {
            th scope="row" title=[row.get(Column::Addr)] { (name) }
            td class={ "status " (class(&status)) } { (status) }
            @if has_servers { td.check { (check(row, view)) } }
            @for column in counts { td { (text(row, column)) } }
            @for column in [Column::Bin, Column::Bout] { td title=(text(row, column)) { (bytes(row, column)) } }
            @if has_servers {
                @for column in [Column::Econ, Column::Wretr, Column::Wredis, Column::Weight, Column::Act, Column::Bck,
                    Column::Chkfail, Column::Chkdown] {
                    td { (text(row, column)) }
                }
                @for column in [Column::Downtime, Column::Lastchg] { td { (since(row, column)) } }
            }
        }
    }
}

/// The last check's result, how long it took and how long ago it was, and what the system said.
fn check(row: &Row, view: &View) -> Markup {
    let is_of_row = |server: &&Server| {
        server.backend == text(row, Column::Pxname) && server.name == text(row, Column::Svname)
    };
    let server = view.snapshot.servers.iter().find(is_of_row);
    let age = server.and_then(|server| Some(server.check.as_ref()?.age));
    html! {
        @if row.get(Column::CheckStatus).is_some() {
            span title=(text(row, Column::CheckDesc)) {
                (text(row, Column::CheckStatus))
                @if row.get(Column::CheckCode).is_some() { "/" (text(row, Column::CheckCode)) }
            }
            " in " (text(row, Column::CheckDuration)) " ms"
            @if let Some(age) = age { ", " (human::duration(age)) " ago" }
            @let said = text(row, Column::LastChk);
            @if !said.is_empty() { ": " (said) }
        }
    }
}

fn reasons(view: &View) -> Markup {
    let counted: Vec<_> = view.snapshot.reasons.iter().filter(|reason| reason.count > 0).collect();
    html! {
        @if !counted.is_empty() {
            section aria-labelledby="packets" {
                h2 #packets { "Packets that were not simply forwarded" }
                div.scroll tabindex="0" role="region" aria-label="Table of packets" {
                    table aria-labelledby="packets" {
                        thead { tr { th scope="col" { "Reason" } th scope="col" { "Packets" } th scope="col" { "What it means" } } }
                        tbody {
                            @for reason in counted {
                                tr { th scope="row" { (reason.name) } td { (reason.count) } td.text { (reason.description) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn text(row: &Row, column: Column) -> String {
    row.get(column).map(ToString::to_string).unwrap_or_default()
}

fn number(row: &Row, column: Column) -> Option<u64> {
    match row.get(column)? {
        Value::U64(value) => Some(*value),
        Value::U32(value) => Some(u64::from(*value)),
        Value::S32(_) | Value::Text(_) => None,
    }
}

fn bytes(row: &Row, column: Column) -> String {
    number(row, column).map(human::bytes).unwrap_or_default()
}

fn since(row: &Row, column: Column) -> String {
    number(row, column).map(|seconds| human::duration(Duration::from_secs(seconds))).unwrap_or_default()
}

/// How a status is marked beside its words.
fn class(status: &str) -> &'static str {
    match status.split(' ').next() {
        Some("UP") if status.contains('/') => "falling",
        Some("UP" | "OPEN") => "up",
        Some("DOWN") if status.contains('/') => "rising",
        Some("DOWN") => "down",
        Some("MAINT" | "DRAIN") => "out",
        _ => "unchecked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::haproxy::tests::view;

    fn page() -> String {
        let page = Page { uri: "/stats", refresh: Some(10), shows_version: false, nonce: "n0nce" };
        page.whole(&view()).into_string()
    }

    #[test]
    fn every_server_has_a_line_under_its_backend() {
        let page = page();
        let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("no {what} in {page}"));
        let order =
            ["Frontends</h2>", "Backend k8s-api-server", ">bettley<", ">fenn<", "Backend other", ">backup<"];
        let places: Vec<_> = order.iter().map(|what| place(what)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(page.contains("DOWN 1/2") && page.contains("Connection refused"));
        assert!(!page.contains(env!("CARGO_PKG_VERSION")), "the version is hidden");
    }

    #[test]
    fn names_are_text_wherever_they_stand() {
        let mut view = view();
        view.snapshot.servers[0].name = "<script>alert(1)</script>".into();
        view.process.node = "\"><img src=x>".into();
        let page = Page { uri: "/stats", refresh: None, shows_version: true, nonce: "n0nce" };
        let page = page.whole(&view).into_string();
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let page = page();
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains(" style="),
            "{page}"
        );
    }
}
