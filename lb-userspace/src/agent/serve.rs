//! The main loop: what the agent does between its start and its end.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant, SystemTime};

use lb_common::event::ConnectFailed;
use lb_common::slot::Slot;
use lb_common::tcp::State;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::{Agent, Error, Inputs, Signal, complain, confirmation, slow_start};
use crate::config::logging::Level;
use crate::control::{Portion, WantedFrontend};
use crate::dataplane::reports::Reports;
use crate::health::report::{NoServer, StateChange};
use crate::health::{Checker, Event, Transition};
use crate::neighbours::{self, Interface, NextHop};
use crate::plan;
use crate::pulse;
use crate::sweep;

/// How often the agent looks whether those that have left have lost their last connection.
const SWEEP: Duration = Duration::from_secs(10);

/// How often expired connections are taken out of the count of a frontend that may have so many.
const RECOUNT: Duration = Duration::from_secs(60);

/// How soon the log has a connection that expires.
const EXPIRY: Duration = Duration::from_secs(5);

/// How often the shares of servers that start slowly grow.
const GROWTH: Duration = Duration::from_secs(1);

/// Why the main loop ends.
pub(super) enum End {
    /// A signal of this name.
    Signal(&'static str),
    /// The start was not confirmed within this time.
    Unconfirmed(Duration),
    /// The start was confirmed, and could not be kept.
    NotKept,
}

impl Agent {
    /// Follows events until a signal to end comes, or a trial ends without success. Nothing else
    /// ends it: a balancer that forwards is worth more than one that has taken in every event.
    pub(super) async fn serve(&mut self, inputs: &mut Inputs) -> End {
        let mut failed_connects = self.failed_connects();
        self.follow_health();
        self.resume_resets();
        self.usable = self.roster.usable();
        let mut sweeps = interval(SWEEP);
        let mut growth = interval(GROWTH);
        growth.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recounts = interval(RECOUNT);
        recounts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiries = interval(EXPIRY);
        expiries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = interval(pulse::BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = inputs.signals.next() => match signal {
                    Signal::End(name) => return End::Signal(name),
                    Signal::Reload => complain(self.reload().await),
                },
                end = confirmation::over(self.trial.as_ref()) => return end,
                Some(event) = inputs.health.recv() => self.on_health(&event),
                Some(event) = inputs.neighbours.recv() => complain(self.on_neighbour(event)),
                Some(failed) = next(&mut failed_connects) => {
                    complain(self.on_failed_connect(&failed));
                    // There may be very many, and nothing follows from one but orders to the checker.
                    continue;
                }
                Some(request) = inputs.requests.recv() => {
                    let answer = self.obey(request.command).await;
                    // Whoever asked may be gone.
                    let _ = request.answer.send(answer);
                }
                _ = beats.tick() => {
                    self.pulse.beat(Instant::now());
                    self.manager.beat();
                    continue;
                }
                _ = growth.tick(), if !self.slow_starts.is_empty() => complain(self.advance_slow_starts()),
                _ = sweeps.tick() => complain(self.sweep().map(drop)),
                _ = recounts.tick() => complain(self.forget_expired()),
                _ = expiries.tick(), if self.log.wants_ends() => complain(self.free_expired()),
            }
            self.settle();
        }
    }

    /// Checks the servers that are to be checked, from now on. Those that are already go on as they
    /// are.
    pub(super) fn follow_health(&mut self) {
        let status = self.roster.status();
        self.watches = plan::watches(&self.config, &self.checks, status, &self.watches);
        let targets = plan::targets(&self.watches, status);
        if let Some(checker) = &mut self.checker {
            return checker.retarget(&targets);
        }
        let checker = Checker::start(&targets, &self.health_sender);
        checker.suspend(!self.has_carrier);
        self.checker = Some(checker);
    }

    /// What the program reports of connects that fail; without it, checks alone find out.
    fn failed_connects(&mut self) -> Option<Reports<ConnectFailed>> {
        self.control.maps_mut().take_events().inspect_err(|error| error!("{error}")).ok()
    }

    /// Gives back the numbers of those that have left and have no connection any more, and tells how
    /// many.
    pub(super) fn sweep(&mut self) -> Result<usize, Error> {
        if !self.control.has_leaving() {
            return Ok(0);
        }
        let now = self.ticker.now()?;
        // What has expired must not count for the next owner of a number.
        self.free_expired()?;
        let held = self.control.held(now)?;
        let before: Vec<u16> = self.control.servers().iter().map(|(number, _)| number).collect();
        let released = self.control.sweep(&held);
        if released > 0 {
            let stays = |number: &u16| self.control.servers().iter().any(|(there, _)| there == *number);
            for number in before.into_iter().filter(|number| !stays(number)) {
                self.resets.forget_server(number);
                self.expiry.forget(number.into());
            }
            self.roster.retain(self.control.servers(), self.control.frontends());
            self.forget_notes();
            self.follow_next_hops();
            self.follow_health();
            complain(self.publish());
        }
        Ok(released)
    }

    /// Forgets connections that have expired, where they count.
    fn forget_expired(&self) -> Result<(), Error> {
        let is_limited = |frontend: &WantedFrontend| frontend.limits.max_connections > 0;
        if self.control.wanted().frontends.iter().any(is_limited) {
            self.free_expired()?;
        }
        Ok(())
    }

    /// Frees the slots of connections that have expired, each of which gets its line in the log.
    pub(super) fn free_expired(&self) -> Result<(), Error> {
        let mut ends = self.log.ends();
        Ok(sweep::sweep(self.control.maps(), self.ticker.now()?, |ending| ends.tell(ending))?)
    }

    /// Has the resolver follow all servers that connections go to.
    pub(super) fn follow_next_hops(&self) {
        let servers = self.control.servers().iter();
        self.resolver.set_servers(servers.map(|(number, address)| (number, *address.ip())));
    }

    pub(super) fn on_neighbour(&mut self, event: neighbours::Event) -> Result<(), Error> {
        match event {
            neighbours::Event::NextHop(next_hop) => self.on_next_hop(next_hop),
            neighbours::Event::Interface(now) => self.on_interface(&now),
            neighbours::Event::InterfaceLost => self.on_interface_lost(),
        }
    }

    fn on_interface(&mut self, now: &Interface) -> Result<(), Error> {
        let wanted = self.control.wanted();
        if (now.mac, now.mtu) != (wanted.mac, wanted.mtu) {
            warn!("{} has changed: MAC address {}, MTU {}", now.name, now.mac, now.mtu);
            self.control.set_interface(now.mac, now.mtu);
        }
        let attached = self.attach_if_lost(now);
        if now.has_carrier != self.has_carrier {
            if now.has_carrier {
                info!("{} has its carrier again: all servers are checked", now.name);
                self.resets.forget();
            } else {
                warn!("{} has lost its carrier: the servers are not checked meanwhile", now.name);
            }
            self.follow_carrier(now.has_carrier);
        }
        attached
    }

    fn on_interface_lost(&mut self) -> Result<(), Error> {
        let name = &self.config.interface;
        warn!("{name} is gone: nothing is forwarded, and the servers are not checked, until it is back");
        self.follow_carrier(false);
        self.roster.set_detached();
        self.publish()
    }

    fn follow_carrier(&mut self, has_carrier: bool) {
        self.has_carrier = has_carrier;
        if let Some(checker) = &self.checker {
            checker.suspend(!has_carrier);
        }
    }

    fn on_next_hop(&mut self, next_hop: NextHop) -> Result<(), Error> {
        let NextHop { server, address, mac, answers } = next_hop;
        let is_of = |(number, owner): (u16, SocketAddrV4)| (number, *owner.ip()) == (server, address);
        if !self.control.servers().iter().any(is_of) {
            // The number has been given back since, and may be another's by now.
            return Ok(());
        }
        self.note_next_hop(server, answers);
        let known = self.control.next_hop(server);
        // One that is not known yet to a new resolver may be known to the maps.
        let Some(mac) = mac.filter(|mac| known != Some(*mac)) else { return Ok(()) };
        info!("next hop of {}: {mac}", self.roster.server_name(server));
        Ok(self.control.set_next_hop(server, Some(mac))?)
    }

    /// Takes in what is known of a server. Nothing that goes wrong with one step keeps the others from
    /// being done: least of all may a server that is DOWN keep its connections for it.
    fn on_health(&mut self, event: &Event) {
        let number = event.server as u16;
        if !plan::is_checked(self.roster.status(), number, event.address) {
            // Its check was under way when it was taken out.
            return;
        }
        self.roster.set_health(number, &event.health);
        self.note_check(number, event);
        // One that has left the configuration is neither UP nor DOWN, but it may be dead.
        let is_leaving = self.roster.status().server(number).is_some_and(|server| server.leaving);
        if !is_leaving {
            self.warn_of_expiry(number, event);
        }
        let transition = event.transition.filter(|_| !is_leaving);
        if let Some(transition) = transition {
            complain(self.start_slowly(number, transition));
        }
        complain(self.control.set_up(number, event.health.is_up()).map_err(Error::from));
        // What the log says, the next agent finds, should this one be killed now.
        complain(self.publish());
        if let Some(transition) = transition {
            self.report(number, event, transition);
        }
        self.on_evidence(event);
    }

    fn warn_of_expiry(&mut self, number: u16, event: &Event) {
        if let Some(expires) = event.health.certificate_expires()
            && let Some(warning) = self.expiry.look(event.server, expires, SystemTime::now())
        {
            warn!("{}: {warning}", self.roster.server_name(number));
        }
    }

    /// A server that has come back gets its share bit by bit, if the configuration wants it so.
    pub(super) fn start_slowly(&mut self, number: u16, transition: Transition) -> Result<(), Error> {
        let Some(address) = self.roster.status().server(number).map(|server| server.address) else {
            return Ok(());
        };
        let now = Instant::now();
        let came_back = (transition == Transition::Up).then_some(now);
        self.roster.set_came_back(number, came_back);
        self.slow_starts.end(address);
        if let (Some(began), Some(length)) = (came_back, slow_start::length(&self.config, address)) {
            self.slow_starts.begin(address, length, began);
        }
        self.give_portion(number, self.slow_starts.portion(address, now))
    }

    fn give_portion(&mut self, number: u16, portion: Portion) -> Result<(), Error> {
        self.note_portion(number, portion);
        Ok(self.control.set_portion(number, portion)?)
    }

    fn advance_slow_starts(&mut self) -> Result<(), Error> {
        for (address, portion) in self.slow_starts.advance(Instant::now()) {
            if let Some(number) = self.control.servers().of(address) {
                self.give_portion(number, portion)?;
            }
        }
        Ok(())
    }

    fn report(&self, number: u16, event: &Event, transition: Transition) {
        let Some(check) = event.health.last_check() else { return };
        let Some(server) = self.roster.status().server(number) else { return };
        let (active, backup) = self.roster.usable_in(&server.backend);
        let change = StateChange {
            backend: &server.backend,
            server: &server.name,
            transition,
            check,
            active,
            backup,
            sessions: self.sessions(number),
        };
        match transition {
            Transition::Up => info!("{change}"),
            Transition::Down => warn!("{change}"),
        }
        // HAProxy's levels.
        let level = match transition {
            Transition::Up => Level::NOTICE,
            Transition::Down => Level::ALERT,
        };
        self.log.state(level, &change);
    }

    /// Does what any event may have made due: by health, by the operator's word, by a reload, a backend
    /// may have lost its last server or got another one.
    fn settle(&mut self) {
        let usable = self.roster.usable();
        for backend in usable.lost_all(&self.usable) {
            let loss = NoServer { backend };
            error!("{loss}");
            self.log.state(Level::EMERG, &loss);
        }
        self.usable = usable;
        self.judge_due();
        self.note_rings();
        self.manager.say(self.roster.status());
    }

    /// Established connections of a server.
    fn sessions(&self, server: u16) -> u64 {
        let maps = self.control.maps();
        let is_established = |(_, slot): &(u32, Slot)| slot.word().state() == State::Established;
        let views = maps.slots.windows(maps.setup.get().slots_of(server)).filter_map(Result::ok);
        views.map(|view| view.used().filter(is_established).count() as u64).sum()
    }

    pub(super) fn publish(&mut self) -> Result<(), Error> {
        self.log.name(self.roster.status());
        Ok(self.board.write(self.roster.status())?)
    }
}

/// The next report; none for ever where there are no reports.
async fn next(events: &mut Option<Reports<ConnectFailed>>) -> Option<ConnectFailed> {
    match events {
        Some(reader) => match reader.next(1).await {
            Ok(mut event) => event.pop(),
            Err(error) => {
                error!("failed connects are not followed any more: {error}");
                *events = None;
                None
            }
        },
        None => std::future::pending().await,
    }
}
