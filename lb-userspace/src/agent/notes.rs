//! What the agent notes for those who look at statistics, because no map tells it.

use std::time::Instant;

use lb_common::ending::How;

use super::Agent;
use crate::control::Portion;
use crate::dataplane::status::ServerStatus;
use crate::health::Event;
use crate::stats::ServerActivity;

impl Agent {
    /// How long a check took. What clients' connects have found out took no time of ours.
    pub(super) fn note_check(&self, number: u16, event: &Event) {
        if let Some(check) = event.health.last_check().filter(|check| check.status.is_of_check()) {
            self.note(number, |server| server.checks.record(check.duration));
        }
    }

    /// So many connections of a server were reset.
    pub(super) fn note_resets(&self, number: u16, how: How, connections: u64) {
        self.note(number, |server| match how {
            How::Killed => server.reset_by_operator += connections,
            _ => server.reset_for_health += connections,
        });
    }

    /// Whether a server's next hop answers.
    pub(super) fn note_next_hop(&self, number: u16, answers: bool) {
        self.note_state(number, |server| server.next_hop_answers = Some(answers));
    }

    /// A server gets this much of its share.
    pub(super) fn note_portion(&self, number: u16, portion: Portion) {
        self.note_state(number, |server| server.throttle = portion.percent());
    }

    /// What each server gets of its share.
    pub(super) fn note_portions(&self) {
        let now = Instant::now();
        for server in &self.roster.status().servers {
            self.note_portion(server.number, self.slow_starts.portion(server.address, now));
        }
    }

    /// Forgets what was noted of those that are not there any more.
    pub(super) fn forget_notes(&self) {
        self.ledger.note(|activity| activity.retain(self.roster.status()));
    }

    /// How often the rings were replaced.
    pub(super) fn note_rings(&self) {
        self.ledger.note(|activity| {
            for frontend in &self.roster.status().frontends {
                activity.set_ring_switches(&frontend.name, self.control.ring_switches(frontend.number));
            }
        });
    }

    /// How a server is. Nobody asks that of one that has left the configuration, and another may have its name.
    fn note_state(&self, number: u16, change: impl FnOnce(&mut ServerActivity)) {
        if self.roster.status().server(number).is_some_and(|server| !server.leaving) {
            self.note(number, change);
        }
    }

    fn note(&self, number: u16, change: impl FnOnce(&mut ServerActivity)) {
        let Some(ServerStatus { backend, name, .. }) = self.roster.status().server(number) else { return };
        self.ledger.note(|activity| change(activity.server_mut(backend, name)));
    }
}
