//! What the balancer is to do with each segment of a client's connections, said once more in plain
//! Rust, so that the program can be compared with it.
//!
//! Nothing here comes from the program or shares code with it, but for the names of the reasons. It
//! knows no rings and no index: which of several servers gets a connection, the program chooses, and
//! the model only says among which.

use lb_common::reason::Reason;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Time, in units of the program's.
pub type Time = u32;

/// How long things last. All end halfway between two of the steps in which time passes, so that the
/// moments that a test really takes make no difference.
pub const STEP: Time = 1000;
pub const REDISPATCH: Time = 500;
pub const CLOSED: Time = 1500;
pub const CONNECT: Time = 3500;
pub const TIME_WAIT: Time = 6500;
pub const IDLE: Time = 20_500;

/// How many servers one SYN is offered to.
const OFFERS: u32 = 8;

/// The furthest that a segment may be ahead.
const WINDOW: u32 = 1 << 30;

/// The two sides of a connection.
pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// What matters of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub len: u32,
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The server has the SYN.
    Asked,
    /// The client has the server's SYN.
    Answered,
    Established,
    /// Both have sent a FIN.
    Over,
    /// One has sent a RST.
    Dead,
    /// Another server was asked in place of this one.
    Abandoned,
    /// The agent has reset it.
    Reset,
    /// Nothing is known of it any more.
    Gone,
}

/// An attempt to connect, or what has become of it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's port, and whose port at the server's it is.
    pub client: usize,
    pub server: u16,
    pub nat: u16,
    pub phase: Phase,
    pub finished: [bool; 2],
    /// Whether the server said so before it had heard the same of the client.
    pub server_waits: bool,
    /// How long nothing that fits was heard.
    pub quiet: Time,
    isn: u32,
    /// How far each side has come, and what it has acknowledged.
    pub sent: [u32; 2],
    pub acked: [u32; 2],
    /// Who was asked by now, and how often since the client last sent the SYN.
    asked: Vec<u16>,
    offers: u32,
    /// The number of a SYN that came while it was established.
    challenged: Option<u32>,
}

/// What becomes of a frame.
#[derive(Clone, Debug)]
pub enum Fate {
    Passed(Reason),
    Dropped(Reason),
    /// It is forwarded as a packet of this connection: for a reason, if the client was not to see it.
    Forwarded(usize, Option<Reason>),
    /// It goes back as a RST.
    Refused(Reason),
    /// Its SYN opens a connection: instead of a server's answer, if there is a reason.
    Opens(Opening, Option<Reason>),
}

/// A connection that one of some servers gets.
#[derive(Clone, Debug)]
pub struct Opening {
    pub client: usize,
    pub among: Vec<u16>,
    isn: u32,
    end: u32,
    asked: Vec<u16>,
    offers: u32,
}

/// All that the balancer is to know of one client.
#[derive(Debug, Default)]
pub struct Model {
    pub connections: Vec<Connection>,
    pub usable: Vec<u16>,
    pub counted: Counted,
}

/// What has happened so often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub opened: u64,
    pub established: u64,
    pub refused: u64,
    pub redispatched: u64,
}

/// Whether a number lies in `first..=last` on the circle of all numbers.
fn within(number: u32, first: u32, last: u32) -> bool {
    number.wrapping_sub(first) <= last.wrapping_sub(first)
}

fn is_valid(flags: u8) -> bool {
    match flags & (SYN | FIN | RST | ACK) {
        0 | FIN => false,
        flags => flags & SYN == 0 || flags & (FIN | RST) == 0,
    }
}

impl Segment {
    fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    fn end(self) -> u32 {
        let marks = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.len).wrapping_add(marks)
    }
}

impl Connection {
    fn lifetime(&self) -> Time {
        match self.phase {
            Phase::Asked | Phase::Answered => CONNECT,
            Phase::Established => IDLE,
            Phase::Over | Phase::Reset | Phase::Abandoned => TIME_WAIT,
            Phase::Dead => CLOSED,
            Phase::Gone => 0,
        }
    }

    pub fn is_known(&self) -> bool {
        self.phase != Phase::Gone && self.quiet < self.lifetime()
    }

    /// Whether a segment acknowledges the SYN, with or without its data, and nothing else.
    fn answers_syn(&self, segment: Segment) -> bool {
        segment.has(ACK) && within(segment.ack, self.isn.wrapping_add(1), self.sent[CLIENT])
    }

    /// The server answers a SYN that came into the established connection, of which it knows nothing: it
    /// is the SYN of a connection that takes this one's place.
    fn is_begun_anew(&mut self, segment: Segment) -> bool {
        let Some(isn) = self.challenged.filter(|_| self.phase == Phase::Established) else { return false };
        let answers = segment.has(ACK) && segment.ack == isn.wrapping_add(1);
        if isn == 0 || !answers || !segment.has(SYN) && !segment.has(RST) {
            return false;
        }
        self.phase = Phase::Asked;
        (self.finished, self.server_waits) = ([false; 2], false);
        self.isn = isn;
        self.sent = [isn.wrapping_add(1), 0];
        self.acked = [0, isn.wrapping_add(1)];
        (self.asked, self.offers, self.challenged, self.quiet) = (vec![self.server], 1, None, 0);
        true
    }

    fn comes_to(&mut self, side: usize, end: u32) {
        if end.wrapping_sub(self.sent[side]) <= WINDOW {
            self.sent[side] = end;
        }
    }

    /// A side's segment, in a connection that both have agreed on or are about to.
    fn follow(&mut self, side: usize, segment: Segment) {
        if self.phase == Phase::Asked || self.phase == Phase::Dead {
            return;
        }
        if self.phase == Phase::Answered && side == SERVER {
            return self.answered_again(segment);
        }
        let peer = 1 - side;
        if segment.has(RST) {
            if segment.seq == self.acked[peer] || segment.seq == self.sent[side] {
                (self.phase, self.quiet) = (Phase::Dead, 0);
            }
            return;
        }
        if !segment.has(ACK) {
            return;
        }
        if within(segment.ack, self.acked[side], self.sent[peer]) {
            self.quiet = 0;
            self.acked[side] = segment.ack;
            self.comes_to(side, segment.end());
            if self.phase == Phase::Answered {
                self.phase = Phase::Established;
            }
            if segment.has(FIN) && within(segment.seq, self.acked[peer], self.sent[side]) {
                self.finish(side, segment.ack);
            }
            return;
        }
        // A FIN that a later acknowledgement has overtaken is still one.
        let is_old = self.acked[side].wrapping_sub(segment.ack) <= WINDOW;
        let fits = within(segment.seq, self.acked[peer], self.sent[side]);
        if self.phase == Phase::Established && segment.has(FIN) && is_old && fits {
            self.quiet = 0;
            self.comes_to(side, segment.end());
            self.finish(side, segment.ack);
        }
    }

    fn finish(&mut self, side: usize, ack: u32) {
        if side == SERVER && !self.finished[SERVER] {
            self.server_waits = !self.finished[CLIENT] || ack != self.sent[CLIENT];
        }
        self.finished[side] = true;
        if self.finished == [true; 2] {
            self.phase = Phase::Over;
        }
    }

    /// A server's segment after its SYN.
    fn answered_again(&mut self, segment: Segment) {
        if !self.answers_syn(segment) {
            return;
        }
        if segment.has(RST) {
            (self.phase, self.quiet) = (Phase::Dead, 0);
        } else if segment.has(SYN) {
            self.answered(segment);
        } else {
            self.comes_to(SERVER, segment.end());
        }
    }

    fn answered(&mut self, segment: Segment) {
        (self.phase, self.quiet) = (Phase::Answered, 0);
        self.sent[SERVER] = segment.end();
        self.acked[CLIENT] = segment.seq.wrapping_add(1);
    }
}

impl Model {
    pub fn new(servers: u16) -> Self {
        Self { usable: (0..servers).collect(), ..Self::default() }
    }

    pub fn pass(&mut self, time: Time) {
        for connection in &mut self.connections {
            connection.quiet = connection.quiet.saturating_add(time);
        }
    }

    /// Usable servers that are not among `asked`.
    fn others(&self, asked: &[u16]) -> Vec<u16> {
        self.usable.iter().copied().filter(|server| !asked.contains(server)).collect()
    }

    /// A client's segment.
    pub fn by_client(&mut self, client: usize, segment: Segment) -> Fate {
        let is_its = |connection: &Connection| {
            connection.client == client && connection.phase != Phase::Abandoned && connection.is_known()
        };
        let known = self.connections.iter().position(is_its);
        if segment.has(SYN) && !segment.has(ACK) {
            return self.syn(client, known, segment);
        }
        let Some(known) = known else { return Fate::Passed(Reason::NoConnection) };
        let connection = &mut self.connections[known];
        if connection.phase == Phase::Reset {
            return refused(Reason::ServerDown, segment);
        }
        if !is_valid(segment.flags) {
            return Fate::Dropped(Reason::BadFlags);
        }
        let was_established = connection.phase != Phase::Answered;
        connection.follow(CLIENT, segment);
        if !was_established && connection.phase == Phase::Established {
            self.counted.established += 1;
        }
        Fate::Forwarded(known, None)
    }

    fn syn(&mut self, client: usize, known: Option<usize>, segment: Segment) -> Fate {
        if !is_valid(segment.flags) {
            return Fate::Dropped(Reason::BadFlags);
        }
        let mut avoided = Vec::new();
        if let Some(known) = known {
            let connection = &mut self.connections[known];
            let is_same = connection.isn == segment.seq;
            match connection.phase {
                Phase::Established => {
                    connection.challenged = Some(segment.seq);
                    return Fate::Forwarded(known, None);
                }
                Phase::Asked | Phase::Answered if is_same => return self.syn_again(known, segment),
                // Whoever has refused it is asked again only when all have.
                Phase::Dead if is_same && connection.sent[SERVER] == 0 => {
                    avoided.clone_from(&connection.asked);
                }
                _ => {}
            }
            connection.phase = Phase::Gone;
        }
        if self.others(&avoided).is_empty() {
            avoided.clear();
        }
        let among = self.others(&avoided);
        if among.is_empty() {
            return refused(Reason::NoServer, segment);
        }
        let (isn, end) = (segment.seq, segment.end());
        Fate::Opens(Opening { client, among, isn, end, asked: avoided, offers: 1 }, None)
    }

    fn syn_again(&mut self, known: usize, segment: Segment) -> Fate {
        let Connection { server: silent, ref asked, .. } = self.connections[known];
        let mut asked = asked.clone();
        if self.others(&asked).is_empty() {
            // It may have been the network that lost the SYNs to the others.
            asked = vec![silent];
        }
        let others = self.others(&asked);
        let connection = &mut self.connections[known];
        let is_late = connection.phase == Phase::Asked && connection.quiet >= REDISPATCH;
        if is_late && !others.is_empty() {
            connection.phase = Phase::Abandoned;
            self.counted.redispatched += 1;
            let opening = Opening {
                client: connection.client,
                among: others,
                isn: segment.seq,
                end: segment.end(),
                asked,
                offers: 1,
            };
            return Fate::Opens(opening, None);
        }
        connection.quiet = 0;
        connection.comes_to(CLIENT, segment.end());
        Fate::Forwarded(known, None)
    }

    /// A segment of a server, to one of its ports of ours.
    pub fn by_server(&mut self, server: u16, nat: u16, segment: Segment) -> Fate {
        let is_its = |connection: &Connection| {
            (connection.server, connection.nat) == (server, nat) && connection.is_known()
        };
        let Some(known) = self.connections.iter().position(is_its) else {
            return Fate::Passed(Reason::NoConnection);
        };
        if !is_valid(segment.flags) {
            return Fate::Dropped(Reason::BadFlags);
        }
        let connection = &mut self.connections[known];
        if connection.is_begun_anew(segment) {
            self.counted.opened += 1;
        }
        let connection = &mut self.connections[known];
        match connection.phase {
            Phase::Abandoned => return refused(Reason::LateAnswer, segment),
            Phase::Reset => return refused(Reason::ServerDown, segment),
            Phase::Asked => return self.first_answer(known, segment),
            // The SYN came twice, and so does the refusal.
            Phase::Dead
                if connection.sent[SERVER] == 0 && segment.has(RST) && connection.answers_syn(segment) =>
            {
                return self.not_taken(known, Reason::Refused);
            }
            _ => connection.follow(SERVER, segment),
        }
        Fate::Forwarded(known, None)
    }

    fn first_answer(&mut self, known: usize, segment: Segment) -> Fate {
        let connection = &mut self.connections[known];
        let fits = connection.answers_syn(segment);
        if segment.has(RST) {
            return if fits { self.not_taken(known, Reason::Refused) } else { Fate::Forwarded(known, None) };
        }
        if segment.has(ACK) && !fits {
            return self.not_taken(known, Reason::StalePort);
        }
        if segment.has(SYN) && fits {
            connection.answered(segment);
        }
        Fate::Forwarded(known, None)
    }

    /// The server has refused the connection, or has an older one on its port.
    fn not_taken(&mut self, known: usize, reason: Reason) -> Fate {
        let Connection { client, server, isn, offers, ref asked, .. } = self.connections[known];
        let is_refused = reason == Reason::Refused;
        let may_go_on = offers < OFFERS;
        let among = match (is_refused, may_go_on) {
            (false, _) => self.usable.clone(),
            (true, true) => self.others(asked),
            (true, false) => self.others(&[server]),
        };
        let asked = asked.clone();
        let connection = &mut self.connections[known];
        if is_refused {
            self.counted.refused += u64::from(connection.phase == Phase::Asked);
            connection.phase = Phase::Dead;
        }
        if among.is_empty() || !is_refused && !may_go_on {
            return Fate::Forwarded(known, Some(reason));
        }
        if !may_go_on {
            return Fate::Dropped(reason);
        }
        connection.phase = if is_refused { Phase::Gone } else { Phase::Abandoned };
        self.counted.redispatched += 1;
        let end = isn.wrapping_add(1);
        Fate::Opens(Opening { client, among, isn, end, asked, offers: offers + 1 }, Some(reason))
    }

    /// The program has given a connection to one of the servers; returns its number here.
    pub fn opened(&mut self, opening: Opening, server: u16, nat: u16) -> usize {
        let Opening { client, isn, end, mut asked, offers, .. } = opening;
        asked.push(server);
        self.counted.opened += 1;
        for former in self.connections.iter_mut().filter(|c| (c.server, c.nat) == (server, nat)) {
            former.phase = Phase::Gone;
        }
        self.connections.push(Connection {
            client,
            server,
            nat,
            phase: Phase::Asked,
            finished: [false; 2],
            server_waits: false,
            quiet: 0,
            isn,
            sent: [end, 0],
            acked: [0, isn.wrapping_add(1)],
            asked,
            offers,
            challenged: None,
        });
        self.connections.len() - 1
    }
}

/// A RST goes back, but never for a RST.
fn refused(reason: Reason, segment: Segment) -> Fate {
    if segment.has(RST) || !is_valid(segment.flags) { Fate::Dropped(reason) } else { Fate::Refused(reason) }
}
