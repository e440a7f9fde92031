//! One timeout and one check for a backend, where `HAProxy` has them for each side and each server.

use std::time::Duration;

use super::note::Note;
use super::outline::{Backend, Check, Timeouts};
use super::proxy::{Proxy, Said};
use super::server::{Options, Server};
use super::time::Time;
use crate::config::model;

/// The backend half of a proxy, whose clients come through `frontends`.
pub(super) fn backend(proxy: &Proxy, frontends: &[&Proxy], notes: &mut Vec<Note>) -> Backend {
    Backend {
        name: proxy.name.clone(),
        timeouts: Timeouts { connect: connect(proxy, notes), idle: idle(proxy, frontends, notes) },
        check: check(proxy, notes),
        servers: proxy.servers.clone(),
    }
}

fn connect(proxy: &Proxy, notes: &mut Vec<Note>) -> Option<String> {
    if proxy.connect.is_none() {
        notes.push(endless(proxy, "timeout connect", model::Timeouts::default().connect));
    }
    proxy.connect.as_ref().map(|connect| connect.value.text.clone())
}

/// The longest time that either side may be silent.
fn idle(proxy: &Proxy, frontends: &[&Proxy], notes: &mut Vec<Note>) -> Option<String> {
    if let Some(tunnel) = &proxy.tunnel {
        return Some(tunnel.value.text.clone());
    }
    let clients = frontends.iter().filter_map(|frontend| frontend.client.as_ref());
    let sides: Vec<&Said<Time>> = proxy.server.iter().chain(clients).collect();
    let Some(longest) = sides.iter().max_by_key(|side| side.value.duration) else {
        notes.push(endless(proxy, "timeout client or server", model::Timeouts::default().idle));
        return None;
    };
    let shorter = sides.iter().filter(|side| side.value.duration < longest.value.duration);
    notes.extend(shorter.map(|side| {
        let (shorter, longer) = (&side.value.text, &longest.value.text);
        let text = format!(
            "the timeouts of client and server differ, {shorter} here and {longer} in line {}; \
             xlb has one for both: idle = \"{longer}\"",
            longest.line
        );
        Note::at(side.line, text)
    }));
    Some(longest.value.text.clone())
}

/// `HAProxy` waits for ever where xlb has a default.
fn endless(proxy: &Proxy, setting: &str, default: Duration) -> Note {
    let default = default.as_secs();
    proxy.note(&format!("without {setting}, HAProxy waits for ever; xlb's default of {default}s holds"))
}

/// The check of the first server that has one, for all of them.
fn check(proxy: &Proxy, notes: &mut Vec<Note>) -> Option<Check> {
    let model = proxy.servers.iter().find(|server| server.options.check)?;
    notes.extend(proxy.servers.iter().filter_map(|server| other_check(server, model)));
    let Options { inter, fall, rise, .. } = &model.options;
    let default = model::Check::default();
    let interval = inter.as_ref().map_or(default.interval, |inter| inter.duration);
    // HAProxy gives a check the shorter of the two times to connect.
    let timeout = proxy.connect.as_ref().filter(|connect| connect.value.duration < interval);
    Some(Check {
        interval: inter.as_ref().map_or(format!("{}s", interval.as_secs()), |inter| inter.text.clone()),
        timeout: timeout.map(|connect| connect.value.text.clone()),
        fall: fall.clone().unwrap_or(default.fall.to_string()),
        rise: rise.clone().unwrap_or(default.rise.to_string()),
    })
}

/// A note on a server whose check is another one than the backend's.
fn other_check(server: &Server, model: &Server) -> Option<Note> {
    let (own, used) = (&server.options, &model.options);
    let text = if !own.check {
        format!("server {}: has no check in HAProxy, and is checked like {}", server.name, model.name)
    } else if (&own.inter, &own.fall, &own.rise) != (&used.inter, &used.fall, &used.rise) {
        format!(
            "server {}: its check differs from that of {} in line {}, which is carried for the whole backend",
            server.name, model.name, model.line
        )
    } else {
        return None;
    };
    Some(Note::at(server.line, text))
}
