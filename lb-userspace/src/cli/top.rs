//! `xlb top`: the data plane on a terminal, as it changes, with or without an agent.

use std::future;
use std::io::{self, IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, EventStream, KeyEventKind};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Error;
use super::interrupts::Interrupts;
use crate::clock;
use crate::dataplane::pins::Pins;
use crate::dataplane::status::Admin;
use crate::observe::Observer;
use crate::socket::{Command, Complaint, NoAnswer, ServerChange, ask};
use crate::stats::{Snapshot, Style};
use crate::top::{Model, Name, Notice, Palette, Screen, Wish, draw};

/// Watch servers, connections and rates, and drain a server by a key. `?` lists the keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often it looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = super::stats::pause)]
    every: Duration,
}

/// A terminal in our hands, given back however this ends; ratatui's hook does so when the program panics.
struct Screened(DefaultTerminal);

/// A request to the agent that is under way.
type Asking = JoinHandle<(String, Result<Result<(), Complaint>, NoAnswer>)>;

/// Draws until the user leaves, or a signal ends it.
pub fn run(args: &Args, pins: &Pins, socket: &Path) -> Result<(), Error> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Error::NotATerminal);
    }
    let model = Model::new(look(pins)?, clock::monotonic());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(watch(args.every, pins, socket, model));
    // An agent that does not answer is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn watch(every: Duration, pins: &Pins, socket: &Path, mut model: Model) -> Result<(), Error> {
    let mut interrupts = Interrupts::new()?;
    let mut terminal = Screened::take()?;
    let palette = Palette::of(Style::of_stdout());
    let mut events = EventStream::new();
    let mut looks = interval(every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first look has been.
    looks.tick().await;
    let (mut screen, mut asking) = (Screen::default(), None);
    loop {
        terminal.0.draw(|frame| draw(frame, &model, &screen, palette))?;
        tokio::select! {
            _ = looks.tick() => model.look(look(pins).map_err(|error| error.to_string()), clock::monotonic()),
            event = events.next() => match event.transpose()? {
                Some(event) => match wish(&event, &mut screen, &model) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Change(name, admin)) => wishes(&mut screen, &mut asking, socket, &name, admin),
                    None => {}
                },
                // The terminal is gone.
                None => return Ok(()),
            },
            notice = answer(&mut asking) => {
                screen.tell(notice);
                model.glance(look(pins).map_err(|error| error.to_string()), clock::monotonic());
            }
            _ = interrupts.next() => return Ok(()),
        }
    }
}

/// Opens the data plane anew: the one of before may have been taken down since.
fn look(pins: &Pins) -> Result<Snapshot, Error> {
    Ok(Observer::open(pins)?.snapshot()?)
}

/// What an event makes the user want; one of another size only has the screen drawn again.
fn wish(event: &Event, screen: &mut Screen, model: &Model) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => screen.press(*key, model),
        _ => None,
    }
}

/// Asks the agent on a thread of its own, one thing at a time.
fn wishes(screen: &mut Screen, asking: &mut Option<Asking>, socket: &Path, name: &Name, admin: Admin) {
    if asking.is_some() {
        return screen.tell(Notice::Failed("the agent has not answered yet".to_owned()));
    }
    let change = Command::Server {
        backend: name.backend.clone(),
        name: name.server.clone(),
        change: ServerChange::State(admin),
    };
    let (socket, what): (PathBuf, _) = (socket.to_owned(), format!("{name}: {admin}"));
    screen.tell(Notice::Done(format!("{what} …")));
    *asking = Some(tokio::task::spawn_blocking(move || (what, ask(&socket, &change))));
}

/// Waits for the agent's answer; for ever, if it was not asked.
async fn answer(asking: &mut Option<Asking>) -> Notice {
    let Some(asked) = asking else { return future::pending().await };
    let answered = asked.await;
    *asking = None;
    match answered {
        Ok((what, Ok(Ok(())))) => Notice::Done(what),
        Ok((what, Ok(Err(complaint)))) => Notice::Failed(format!("{what}: {complaint}")),
        Ok((what, Err(no_answer))) => Notice::Failed(format!("{what}: {no_answer}")),
        Err(error) => Notice::Failed(error.to_string()),
    }
}

impl Screened {
    fn take() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screened {
    fn drop(&mut self) {
        // A terminal that has hung up needs nothing back.
        let _ = ratatui::try_restore();
    }
}
