//! What a guest's console says of its machine and of the tests.

use std::fmt;

use anyhow::{Result, ensure};

use super::step::WITH_BTF;
use crate::test::Tally;

/// What begins a line of the guest's first program.
const WORD: &str = "xlb-guest: ";

/// The modes that a test's name ends with.
const MODES: [&str; 3] = ["native", "generic", "tc"];

/// All that was said.
#[derive(Debug, Default)]
pub struct Report {
    /// Kernel, processor and page size.
    machine: Option<String>,
    ended: Vec<Ended>,
    /// The step that runs.
    tally: Tally,
    modes: [u32; MODES.len()],
}

/// A step that has come to its end.
#[derive(Debug)]
struct Ended {
    layer: String,
    btf: bool,
    code: String,
    tally: Tally,
    modes: [u32; MODES.len()],
}

impl Report {
    /// Takes in one line.
    pub fn read(&mut self, line: &str) {
        if let Some(tally) = Tally::parse(line) {
            self.tally += tally;
        } else if let Some(mode) = passed_in(line) {
            self.modes[mode] += 1;
        } else if let Some(machine) = line.strip_prefix(WORD).and_then(|word| word.strip_prefix("machine ")) {
            self.machine = Some(machine.to_owned());
        } else if let Some(end) = line.strip_prefix(WORD).and_then(|word| word.strip_prefix("end "))
            && let [layer, btf, code] = end.split(' ').collect::<Vec<_>>()[..]
        {
            let (tally, modes) = (std::mem::take(&mut self.tally), std::mem::take(&mut self.modes));
            let (layer, code) = (layer.to_owned(), code.to_owned());
            self.ended.push(Ended { layer, btf: btf == WITH_BTF, code, tally, modes });
        }
    }

    /// How many tests ended how.
    pub fn tally(&self) -> Tally {
        let mut sum = self.tally;
        self.ended.iter().for_each(|ended| sum += ended.tally);
        sum
    }

    /// Fails unless so many steps were run, and passed.
    pub fn judge(&self, steps: usize) -> Result<()> {
        let failed: Vec<_> =
            self.ended.iter().filter(|ended| ended.code != "0").map(|ended| &ended.layer).collect();
        ensure!(failed.is_empty(), "these layers failed on arm64: {failed:?}");
        let ended = self.ended.len();
        ensure!(ended == steps, "the guest was off after {ended} of {steps} layers");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "arm64: {}", self.machine.as_deref().unwrap_or("the guest did not start"))?;
        for Ended { layer, btf, tally, modes, .. } in &self.ended {
            write!(f, "  {layer}, {} BTF: {tally}", if *btf { "with" } else { "without" })?;
            for (mode, count) in MODES.iter().zip(modes).filter(|(_, count)| **count > 0) {
                write!(f, "; {count} in {mode}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The mode of a test that has passed, if its name says one: `test mtu::crossed_in_tc ... ok`.
fn passed_in(line: &str) -> Option<usize> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    let name = name.strip_suffix("_mode").unwrap_or(name);
    MODES.iter().position(|mode| name.ends_with(&format!("_in_{mode}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &str) -> Report {
        let mut report = Report::default();
        lines.lines().for_each(|line| report.read(line));
        report
    }

    #[test]
    fn machine_layers_and_modes_are_told() {
        let report = report(
            "xlb-guest: machine Linux 6.1\n\
             test mtu::crossed_in_tc ... ok\n\
             test mtu::crossed_in_native_mode ... ok\n\
             test mtu::crossed_in_generic_mode ... FAILED\n\
             test result: ok. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n\
             xlb-guest: end end-to-end no-btf 0\n",
        );
        let expected = "arm64: Linux 6.1\n  \
                        end-to-end, without BTF: 2 passed, 1 failed, 0 skipped; 1 in native; 1 in tc\n";
        assert_eq!(report.to_string(), expected);
        report.judge(1).expect("the test program said that all is well");
    }

    #[test]
    fn a_layer_that_failed_or_never_ended_fails_all() {
        assert!(report("xlb-guest: end end-to-end no-btf 101").judge(1).is_err());
        assert!(report("xlb-guest: machine Linux 6.1").judge(1).is_err());
    }
}
