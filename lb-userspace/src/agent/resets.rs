//! The connections of a server that is DOWN or in maintenance are ended, but not for a fault that may
//! be ours, and not while there is no other server.

use std::collections::BTreeSet;

use lb_common::ending::How;
use lb_common::event::ConnectFailed;
use tracing::info;

use super::{Agent, Error, complain};
use crate::config::model::OnMarkedDown;
use crate::dataplane::status::{Admin, ServerStatus};
use crate::health::{Event, Evidence, Transition, Verdict};
use crate::plan::Watch;
use crate::reset::{Ended, Resetter};

/// Servers that are DOWN or in maintenance and whose connections are still there.
pub(super) struct Resets {
    resetter: Resetter,
    evidence: Evidence,
    due: BTreeSet<u16>,
}

impl Resets {
    pub fn new() -> Result<Self, Error> {
        Ok(Self { resetter: Resetter::new()?, evidence: Evidence::default(), due: BTreeSet::new() })
    }

    /// A server has no number any more; the next one with it is another.
    pub fn forget_server(&mut self, number: u16) {
        self.evidence.forget(number.into());
        self.due.remove(&number);
    }

    /// Nothing that was seen before counts any more, as after our own link was down. What is due stays
    /// due, and waits for new evidence.
    pub fn forget(&mut self) {
        self.evidence.clear();
    }
}

impl Agent {
    /// Takes in what a check has found.
    pub(super) fn on_evidence(&mut self, event: &Event) {
        let number = event.server as u16;
        if event.transition == Some(Transition::Down) {
            self.want_end(number);
        }
        match event.health.last_check() {
            Some(check) if check.status.is_of_check() => self.resets.evidence.record(event.server, check),
            // Connects of clients say nothing of when the server failed: a check does.
            _ => self.check_now(&[event.server]),
        }
    }

    /// A server is gone, and so its connections are to end, if the configuration wants it so.
    pub(super) fn want_end(&mut self, server: u16) {
        if self.is_to_be_reset(server) {
            self.resets.due.insert(server);
        }
    }

    /// What was seen of a server before says nothing any more.
    pub(super) fn forget_evidence(&mut self, server: u16) {
        self.resets.evidence.forget(server.into());
    }

    /// Ends the connections of those servers for which it is clear now that this is right.
    pub(super) fn judge_due(&mut self) {
        for server in self.resets.due.clone() {
            complain(self.judge(server));
        }
    }

    /// The servers that a former agent has left DOWN or in maintenance: it may have been waiting.
    pub(super) fn resume_resets(&mut self) {
        let servers = self.roster.status().servers.iter().map(|server| server.number);
        let due: Vec<u16> = servers.filter(|number| self.is_to_be_reset(*number)).collect();
        self.resets.due.extend(due);
    }

    /// Ends the connections of a server, if by now it is clear that it is dead, or the operator has said
    /// that it is out of use, and there is another for its clients.
    fn judge(&mut self, server: u16) -> Result<(), Error> {
        if !self.is_to_be_reset(server) {
            self.resets.due.remove(&server);
            return Ok(());
        }
        let others: Vec<usize> = self.usable_beside(server).map(|other| other.number.into()).collect();
        let verdict = match self.is_in_maintenance(server) {
            true if others.is_empty() => Verdict::Wait,
            true => Verdict::Reset,
            false => self.resets.evidence.verdict(server.into(), others),
        };
        match verdict {
            Verdict::Wait => Ok(()),
            Verdict::CheckNow(servers) => {
                self.check_now(&servers);
                Ok(())
            }
            Verdict::Reset => {
                let how = if self.is_in_maintenance(server) { How::Killed } else { How::ServerDown };
                self.end_connections(server, how)?;
                self.resets.due.remove(&server);
                Ok(())
            }
        }
    }

    /// Ends the connections of a server, whatever becomes of their clients; the log says how they ended.
    pub(super) fn end_connections(&mut self, server: u16, how: How) -> Result<(), Error> {
        let name = self.roster.server_name(server);
        let now = self.ticker.now()?;
        let mut ends = self.log.ends();
        let tell = |ending| ends.tell(ending);
        let (Ended { reset, given_up }, outcome) =
            self.resets.resetter.end_all(self.control.maps(), server, now, how, tell);
        drop(ends);
        self.note_resets(server, how, reset);
        outcome?;
        info!("Server {name}: {reset} connections reset, {given_up} attempts to connect given up");
        self.host_clients.end_connections(self.control.maps(), server, &name);
        Ok(())
    }

    fn check_now(&self, servers: &[usize]) {
        if let Some(checker) = &self.checker {
            for server in servers {
                checker.check_now(*server);
            }
        }
    }

    fn is_in_maintenance(&self, server: u16) -> bool {
        self.roster.status().server(server).is_some_and(|server| server.admin == Admin::Maint)
    }

    /// Whether a server is DOWN or in maintenance, and its connections are to end with it.
    fn is_to_be_reset(&self, server: u16) -> bool {
        let is_down = self.roster.status().server(server).is_some_and(|server| !server.is_up());
        (is_down || self.is_in_maintenance(server))
            && self.watch(server).is_some_and(|watch| watch.on_marked_down == OnMarkedDown::Reset)
    }

    fn watch(&self, server: u16) -> Option<&Watch> {
        self.watches.get(&self.roster.status().server(server)?.address)
    }

    /// The other servers of a server's backend that new connections can go to.
    fn usable_beside(&self, number: u16) -> impl Iterator<Item = &ServerStatus> {
        let status = self.roster.status();
        let backend = status.server(number).map(|server| &server.backend);
        status.servers.iter().filter(move |server| {
            let is_usable = server.takes_connections();
            let is_reachable = self.control.next_hop(server.number).is_some();
            Some(&server.backend) == backend && server.number != number && is_usable && is_reachable
        })
    }

    /// A client's connect has failed: enough of them take a server DOWN before its next check.
    pub(super) fn on_failed_connect(&self, failed: &ConnectFailed) -> Result<(), Error> {
        let (Some(checker), Some(failure)) = (&self.checker, failed.failure()) else { return Ok(()) };
        let check = self.watch(failed.server).and_then(|watch| watch.check.as_ref());
        if check.is_none_or(|check| check.error_limit.is_none()) {
            return Ok(());
        }
        let mut established = 0;
        for (frontend, _) in self.control.frontends().iter() {
            established += self.control.maps().path(frontend, failed.server)?.established;
        }
        checker.connect_failed(failed.server.into(), failure, established);
        Ok(())
    }
}
