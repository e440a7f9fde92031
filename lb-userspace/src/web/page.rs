//! The page that a person looks at: HAProxy's tables in HAProxy's order, and charts of the last minutes.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::buttons::{Denied, Outcome, field};
use super::chart;
use crate::dataplane::status::Admin;
use crate::stats::haproxy::{Column, Kind, Row, Value, rows};
use crate::stats::{Point, Server, View, human, last_check};

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
    /// What its buttons need; it has none without.
    pub buttons: Option<Buttons<'p>>,
    /// What came of a button.
    pub outcome: Option<Outcome>,
}

/// What the buttons need that change a server.
#[derive(Clone, Copy)]
pub struct Buttons<'p> {
    /// Where they are sent to.
    pub uri: &'p str,
    /// What they come with.
    pub token: &'p str,
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
                        noscript { meta http-equiv="refresh" content={ (seconds) ";url=" (self.uri) }; }
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
                    @if let Some(outcome) = self.outcome {
                        p.outcome role="status" { (outcome.text()) " " a href=(self.uri) { "Dismiss" } }
                    }
                    main #live data-source={ (self.uri) ";live" } {
                        (live(view, self.buttons))
                    }
                    script nonce=(self.nonce) { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}

/// What changes.
pub fn live(view: &View, buttons: Option<Buttons<'_>>) -> Markup {
    let rows = rows(view);
    let frontends: Vec<_> = rows.iter().filter(|row| row.kind == Kind::Frontend).collect();
    let backends: Vec<_> = rows.iter().filter(|row| row.kind == Kind::Backend).collect();
    html! {
        (summary(view))
        (charts(view))
        section aria-labelledby="frontends" {
            h2 #frontends { "Frontends" }
            (table("frontends", &frontends, None))
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
                (table(&id, &of_backend, Some(Servers { view, buttons })))
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

/// What is shown of servers beside their rows.
#[derive(Clone, Copy)]
struct Servers<'v> {
    view: &'v View,
    buttons: Option<Buttons<'v>>,
}

impl<'v> Servers<'v> {
    /// The server of a row; none for a backend's.
    fn of(&self, row: &Row) -> Option<&'v Server> {
        let (backend, name) = (text(row, Column::Pxname), text(row, Column::Svname));
        let mut servers = self.view.snapshot.servers.iter().filter(|_| row.kind == Kind::Server);
        servers.find(|server| server.backend == backend && server.name == name)
    }
}

/// A table of frontends, or of a backend's servers with its own line below them.
fn table(id: &str, rows: &[&Row], servers: Option<Servers<'_>>) -> Markup {
    let has_servers = servers.is_some();
    let has_buttons = servers.is_some_and(|servers| servers.buttons.is_some());
    html! {
        div.scroll id={ "table-" (id) } tabindex="0" role="region" aria-label={ "Table of " (id) } {
            table aria-labelledby=(id) {
                thead {
                    tr {
                        th rowspan="2" scope="col" { (if has_servers { "Server" } else { "Frontend" }) }
                        th rowspan="2" scope="col" { "Status" }
                        @if has_buttons { th rowspan="2" scope="col" { "Set to" } }
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
                tbody { @for row in rows { (line(row, servers)) } }
            }
        }
    }
}

fn line(row: &Row, servers: Option<Servers<'_>>) -> Markup {
    let status = text(row, Column::Status);
    let name = if row.kind == Kind::Frontend { text(row, Column::Pxname) } else { text(row, Column::Svname) };
    let total = (row.kind == Kind::Backend).then_some("total");
    let counts = [Column::Rate, Column::RateMax, Column::Scur, Column::Smax, Column::Slim, Column::Stot];
    html! {
        tr class=[total] {
            th scope="row" title=[row.get(Column::Addr)] { (name) }
            td class={ "status " (class(&status)) } { (status) }
            @if let Some(servers) = servers {
                @let server = servers.of(row);
                @if let Some(buttons) = servers.buttons { td { @if let Some(server) = server { (press(server, buttons)) } } }
                td.check { @if let Some(server) = server { (check(server)) } }
            }
            @for column in counts { td { (text(row, column)) } }
            @for column in [Column::Bin, Column::Bout] { td title=(text(row, column)) { (bytes(row, column)) } }
            @if servers.is_some() {
                @for column in [Column::Econ, Column::Wretr, Column::Wredis, Column::Weight, Column::Act, Column::Bck,
                    Column::Chkfail, Column::Chkdown] {
                    td { (text(row, column)) }
                }
                @for column in [Column::Downtime, Column::Lastchg] { td { (since(row, column)) } }
            }
        }
    }
}

/// A button for each state that an operator can want. The server's names make their ids: a script that renews the table
/// keeps the focus where it is, and never lets it slip to another server. A browser gives the focus to what an address names
/// behind `#`, also where the answer leads to, so it stays at a button that is pressed, without scripts too.
fn press(server: &Server, buttons: Buttons<'_>) -> Markup {
    html! {
        form method="post" action=(buttons.uri) {
            input type="hidden" name=(field::TOKEN) value=(buttons.token);
            input type="hidden" name=(field::BACKEND) value=(server.backend);
            input type="hidden" name=(field::SERVER) value=(server.name);
            @for admin in [Admin::Ready, Admin::Drain, Admin::Maint] {
                @let id = format!("{}/{}/{admin}", server.backend, server.name);
                button id=(id) formaction={ (buttons.uri) "#" (id) } name=(field::ACTION) value=(admin)
                    aria-label={ (admin) " " (server.name) } aria-pressed=((server.admin == admin).to_string()) { (admin) }
            }
        }
    }
}

/// The last check's result, and how long ago it was.
fn check(server: &Server) -> Markup {
    html! {
        @if let Some(check) = &server.check {
            span title=(check.description) { (last_check(server)) }
            ", " (human::duration(check.age)) " ago"
        }
    }
}

/// Why nothing was changed, and the way back.
pub fn denied(uri: &str, denied: Denied) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Nothing was changed" } }
            body {
                h1 { "Nothing was changed" }
                p { "Reason: " (denied) ". " a href=(uri) { "Back to the statistics" } }
            }
        }
    }
}

fn reasons(view: &View) -> Markup {
    let counted: Vec<_> = view.snapshot.reasons.iter().filter(|reason| reason.count > 0).collect();
    html! {
        @if !counted.is_empty() {
            section aria-labelledby="packets" {
                h2 #packets { "Packets that were not simply forwarded" }
                div.scroll #table-packets tabindex="0" role="region" aria-label="Table of packets" {
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
        plain().whole(&view()).into_string()
    }

    fn plain() -> Page<'static> {
        let (buttons, outcome) = (None, None);
        Page { uri: "/stats", refresh: Some(10), shows_version: false, nonce: "n0nce", buttons, outcome }
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
        let buttons = Some(Buttons { uri: "/stats", token: "t0ken" });
        let page = Page { shows_version: true, buttons, ..plain() }.whole(&view).into_string();
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
    }

    #[test]
    fn the_present_state_is_marked_among_the_buttons() {
        let mut view = view();
        view.snapshot.servers[1].admin = Admin::Drain;
        let page = live(&view, Some(Buttons { uri: "/stats", token: "t0ken" })).into_string();
        let pressed: Vec<_> =
            page.split("<button").filter(|button| button.contains("aria-pressed=\"true\"")).collect();
        let labels = ["ready bettley", "drain fenn", "ready backup"];
        assert_eq!(pressed.len(), labels.len(), "{page}");
        for (button, label) in pressed.iter().zip(labels) {
            assert!(button.contains(&format!("aria-label=\"{label}\"")), "{button}");
        }
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
