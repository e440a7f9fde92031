//! Servers by name, and the lists of them.

use std::fmt::Write;

use crate::dataplane::status::Admin;
use crate::socket::{Missing, ServerName};
use crate::stats::haproxy::{Column, Kind, rows};
use crate::stats::{Server, ServerState, Snapshot, View, Whose};

/// The version of the list's form.
const STATE_VERSION: u32 = 1;

/// How long HAProxy keeps an idle connection to a server, in ms. There are none.
const PURGE_DELAY: u32 = 5000;

const STATE_COLUMNS: &str = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
     srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
     srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
     srv_check_addr srv_agent_addr srv_agent_port";

const CONNECTION_COLUMNS: &str = "bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est \
     unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[1]";

/// The server that has a name.
pub fn find<'s>(name: &ServerName, snapshot: &'s Snapshot) -> Result<&'s Server, Missing> {
    name.find(configured(snapshot), |server| (&server.backend, &server.name))
}

/// The servers that have not left the configuration.
fn configured(snapshot: &Snapshot) -> impl Iterator<Item = &Server> {
    snapshot.servers.iter().filter(|server| server.state != ServerState::Removed)
}

/// The names of all backends.
pub fn backends(view: &View) -> String {
    let mut text = String::from("# name\n");
    let rows = rows(view);
    let names = rows.iter().filter(|row| row.kind == Kind::Backend).filter_map(|row| row.get(Column::Pxname));
    for name in names {
        let _ = writeln!(text, "{name}");
    }
    text
}

/// `show servers state`.
pub fn states(view: &View, backend: Option<&str>) -> String {
    let line = |text: &mut String, numbers, server: &Server| state_line(text, view, numbers, server);
    format!("{STATE_VERSION}\n{}", list(view, backend, STATE_COLUMNS, line))
}

/// `show servers conn`.
pub fn connections(view: &View, backend: Option<&str>) -> String {
    let line = |text: &mut String, numbers, server: &Server| connection_line(text, view, numbers, server);
    list(view, backend, CONNECTION_COLUMNS, line)
}

/// A line for each server, with the numbers of backend and server.
fn list(
    view: &View,
    backend: Option<&str>,
    columns: &str,
    line: impl Fn(&mut String, (u32, u32), &Server),
) -> String {
    let mut text = format!("# {columns}\n");
    for row in rows(view).iter().filter(|row| row.kind == Kind::Server) {
        let word = |column| row.get(column).map(ToString::to_string).unwrap_or_default();
        let named = ServerName { backend: word(Column::Pxname), name: word(Column::Svname) };
        let is_wanted = backend.is_none_or(|backend| named.backend == backend);
        if let Ok(server) = find(&named, &view.snapshot)
            && is_wanted
        {
            line(&mut text, (row.iid, row.sid), server);
        }
    }
    text
}

fn state_line(text: &mut String, view: &View, (iid, sid): (u32, u32), server: &Server) {
    let Server { backend, name, weight, configured_weight, .. } = server;
    let (address, port) = (server.address.ip(), server.address.port());
    let (operation, admin) = (operation(server), admin(server.admin));
    let since = server.since.unwrap_or(view.process.uptime).as_secs();
    let (status, result) = server.check.as_ref().map_or(NEVER_CHECKED, |check| check_numbers(&check.status));
    let health = server.standing.map_or(UNCHECKED_HEALTH, |standing| standing.counter);
    let check = check_state(server);
    let _ = writeln!(
        text,
        "{iid} {backend} {sid} {name} {address} {operation} {admin} {weight} {configured_weight} {since} {status} \
         {result} {health} {check} 0 0 0 - {port} - 0 0 - - 0"
    );
}

fn connection_line(text: &mut String, view: &View, (iid, sid): (u32, u32), server: &Server) {
    let Server { backend, name, .. } = server;
    let (address, port) = (server.address.ip(), server.address.port());
    let open = server.all_open();
    let gauge = view.gauges.of(&Whose::Server(backend.clone(), name.clone()));
    let most = gauge.highest_open.max(open);
    let _ = writeln!(
        text,
        "{backend}/{name} {iid}/{sid} {address} {port} - {PURGE_DELAY} {open} {most} {open} 0 0 -1 0 0"
    );
}

/// HAProxy's `SRV_ST_STOPPED` and `SRV_ST_RUNNING`.
const fn operation(server: &Server) -> u32 {
    match server.state {
        ServerState::Down | ServerState::Maint | ServerState::Removed => 0,
        ServerState::Up | ServerState::NoCheck | ServerState::Drain => 2,
    }
}

/// HAProxy's `SRV_ADMF_FMAINT` and `SRV_ADMF_FDRAIN`: by the operator's word.
const fn admin(admin: Admin) -> u32 {
    match admin {
        Admin::Ready => 0,
        Admin::Maint => 0x01,
        Admin::Drain => 0x08,
    }
}

/// The health that HAProxy shows of a server without a check: its `rise`, which is 2 where none is set.
const UNCHECKED_HEALTH: u32 = 2;

/// HAProxy's `HCHK_STATUS_INI` and `CHK_RES_UNKNOWN`.
const NEVER_CHECKED: (u32, u32) = (1, 0);

/// HAProxy's numbers for the status of a check (`enum healthcheck_status`) and what that comes to: 2 for
/// failed, 3 for passed.
fn check_numbers(status: &str) -> (u32, u32) {
    match status {
        "HANA" => (4, 2),
        "L4OK" => (6, 3),
        "L4TOUT" => (7, 2),
        "L4CON" => (8, 2),
        "L6TOUT" => (10, 2),
        "L6RSP" => (11, 2),
        "L7TOUT" => (12, 2),
        "L7RSP" => (13, 2),
        "L7OK" => (15, 3),
        "L7STS" => (17, 2),
        _ => NEVER_CHECKED,
    }
}

/// HAProxy's `CHK_ST_CONFIGURED`, `CHK_ST_ENABLED` and `CHK_ST_PAUSED`.
fn check_state(server: &Server) -> u32 {
    const CONFIGURED: u32 = 0x02;
    const ENABLED: u32 = 0x04;
    const PAUSED: u32 = 0x08;
    if server.standing.is_none() {
        return 0;
    }
    let enabled = if server.checks_off { 0 } else { ENABLED };
    let paused = if server.state == ServerState::Maint { PAUSED } else { 0 };
    CONFIGURED | enabled | paused
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dataplane::status::Standing;
    use crate::stats::haproxy::tests::view;

    #[test]
    fn states_are_haproxys_numbers() {
        let mut view = view();
        let [bettley, fenn, backup] = &mut view.snapshot.servers[..] else { panic!("three servers") };
        bettley.standing = Some(Standing { counter: 4, rise: 2, fall: 3 });
        bettley.admin = Admin::Drain;
        (fenn.state, fenn.admin) = (ServerState::Maint, Admin::Maint);
        backup.since = None;
        view.process.uptime = Duration::from_secs(7);
        let text = states(&view, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1");
        assert!(lines[1].starts_with("# be_id be_name srv_id "), "{text}");
        assert_eq!(
            lines[2..],
            [
                "3 k8s-api-server 1 bettley 198.18.0.11 2 8 2 1 61 6 3 4 6 0 0 0 - 6443 - 0 0 - - 0",
                "3 k8s-api-server 2 fenn 198.18.0.15 0 1 2 1 61 8 2 1 14 0 0 0 - 6443 - 0 0 - - 0",
                "4 other 1 backup 198.18.0.16 2 0 2 1 7 1 0 2 0 0 0 0 - 6443 - 0 0 - - 0",
            ]
        );
        let names = lines[1].split(' ').count() - 1;
        assert!(lines[2..].iter().all(|line| line.split(' ').count() == names), "{text}");
        assert_eq!(states(&view, Some("other")).lines().count(), 3);
    }

    #[test]
    fn connections_are_those_that_are_open() {
        let text = connections(&view(), Some("k8s-api-server"));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# bkname/svname bkid/svid addr port - "), "{text}");
        assert_eq!(
            lines[1..],
            [
                "k8s-api-server/bettley 3/1 198.18.0.11 6443 - 5000 0 0 0 0 0 -1 0 0",
                "k8s-api-server/fenn 3/2 198.18.0.15 6443 - 5000 5 5 5 0 0 -1 0 0",
            ]
        );
    }

    #[test]
    fn who_has_left_the_configuration_is_missing() {
        let mut view = view();
        view.snapshot.servers[1].state = ServerState::Removed;
        let found = |name: &str| {
            let name = name.parse().expect("a name");
            find(&name, &view.snapshot).map(|server| server.name.as_str())
        };
        assert_eq!(found("k8s-api-server/bettley"), Ok("bettley"));
        assert_eq!(found("k8s-api-server/fenn"), Err(Missing::Server));
        assert_eq!(found("other/backup"), Ok("backup"));
        assert!(!states(&view, None).contains("fenn"));
        assert_eq!(backends(&view), "# name\nk8s-api-server\nother\n");
    }
}
