//! What the user has made of the screen, and what keys do to it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::list::{self, Group, Name};
use super::{Model, Order};
use crate::dataplane::status::Admin;

/// How many rows a page is.
const PAGE: usize = 10;

/// What is selected, sorted and filtered, and what is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// What servers are sorted by.
    pub order: Order,
    /// Whether the other way round.
    pub is_reversed: bool,
    /// Only servers with this in their names, address or state.
    pub filter: String,
    /// What trends are of.
    pub trend: TrendOf,
    /// Whether the keys are explained.
    pub helps: bool,
    /// What keys are taken for.
    pub input: Input,
    /// What the user is told.
    pub notice: Option<Notice>,
    /// The server that keys are about; none until one was chosen, which means the first.
    chosen: Option<Name>,
}

/// What keys are taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Commands.
    #[default]
    Commands,
    /// The text of the filter.
    Filter,
    /// The answer to the question whether a server is to go into maintenance.
    Maintenance(Name),
}

/// What is shown as a trend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrendOf {
    /// New connections a second.
    #[default]
    Connections,
    /// Bytes a second both ways.
    Bytes,
}

/// Something that the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What was done, or is under way.
    Done(String),
    /// What was not done, and why.
    Failed(String),
}

/// What the user wants done that is more than another view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To leave.
    Quit,
    /// A server in another state.
    Change(Name, Admin),
}

impl Screen {
    /// The servers that are shown.
    #[must_use]
    pub fn groups<'m>(&self, model: &'m Model) -> Vec<Group<'m>> {
        list::groups(model, self.order, self.is_reversed, &self.filter)
    }

    /// The server that keys are about: the chosen one if it is shown, else the first.
    #[must_use]
    pub fn selected(&self, model: &Model) -> Option<Name> {
        let shown = self.shown(model);
        self.chosen.clone().filter(|name| shown.contains(name)).or_else(|| shown.into_iter().next())
    }

    /// Takes a key.
    pub fn press(&mut self, key: KeyEvent, model: &Model) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c')).then_some(Wish::Quit);
        }
        self.notice = None;
        match self.input.clone() {
            Input::Commands if self.helps => self.close_help(key.code),
            Input::Commands => self.command(key.code, model),
            Input::Filter => {
                self.type_filter(key.code);
                None
            }
            Input::Maintenance(name) => self.answer(key.code, name, model),
        }
    }

    /// Tells the user what has become of a wish.
    pub fn tell(&mut self, notice: Notice) {
        self.notice = Some(notice);
    }

    fn close_help(&mut self, key: KeyCode) -> Option<Wish> {
        self.helps = false;
        (key == KeyCode::Char('q')).then_some(Wish::Quit)
    }

    fn command(&mut self, key: KeyCode, model: &Model) -> Option<Wish> {
        match key {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('?' | 'h') => self.helps = true,
            KeyCode::Up | KeyCode::Char('k') => self.move_by(model, |place| place.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(model, |place| place + 1),
            KeyCode::PageUp => self.move_by(model, |place| place.saturating_sub(PAGE)),
            KeyCode::PageDown => self.move_by(model, |place| place + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(model, |_| 0),
            KeyCode::End | KeyCode::Char('G') => self.move_by(model, |_| usize::MAX),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('S') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('t') => self.trend = self.trend.other(),
            KeyCode::Char('/') => self.input = Input::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('d') => return self.change(model, Admin::Drain),
            KeyCode::Char('r') => return self.change(model, Admin::Ready),
            KeyCode::Char('m') => self.ask_for_maintenance(model),
            _ => {}
        }
        None
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char(character) => self.filter.push(character),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.input = Input::Commands,
            KeyCode::Esc => {
                self.filter.clear();
                self.input = Input::Commands;
            }
            _ => {}
        }
    }

    /// Maintenance resets connections, so it is asked for twice.
    fn ask_for_maintenance(&mut self, model: &Model) {
        match self.changeable(model) {
            Ok(name) => self.input = Input::Maintenance(name),
            Err(why) => self.notice = Some(Notice::Failed(why)),
        }
    }

    /// The server is the one that was asked about, wherever it is shown by now.
    fn answer(&mut self, key: KeyCode, name: Name, model: &Model) -> Option<Wish> {
        self.input = Input::Commands;
        if key != KeyCode::Char('y') {
            self.notice = Some(Notice::Done(format!("{name} stays as it is")));
            return None;
        }
        if model.has_agent() {
            return Some(Wish::Change(name, Admin::Maint));
        }
        self.notice = Some(Notice::Failed(NO_AGENT.to_owned()));
        None
    }

    fn change(&mut self, model: &Model, admin: Admin) -> Option<Wish> {
        match self.changeable(model) {
            Ok(name) => Some(Wish::Change(name, admin)),
            Err(why) => {
                self.notice = Some(Notice::Failed(why));
                None
            }
        }
    }

    /// The selected server, or why it cannot be changed.
    fn changeable(&self, model: &Model) -> Result<Name, String> {
        let name = self.selected(model).ok_or("no server is shown")?;
        if model.has_agent() { Ok(name) } else { Err(NO_AGENT.to_owned()) }
    }

    fn move_by(&mut self, model: &Model, to: impl FnOnce(usize) -> usize) {
        let shown = self.shown(model);
        let selected = self.selected(model);
        let place = shown.iter().position(|name| Some(name) == selected.as_ref()).unwrap_or_default();
        let last = shown.len().saturating_sub(1);
        self.chosen = shown.into_iter().nth(to(place).min(last));
    }

    fn shown(&self, model: &Model) -> Vec<Name> {
        let groups = self.groups(model);
        groups.iter().flat_map(|group| group.servers.iter().map(|server| Name::of(server))).collect()
    }
}

/// What keys that change servers say without an agent.
const NO_AGENT: &str = "no agent runs that could change a server; start it with `xlb run`";

impl TrendOf {
    const fn other(self) -> Self {
        match self {
            Self::Connections => Self::Bytes,
            Self::Bytes => Self::Connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::Agent;
    use crate::stats::table_tests::snapshot;

    fn model() -> Model {
        Model::new(snapshot(), Duration::ZERO)
    }

    fn without_agent() -> Model {
        let mut snapshot = snapshot();
        snapshot.agent = Agent::NotRunning;
        Model::new(snapshot, Duration::ZERO)
    }

    fn name(backend: &str, server: &str) -> Name {
        Name { backend: backend.into(), server: server.into() }
    }

    /// Presses keys, named by a character each, and returns the last wish.
    fn press(screen: &mut Screen, keys: &str, model: &Model) -> Option<Wish> {
        let key = |character| match character {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x7f' => KeyCode::Backspace,
            other => KeyCode::Char(other),
        };
        let press = |character| screen.press(KeyEvent::new(key(character), KeyModifiers::NONE), model);
        keys.chars().map(press).last().flatten()
    }

    #[test]
    fn the_selection_stays_with_its_server() {
        let (model, mut screen) = (model(), Screen::default());
        let selected = |screen: &Screen| screen.selected(&model).map(|name| name.server);
        assert_eq!(selected(&screen).as_deref(), Some("bettley"));
        press(&mut screen, "j", &model);
        assert_eq!(selected(&screen).as_deref(), Some("fenn"));
        press(&mut screen, "sS", &model);
        assert_eq!(selected(&screen).as_deref(), Some("fenn"), "wherever it is sorted to");
        press(&mut screen, "G", &model);
        assert_eq!(selected(&screen).as_deref(), Some("backup"));
        press(&mut screen, "jjj", &model);
        assert_eq!(selected(&screen).as_deref(), Some("backup"), "there is nothing behind the last");
        press(&mut screen, "gk", &model);
        assert_eq!(selected(&screen).as_deref(), Some("fenn"), "sorted by name, the other way round");
    }

    #[test]
    fn a_filter_is_typed_and_takes_the_selection_along() {
        let (model, mut screen) = (model(), Screen::default());
        press(&mut screen, "j/bett", &model);
        assert_eq!(screen.selected(&model), Some(name("k8s-api-server", "bettley")), "fenn is not shown");
        press(&mut screen, "\x1b/fennq\x7f", &model);
        assert_eq!((screen.filter.as_str(), &screen.input), ("fenn", &Input::Filter));
        assert_eq!(screen.selected(&model), Some(name("k8s-api-server", "fenn")));
        press(&mut screen, "\n", &model);
        assert_eq!(press(&mut screen, "q", &model), Some(Wish::Quit), "a command again");
        press(&mut screen, "\x1b", &model);
        assert_eq!(screen.filter, "");
        press(&mut screen, "/nobody\n", &model);
        assert_eq!(screen.selected(&model), None);
        assert_eq!(press(&mut screen, "d", &model), None);
    }

    #[test]
    fn keys_change_the_selected_server() {
        let (model, mut screen) = (model(), Screen::default());
        let fenn = || name("k8s-api-server", "fenn");
        assert_eq!(press(&mut screen, "jd", &model), Some(Wish::Change(fenn(), Admin::Drain)));
        assert_eq!(press(&mut screen, "r", &model), Some(Wish::Change(fenn(), Admin::Ready)));
        assert_eq!(press(&mut screen, "m", &model), None, "it asks first");
        assert_eq!(screen.input, Input::Maintenance(fenn()));
        assert_eq!(press(&mut screen, "y", &model), Some(Wish::Change(fenn(), Admin::Maint)));
        assert_eq!(press(&mut screen, "mn", &model), None);
        assert_eq!(press(&mut screen, "y", &model), None, "the question is over");
    }

    #[test]
    fn without_an_agent_they_say_so() {
        let model = without_agent();
        for keys in ["d", "r", "m"] {
            let mut screen = Screen::default();
            assert_eq!(press(&mut screen, keys, &model), None);
            assert_eq!(screen.notice, Some(Notice::Failed(NO_AGENT.into())));
            assert_eq!(screen.input, Input::Commands);
        }
    }

    #[test]
    fn help_ends_with_any_key_and_control_c_ends_all() {
        let (model, mut screen) = (model(), Screen::default());
        press(&mut screen, "?", &model);
        assert!(screen.helps);
        assert_eq!(press(&mut screen, "d", &model), None);
        assert!(!screen.helps);
        press(&mut screen, "/", &model);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.press(interrupt, &model), Some(Wish::Quit));
    }
}
