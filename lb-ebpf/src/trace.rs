//! Tells a tracer what becomes of packets, while there is one.
//!
//! Without one it is a look at a word that is in a cache line of every packet's. With one, the frame is
//! copied twice into a place of this CPU's own, as it came and as it left, and if the tracer wants it,
//! to the ring buffer. The stack has no room for any of it.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::reason::Reason;
use lb_common::setup::Setup;
use lb_common::time::Ticks;
use lb_common::trace::{Ended, Outcome, Record, SNAP};

use crate::packet::{Frame, opaque};
use crate::{Context, Verdict, maps};

/// Keeps what a packet says before anything is changed.
#[inline(always)]
pub fn begin(setup: &Setup, frame: &impl Frame) {
    if setup.settings.is_traced() {
        came(frame);
    }
}

/// Reports what has become of it: it was forwarded, or not, for a reason.
#[inline(always)]
pub fn end(setup: &Setup, frame: &impl Frame, reason: Option<Reason>, verdict: Verdict) {
    if setup.settings.is_traced() {
        let outcome = reason.map_or(Outcome::FORWARDED, Outcome::of);
        went(frame, outcome, verdict.ended());
    }
}

#[inline(never)]
fn came(frame: &impl Frame) {
    let Some(context) = Context::now() else { return };
    let Some(record) = maps::trace_scratch() else { return };
    if context.setup.settings.trace_until.age(context.now) > Ticks(0) {
        // Its tracer is gone.
        return maps::end_tracing();
    }
    // SAFETY: this CPU's own element, and programs do not preempt each other on a CPU.
    let record = unsafe { &mut *record };
    // SAFETY: the helper has no preconditions.
    record.at = unsafe { bpf_ktime_get_ns() };
    copy(frame, record, 0);
}

#[inline(never)]
fn went(frame: &impl Frame, outcome: Outcome, ended: Ended) {
    let Some(record) = maps::trace_scratch() else { return };
    // SAFETY: as in `came`.
    let record = unsafe { &mut *record };
    // The tracer came in between, or is gone.
    if record.at == 0 {
        return;
    }
    record.outcome = outcome;
    record.ended = ended as u8;
    record.lengths[1] = 0;
    if ended as u8 == Ended::Sent as u8 {
        copy(frame, record, 1);
    }
    maps::trace(record);
    record.at = 0;
}

/// Copies the beginning of a frame, as it is now.
#[inline(always)]
fn copy(frame: &impl Frame, record: &mut Record, which: usize) {
    let length = frame.packet().frame_len();
    let kept = if length < SNAP { length } else { SNAP };
    // The verifier wants a length of at least one. LLVM turns a comparison with zero into one of the frame's ends,
    // from which it learns nothing ("R4 invalid zero-sized read", seen on 6.18); a mask it understands.
    let kept = (opaque(kept.wrapping_sub(1)) & (SNAP - 1)) + 1;
    if frame.load(&mut record.frames[which], kept as u32) {
        record.lengths[which] = length as u32;
    }
}

impl Verdict {
    const fn ended(self) -> Ended {
        match self {
            Self::Pass => Ended::Passed,
            Self::Drop => Ended::Dropped,
            Self::Transmit => Ended::Sent,
        }
    }
}
