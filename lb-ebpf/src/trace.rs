//! Tells a tracer what becomes of packets, while there is one.
//!
//! Without one it is a look at a word that is in a cache line of every packet's. With one, the frame is
//! copied twice into a place of this CPU's own, as it came and as it left, and if the tracer wants it,
//! to the ring buffer. The stack has no room for any of it.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::reason::{Disposition, Reason};
use lb_common::setup::Setup;
use lb_common::time::Ticks;
use lb_common::trace::{Ended, Outcome, Record, SNAP};

use crate::packet::{Frame, opaque};
use crate::rewrite::{self, Rewrite};
use crate::{Context, Verdict, maps, parse};

/// Rewrites a packet as [`rewrite::apply`] does, and reports it: in place of that, so that all that others pay is
/// one look.
#[inline(never)]
pub fn apply(frame: &impl Frame, rewrite: &Rewrite) {
    came(frame);
    let packet = frame.packet();
    let (Some(setup), Some(headers)) = (maps::setup(), parse::headers(&packet)) else { return };
    rewrite::apply(frame, &packet, headers, rewrite, &setup.settings);
    went(frame, Outcome::FORWARDED, Ended::Sent);
}

/// Keeps what a packet says before anything is changed.
#[inline(always)]
pub fn before(setup: &Setup, frame: &impl Frame) {
    if setup.settings.is_traced() {
        came(frame);
    }
}

/// Reports a packet of ours that the host gets; what becomes of all others is not decided yet.
#[inline(always)]
pub fn unless_passed(setup: &Setup, frame: &impl Frame, reason: Reason) -> Reason {
    if matches!(reason.disposition(), Disposition::Pass) && setup.settings.is_traced() {
        came(frame);
        went(frame, Outcome::of(reason), Ended::Passed);
    }
    reason
}

/// Does with a packet what its reason says, and reports it.
#[inline(always)]
pub fn around(frame: &impl Frame, reason: Reason, decide: impl FnOnce() -> Verdict) -> Verdict {
    if let Some(setup) = maps::setup() {
        before(setup, frame);
    }
    behind(frame, reason, decide())
}

/// Reports what has become of a packet that was kept before.
#[inline(always)]
pub fn behind(frame: &impl Frame, reason: Reason, verdict: Verdict) -> Verdict {
    if maps::setup().is_some_and(|setup| setup.settings.is_traced()) {
        went(frame, Outcome::of(reason), verdict.ended());
    }
    verdict
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
