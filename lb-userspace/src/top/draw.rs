//! Puts the model on the terminal: text and colours, no decisions.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::list::{self, Name};
use super::screen::{Input, Notice, TrendOf};
use super::{Model, Rates, Screen, Trend, spark};
use crate::stats::{self, Agent, Frontend, Server, ServerState, Whose, human};

/// So many frontends have a row, and so many outcomes.
const FRONTENDS: usize = 5;
const OUTCOMES: usize = 3;

/// Rows that tell of the selected server.
const DETAILS: u16 = 3;

/// The width that a terminal has at least, for which the columns are made.
const WIDTH: u16 = 80;

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    has_colours: bool,
}

impl Palette {
    /// That of tables.
    #[must_use]
    pub fn of(style: stats::Style) -> Self {
        Self { has_colours: style == stats::Style::Coloured }
    }

    fn colour(self, color: Color) -> Style {
        if self.has_colours { Style::new().fg(color) } else { Style::new() }
    }

    /// What is to be seen at once.
    fn alarm(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The colours of `xlb stats`.
    fn of_server(self, server: &Server) -> Style {
        match server.state {
            ServerState::NoCheck | ServerState::Removed => Style::new(),
            ServerState::Drain | ServerState::Maint => self.colour(Color::Blue),
            _ if server.status.contains('/') => self.colour(Color::Yellow),
            ServerState::Up => self.colour(Color::Green),
            ServerState::Down => self.alarm(),
        }
    }
}

const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws everything.
pub fn draw(frame: &mut Frame, model: &Model, screen: &Screen, palette: Palette) {
    let growing = model.trends.growing().len().min(OUTCOMES);
    let frontends = model.snapshot.frontends.len().min(FRONTENDS);
    let rows = |count: usize| Constraint::Length(if count == 0 { 0 } else { count as u16 + 1 });
    let [header, above, servers, details, outcomes, footer] = Layout::vertical([
        Constraint::Length(1),
        rows(frontends),
        Constraint::Min(3),
        Constraint::Length(DETAILS),
        rows(growing),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(self::header(model, palette), header);
    frame.render_widget(Paragraph::new(self::frontends(model, screen, above)), above);
    frame.render_widget(Paragraph::new(self::servers(model, screen, palette, servers)), servers);
    frame.render_widget(Paragraph::new(self::details(model, screen)), details);
    frame.render_widget(Paragraph::new(self::outcomes(model)), outcomes);
    frame.render_widget(self::footer(model, screen, palette), footer);
    if screen.helps {
        help(frame);
    }
}

/// Who it is, and what all of it comes to.
fn header(model: &Model, palette: Palette) -> Line<'static> {
    if let Some(trouble) = &model.trouble {
        return Line::styled(trouble.clone(), palette.alarm());
    }
    let snapshot = &model.snapshot;
    let mode = if snapshot.mode.is_empty() { "not attached" } else { &snapshot.mode };
    let agent = match snapshot.agent {
        Agent::Running { pid } => Span::raw(format!("agent {pid}")),
        Agent::NotRunning => Span::styled("agent not running", palette.alarm()),
    };
    let open: u64 = snapshot.frontends.iter().map(Frontend::all_open).sum();
    let Rates { connections, bytes_in, bytes_out } = model.trends.total();
    let [bytes_in, bytes_out] = [bytes_in, bytes_out].map(human::bytes);
    let rates = format!("  {open} open, {connections} conn/s, {bytes_in}/s in, {bytes_out}/s out");
    Line::from(vec![
        Span::styled(format!("xlb on {} ({mode})  ", snapshot.interface), TITLE),
        agent,
        Span::raw(rates),
    ])
}

fn frontends(model: &Model, screen: &Screen, area: Rect) -> Vec<Line<'static>> {
    let trend_width = trend_width(area);
    let title = format!(
        "{:<19} {:<21} {:>6} {:>6} {:>8} {:>8} {}",
        "FRONTEND",
        "ADDRESS",
        "OPEN",
        "CONN/S",
        "IN/S",
        "OUT/S",
        trend_title(screen)
    );
    let row = |frontend: &Frontend| {
        let trend = model.trends.of(&Whose::Frontend(frontend.name.clone()));
        let Rates { connections, bytes_in, bytes_out } = trend.rates;
        let [bytes_in, bytes_out] = [bytes_in, bytes_out].map(human::bytes);
        Line::raw(format!(
            "{:<19.19} {:<21} {:>6} {connections:>6} {bytes_in:>8} {bytes_out:>8} {}",
            frontend.name,
            frontend.bind.to_string(),
            frontend.all_open(),
            spark(&trend, screen, trend_width),
        ))
    };
    let rows = model.snapshot.frontends.iter().take(FRONTENDS).map(row);
    [Line::styled(title, TITLE)].into_iter().chain(rows).collect()
}

/// The servers by backend, as many as fit around the selected one.
fn servers(model: &Model, screen: &Screen, palette: Palette, area: Rect) -> Vec<Line<'static>> {
    let selected = screen.selected(model);
    let (mut rows, mut selected_row) = (Vec::new(), 0);
    for group in screen.groups(model) {
        rows.push(backend(model, group.backend, palette));
        for server in group.servers {
            let is_selected = selected == Some(Name::of(server));
            if is_selected {
                selected_row = rows.len();
            }
            rows.push(self::server(model, screen, server, is_selected, palette, area));
        }
    }
    if rows.is_empty() {
        rows.push(Line::raw(format!("no server matches {:?}; Esc shows all", screen.filter)));
    }
    let room = usize::from(area.height).saturating_sub(1);
    let first = scroll(rows.len(), selected_row, room);
    let title = format!(
        "{:<17} {:<9} {:>3} {:<9} {:>6} {:>6} {:>8} {:>8} {}",
        "SERVER",
        "STATE",
        "WT",
        "CHECK",
        "OPEN",
        "CONN/S",
        "IN/S",
        "OUT/S",
        trend_title(screen)
    );
    [Line::styled(title, TITLE)].into_iter().chain(rows.into_iter().skip(first).take(room)).collect()
}

/// The first row that is shown, so that the selected one is in the middle where that is possible.
fn scroll(rows: usize, selected: usize, room: usize) -> usize {
    selected.saturating_sub(room / 2).min(rows.saturating_sub(room))
}

fn backend(model: &Model, backend: &str, palette: Palette) -> Line<'static> {
    let servers = model.snapshot.servers.iter().filter(|server| server.backend == backend);
    let (usable, all) = servers
        .fold((0, 0), |(usable, all), server| (usable + usize::from(server.takes_connections()), all + 1));
    let outage = model.outages.of(backend);
    if outage.is_up {
        return Line::styled(format!("{backend}: {usable} of {all} usable"), TITLE);
    }
    let since = human::duration(model.at.saturating_sub(outage.since));
    Line::styled(format!("{backend}: NO SERVER of {all} is usable, for {since} or longer"), palette.alarm())
}

fn server(
    model: &Model,
    screen: &Screen,
    server: &Server,
    is_selected: bool,
    palette: Palette,
    area: Rect,
) -> Line<'static> {
    let trend = model.trends.of(&list::whose(server));
    let Rates { connections, bytes_in, bytes_out } = trend.rates;
    let [bytes_in, bytes_out] = [bytes_in, bytes_out].map(human::bytes);
    let check = server.check.as_ref().map_or("-", |check| &check.status);
    let backup = if server.backup { "*" } else { " " };
    let line = Line::from(vec![
        Span::raw(format!("{backup}{:<16.16} ", server.name)),
        Span::styled(format!("{:<9.9}", server.status), palette.of_server(server)),
        Span::raw(format!(
            " {:>3} {check:<9.9} {:>6} {connections:>6} {bytes_in:>8} {bytes_out:>8} {}",
            server.weight,
            server.all_open(),
            spark(&trend, screen, trend_width(area)),
        )),
    ]);
    if is_selected { line.style(SELECTED) } else { line }
}

/// What is left of a row for the trend: all other columns are as wide as they are.
fn trend_width(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(WIDTH - 6))
}

const fn trend_title(screen: &Screen) -> &'static str {
    match screen.trend {
        TrendOf::Connections => "CONNS",
        TrendOf::Bytes => "BYTES",
    }
}

fn spark(trend: &Trend, screen: &Screen, width: usize) -> String {
    let number = |rates: &Rates| match screen.trend {
        TrendOf::Connections => rates.connections,
        TrendOf::Bytes => rates.bytes(),
    };
    spark::line(trend.history.iter().map(number), width)
}

/// What else there is to know of the selected server.
fn details(model: &Model, screen: &Screen) -> Vec<Line<'static>> {
    let Some(selected) = screen.selected(model) else { return Vec::new() };
    let mut servers = model.snapshot.servers.iter();
    let Some(server) = servers.find(|server| Name::of(server) == selected) else { return Vec::new() };
    let gauge = model.gauges.of(&list::whose(server));
    let next_hop = server.next_hop.as_deref().unwrap_or("unknown");
    let backup = if server.backup { ", a backup" } else { "" };
    let since = server.since.map_or(String::new(), |since| format!(" for {}", human::duration(since)));
    vec![
        Line::styled(format!("{selected} {}, next hop {next_hop}{backup}", server.address), TITLE),
        Line::raw(format!("{}{since}; last check: {}", server.status, stats::last_check(server))),
        Line::raw(format!(
            "{} connections, {} refused, {} moved on; most at once {}, most a second {}",
            server.all_connections(),
            server.refused,
            server.redispatched,
            gauge.highest_open,
            gauge.highest_rate,
        )),
    ]
}

fn outcomes(model: &Model) -> Vec<Line<'static>> {
    let growing = model.trends.growing();
    if growing.is_empty() {
        return Vec::new();
    }
    let title = format!("{:<17} {:>8}  {}", "OUTCOME", "/S", "MEANING");
    let row = |growing: &super::trends::Growing| {
        let mut reasons = model.snapshot.reasons.iter();
        let reason = reasons.find(|reason| reason.name == growing.name);
        let meaning = reason.map_or("", |reason| &reason.description);
        Line::raw(format!("{:<17} {:>8}  {meaning}", growing.name, growing.rate))
    };
    [Line::styled(title, TITLE)].into_iter().chain(growing.iter().take(OUTCOMES).map(row)).collect()
}

fn footer(model: &Model, screen: &Screen, palette: Palette) -> Line<'static> {
    match (&screen.input, &screen.notice) {
        (Input::Filter, _) => {
            Line::raw(format!("filter: {}_   (Enter keeps it, Esc shows all)", screen.filter))
        }
        (Input::Maintenance(name), _) => Line::styled(
            format!("{name} into maintenance? Its connections may be reset. y or n"),
            palette.alarm(),
        ),
        (Input::Commands, Some(Notice::Done(text))) => Line::styled(text.clone(), TITLE),
        (Input::Commands, Some(Notice::Failed(text))) => Line::styled(text.clone(), palette.alarm()),
        (Input::Commands, None) => keys(model, screen),
    }
}

fn keys(model: &Model, screen: &Screen) -> Line<'static> {
    let order = screen.order.name();
    let reversed = if screen.is_reversed { "-" } else { "" };
    let changes = if model.has_agent() { "  d drain  r ready  m maint" } else { "" };
    let filter = if screen.filter.is_empty() { "filter" } else { &screen.filter };
    Line::raw(format!("q quit  ? help  s sort: {reversed}{order}  / {filter}  t trend{changes}"))
}

/// What the keys do.
const HELP: &[&str] = &[
    "q, Ctrl-C        leave",
    "up, down, j, k   select a server; also Home, End, page up and down",
    "d                drain: it gets no new connections",
    "r                ready: back to normal",
    "m, then y        maintenance: no connections and no checks",
    "s, S             sort by the next column; the other way round",
    "/                show only servers with a text in name, address or state",
    "Esc              show all again",
    "t                trends of connections or of bytes",
    "*                marks backup servers",
    "",
    "Any key closes this. xlb stats and xlb connections tell more.",
];

fn help(frame: &mut Frame) {
    let area = frame.area();
    let [_, middle, _] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(HELP.len() as u16 + 2),
        Constraint::Fill(1),
    ])
    .areas(area);
    let lines: Vec<Line> = [""].iter().chain(HELP).map(|line| Line::raw(format!("  {line}"))).collect();
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(lines), middle);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::stats::table_tests::snapshot;

    const COLOURED: Palette = Palette { has_colours: true };
    const PLAIN: Palette = Palette { has_colours: false };
    const SMALL: (u16, u16) = (WIDTH, 24);

    /// Ten looks, a second apart, in which ever more comes to fenn and to its frontend.
    fn model() -> Model {
        let mut model = Model::new(snapshot(), Duration::ZERO);
        let mut later = snapshot();
        for second in 1..10 {
            later.servers[1].connections += second;
            later.servers[1].traffic.bytes_out += second * 100_000;
            later.frontends[0].connections += second;
            later.reasons[0].count += 3;
            model.look(Ok(later.clone()), Duration::from_secs(second));
        }
        model
    }

    fn drawn((columns, rows): (u16, u16), model: &Model, screen: &Screen, palette: Palette) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("nothing can fail");
        terminal.draw(|frame| draw(frame, model, screen, palette)).expect("nothing can fail");
        terminal.backend().buffer().clone()
    }

    /// What can be read, without the blanks at the ends of lines.
    fn text(buffer: &Buffer) -> String {
        let row = |y| {
            let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        (0..buffer.area.height).map(row).collect()
    }

    fn press(screen: &mut Screen, model: &Model, key: char) {
        screen.press(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), model);
    }

    #[test]
    fn everything_fits_a_small_terminal() {
        let (model, mut screen) = (model(), Screen::default());
        press(&mut screen, &model, 'j');
        let shown = text(&drawn(SMALL, &model, &screen, PLAIN));
        assert_eq!(shown, include_str!("screen.txt"), "shown:\n{shown}");
    }

    #[test]
    fn a_large_one_shows_longer_trends() {
        let trend = |width| {
            let buffer = drawn((width, 30), &model(), &Screen::default(), PLAIN);
            let text = text(&buffer);
            let row = text.lines().find(|line| line.contains("fenn")).unwrap_or_default().to_owned();
            row.chars().filter(|character| ('▁'..='█').contains(character)).count()
        };
        assert_eq!((trend(80), trend(120)), (6, 9));
    }

    #[test]
    fn the_selected_server_is_always_shown() {
        let (model, mut screen) = (model(), Screen::default());
        for (key, name) in [('g', "bettley"), ('G', "backup")] {
            press(&mut screen, &model, key);
            for rows in 10..24 {
                let buffer = drawn((WIDTH, rows), &model, &screen, PLAIN);
                let is_reversed = |y| buffer[(1, y)].modifier.contains(Modifier::REVERSED);
                let selected = (0..rows).find(|y| is_reversed(*y)).unwrap_or_else(|| panic!("{rows} rows"));
                let line = text(&buffer).lines().nth(usize::from(selected)).unwrap_or_default().to_owned();
                assert!(line.starts_with(&format!(" {name}")), "{rows} rows: {line}");
            }
        }
    }

    #[test]
    fn no_size_does_harm() {
        let (model, mut screen) = (model(), Screen::default());
        for helps in [false, true] {
            screen.helps = helps;
            for columns in [1, 2, 79, 300] {
                for rows in [1, 2, 5, 100] {
                    drawn((columns, rows), &model, &screen, COLOURED);
                }
            }
        }
    }

    #[test]
    fn colours_are_used_only_where_they_may_be() {
        let coloured = |palette| {
            let buffer = drawn(SMALL, &model(), &Screen::default(), palette);
            buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert!(coloured(COLOURED) > 0);
        assert_eq!(coloured(PLAIN), 0);
    }

    #[test]
    fn trouble_is_said_and_the_last_look_stays() {
        let mut model = model();
        model.look(Err("no data plane at /sys/fs/bpf/xlb".into()), Duration::from_secs(20));
        let shown = text(&drawn(SMALL, &model, &Screen::default(), PLAIN));
        assert!(shown.starts_with("no data plane at /sys/fs/bpf/xlb\n"), "{shown}");
        assert!(shown.contains("fenn") && !shown.contains("d drain"), "{shown}");
    }

    #[test]
    fn what_is_typed_and_asked_is_in_the_last_line() {
        let (model, mut screen) = (model(), Screen::default());
        let last = |screen: &Screen| {
            let shown = text(&drawn(SMALL, &model, screen, PLAIN));
            shown.lines().last().unwrap_or_default().to_owned()
        };
        assert!(last(&screen).starts_with("q quit"), "{}", last(&screen));
        press(&mut screen, &model, '/');
        press(&mut screen, &model, 'f');
        assert!(last(&screen).starts_with("filter: f_"), "{}", last(&screen));
        screen = Screen::default();
        press(&mut screen, &model, 'm');
        assert!(last(&screen).starts_with("k8s-api-server/bettley into maintenance?"), "{}", last(&screen));
        press(&mut screen, &model, 'n');
        assert_eq!(last(&screen), "k8s-api-server/bettley stays as it is");
    }
}
