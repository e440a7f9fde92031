//! One timeout and one check for a backend, where `HAProxy` has them for each side and each server.

use std::time::Duration;

use super::note::Note;
use super::outline::{Backend, Check, Https, Observe, Timeouts};
use super::proxy::{Proxy, Said};
use super::server::{self, Server};
use super::time::Time;
use crate::config::model;

/// The backend half of a proxy, whose clients come through `frontends`.
pub(super) fn backend(proxy: &Proxy, frontends: &[&Proxy], notes: &mut Vec<Note>) -> Backend {
    Backend {
        name: proxy.name.clone(),
        timeouts: Timeouts { connect: connect(proxy, notes), idle: idle(proxy, frontends, notes) },
        check: check(proxy, notes),
        on_marked_down: on_marked_down(proxy, notes),
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
    let model = proxy.servers.iter().find(|server| server.options.is_checked)?;
    notes.extend(proxy.servers.iter().filter_map(|server| other_check(server, model)));
    let server::Check { inter, fall, rise, .. } = &model.options.check;
    let default = model::Check::default();
    let interval = inter.as_ref().map_or(default.interval, |inter| inter.duration);
    // HAProxy gives a check the shorter of the two times to connect.
    let timeout = proxy.connect.as_ref().filter(|connect| connect.value.duration < interval);
    Some(Check {
        interval: inter.as_ref().map_or(format!("{}s", interval.as_secs()), |inter| inter.text.clone()),
        timeout: timeout.map(|connect| connect.value.text.clone()),
        fall: fall.clone().unwrap_or(default.fall.to_string()),
        rise: rise.clone().unwrap_or(default.rise.to_string()),
        https: https(proxy, model, notes),
        observe: observe(model, notes),
    })
}

/// The page that is asked for over TLS; xlb has no other that is.
fn https(proxy: &Proxy, model: &Server, notes: &mut Vec<Note>) -> Option<Https> {
    let options = &model.options.check;
    let (line, page) = match (proxy.httpchk.line, options.ssl) {
        (Some(line), true) => (line, &proxy.httpchk),
        (Some(line), false) => {
            let text = "option httpchk: carried as a TCP check, which opens a connection and closes it; \
                        xlb can ask for a page over HTTPS, but not over HTTP";
            notes.push(Note::at(line, text));
            return None;
        }
        (None, true) => {
            let text = format!(
                "server {}: check-ssl: carried as a TCP check; type = \"https\" would ask for a page over TLS",
                model.name
            );
            notes.push(Note::at(model.line, text));
            return None;
        }
        (None, false) => return None,
    };
    // HAProxy's own method is OPTIONS.
    if page.method.as_deref() != Some("GET") {
        let method = page.method.as_deref().unwrap_or("OPTIONS");
        notes.push(Note::at(line, format!("option httpchk: carried as GET, in place of {method}")));
    }
    let default = model::Https::default();
    if page.status.is_none() {
        let text = format!(
            "option httpchk: HAProxy is content with any status from 200 to 399, xlb with one: status = {}",
            default.status
        );
        notes.push(Note::at(line, text));
    }
    let verify = options.verify.as_deref() != Some("none");
    Some(Https {
        // HAProxy's own.
        path: page.path.clone().unwrap_or_else(|| "/".to_owned()),
        status: page.status.clone().unwrap_or(default.status.to_string()),
        verify,
        // What begins with @ is a store of HAProxy's; the system's is xlb's default.
        ca_file: options.ca_file.clone().filter(|file| verify && !file.starts_with('@')),
        server_name: options.name.clone(),
    })
}

/// Failed connects of clients as a reason to take a server down.
fn observe(model: &Server, notes: &mut Vec<Note>) -> Option<Observe> {
    let options = &model.options.check;
    let name = &model.name;
    let layer = options.observe.as_deref()?;
    if layer != "layer4" {
        let text = format!("server {name}: `observe {layer}` is not carried: xlb observes connects only");
        notes.push(Note::at(model.line, text));
        return None;
    }
    let on_error = options.on_error.as_deref().unwrap_or("fail-check");
    if on_error != "mark-down" {
        let text = format!(
            "server {name}: observe: at the error limit xlb takes the server DOWN, in place of {on_error}"
        );
        notes.push(Note::at(model.line, text));
    }
    Some(Observe { error_limit: options.error_limit.clone() })
}

/// What becomes of the connections of a DOWN server, if a server says it.
fn on_marked_down(proxy: &Proxy, notes: &mut Vec<Note>) -> Option<String> {
    let resets = |server: &&Server| server.options.on_marked_down.as_deref() == Some("shutdown-sessions");
    let model = proxy.servers.iter().find(resets)?;
    let others = proxy.servers.iter().filter(|server| !resets(server));
    notes.extend(others.map(|server| {
        let text = format!(
            "server {}: on-marked-down is taken from {}, for the whole backend",
            server.name, model.name
        );
        Note::at(server.line, text)
    }));
    Some("reset".to_owned())
}

/// A note on a server whose check is another one than the backend's.
fn other_check(server: &Server, model: &Server) -> Option<Note> {
    let (own, used) = (&server.options, &model.options);
    let text = if !own.is_checked {
        format!("server {}: has no check in HAProxy, and is checked like {}", server.name, model.name)
    } else if own.check != used.check {
        format!(
            "server {}: its check differs from that of {} in line {}, which is carried for the whole backend",
            server.name, model.name, model.line
        )
    } else {
        return None;
    };
    Some(Note::at(server.line, text))
}
