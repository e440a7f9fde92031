//! A data plane that is attached to nothing: frames go in by `BPF_PROG_TEST_RUN`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{TestRun, TestRunOptions, Xdp};
use lb_common::frontend::Timeouts;
use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::slot::Slot;
use lb_common::time::Ticks;
use xlb::control::{Control, Wanted, WantedFrontend, WantedServer};
use xlb::dataplane::maps::Maps;
use xlb::dataplane::object::{self, PROGRAM, Sizes, XLB};

/// The balancer's MAC address.
pub const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);
/// The frontend.
pub const FRONTEND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 6443);

/// The three servers.
pub fn server(number: u8) -> (SocketAddrV4, Mac) {
    let last = 11 + number;
    (SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 6443), Mac([2, 0, 0, 0, 0, last]))
}

/// A loaded data plane.
pub struct Rig {
    ebpf: Ebpf,
    pub control: Control,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    Passed,
    Dropped,
    Sent(Vec<u8>),
}

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

impl Rig {
    /// Three servers of weight 1 behind one frontend, with 64 slots each.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, changed as the test wants it.
    pub fn with(change: impl FnOnce(&mut Wanted)) -> Self {
        let mut wanted = wanted();
        change(&mut wanted);
        let mut ebpf = object::load(XLB, wanted.sizes).expect("loads; BPF needs root: use `cargo xtask test`");
        object::load_program(&mut ebpf, PROGRAM).expect("the verifier takes the program");
        let maps = Maps::gather(|name| xlb::dataplane::table::take(&mut ebpf, name)).expect("has all maps");
        Self { ebpf, control: Control::new(maps, wanted).expect("fills") }
    }

    /// Runs one frame.
    pub fn run(&self, frame: &[u8]) -> Out {
        let program: &Xdp = self.ebpf.program(PROGRAM).unwrap().try_into().unwrap();
        let mut out = vec![0; frame.len() + 256];
        let result = program
            .test_run(TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::new() })
            .expect("runs");
        out.truncate(result.data_size_out as usize);
        match result.return_value {
            XDP_PASS => {
                assert_eq!(out, frame, "a packet that is passed is untouched");
                Out::Passed
            }
            XDP_DROP => Out::Dropped,
            XDP_TX => Out::Sent(out),
            other => panic!("unknown verdict {other}"),
        }
    }

    /// Runs a frame and tells which reason was counted, if any.
    pub fn run_for_reason(&self, frame: &[u8]) -> (Out, Option<Reason>) {
        let before: Vec<u64> = self.reasons();
        let out = self.run(frame);
        let after = self.reasons();
        let mut moved = Reason::ALL.iter().zip(before.iter().zip(&after)).filter(|(_, (b, a))| a != b);
        let reason = moved.next().map(|(reason, _)| *reason);
        assert_eq!(moved.next(), None, "one packet, one reason");
        (out, reason)
    }

    fn reasons(&self) -> Vec<u64> {
        Reason::ALL.iter().map(|reason| self.control.maps().reason(*reason).unwrap()).collect()
    }

    /// All slots that were ever used.
    pub fn slots(&self) -> Vec<(u32, Slot)> {
        self.control.maps().slots.view().unwrap().used().collect()
    }
}

fn wanted() -> Wanted {
    let servers = (0..3).map(server).map(|(address, mac)| WantedServer {
        address,
        nat_address: *FRONTEND.ip(),
        weight: 1,
        up: true,
        next_hop: Some(mac),
    });
    Wanted {
        sizes: Sizes { max_servers: 3, nat_first: 10_240, nat_ports: 64 },
        mac: OUR_MAC,
        mtu: 1500,
        frontends: vec![WantedFrontend {
            bind: FRONTEND,
            timeouts: Timeouts {
                connect: Ticks::from_duration(Duration::from_secs(10)),
                idle: Ticks::from_duration(Duration::from_secs(86_400)),
            },
            servers: vec![0, 1, 2],
        }],
        servers: servers.collect(),
    }
}
