//! What a guest's console says of its machine and of the tests.

use std::{fmt, mem};

use anyhow::{Result, ensure};

use super::{guest::Guest, step::WITH_BTF};
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
    names: Vec<String>,
    modes: [u32; MODES.len()],
}

/// A step that has come to its end.
#[derive(Debug)]
struct Ended {
    layer: String,
    btf: bool,
    code: String,
    tally: Tally,
    /// The tests that have passed.
    names: Vec<String>,
    modes: [u32; MODES.len()],
}

impl Report {
    /// Passes on what a guest prints until it is off, and then what it comes to; fails unless
    /// [all is well](Self::judge).
    pub fn follow(mut guest: Guest, steps: &[&[&str]]) -> Result<Tally> {
        let mut report = Self::default();
        while let Some(line) = guest.line()? {
            println!("{line}");
            report.read(&line);
        }
        print!("{report}");
        report.judge(steps)?;
        Ok(report.tally())
    }

    /// Takes in one line.
    fn read(&mut self, line: &str) {
        if let Some(tally) = Tally::parse(line) {
            self.tally += tally;
        } else if let Some(name) = passed(line) {
            self.names.push(name.to_owned());
            if let Some(mode) = mode(name) {
                self.modes[mode] += 1;
            }
        } else if let Some(machine) = line.strip_prefix(WORD).and_then(|word| word.strip_prefix("machine ")) {
            self.machine = Some(machine.to_owned());
        } else if let Some(end) = line.strip_prefix(WORD).and_then(|word| word.strip_prefix("end "))
            && let [layer, btf, code] = end.split(' ').collect::<Vec<_>>()[..]
        {
            self.ended.push(Ended {
                layer: layer.to_owned(),
                btf: btf == WITH_BTF,
                code: code.to_owned(),
                tally: mem::take(&mut self.tally),
                names: mem::take(&mut self.names),
                modes: mem::take(&mut self.modes),
            });
        }
    }

    /// How many tests ended how.
    fn tally(&self) -> Tally {
        let mut sum = self.tally;
        self.ended.iter().for_each(|ended| sum += ended.tally);
        sum
    }

    /// Fails unless all steps were run and passed, and a test of each had each of the step's names in its own: a
    /// test that is called otherwise now would be left out in silence.
    fn judge(&self, steps: &[&[&str]]) -> Result<()> {
        let failed: Vec<_> =
            self.ended.iter().filter(|ended| ended.code != "0").map(|ended| &ended.layer).collect();
        ensure!(failed.is_empty(), "these layers failed on arm64: {failed:?}");
        let ended = self.ended.len();
        ensure!(ended == steps.len(), "the guest was off after {ended} of {} layers", steps.len());
        for (Ended { layer, names, .. }, wanted) in self.ended.iter().zip(steps) {
            let missing: Vec<_> =
                wanted.iter().filter(|wanted| !names.iter().any(|name| name.contains(**wanted))).collect();
            ensure!(missing.is_empty(), "no test of {layer} is called so: {missing:?}");
        }
        ensure!(self.ended.iter().any(|ended| !ended.names.is_empty()), "no test was run");
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

/// The name of a test that has passed: `test mtu::crossed_in_tc ... ok`.
fn passed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")
}

/// The mode that a test's name says, if it says one.
fn mode(name: &str) -> Option<usize> {
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
        report.judge(&[&["mtu::"]]).expect("the test program said that all is well");
        assert!(report.judge(&[&["nat::"]]).is_err(), "there was none");
    }

    #[test]
    fn a_layer_that_failed_or_never_ended_fails_all() {
        let test = "test nat::it ... ok\n";
        report(&format!("{test}xlb-guest: end end-to-end no-btf 0")).judge(&[&[]]).expect("all is well");
        assert!(report(&format!("{test}xlb-guest: end end-to-end no-btf 101")).judge(&[&[]]).is_err());
        assert!(report("xlb-guest: end end-to-end no-btf 0").judge(&[&[]]).is_err(), "nothing was run");
        assert!(report("xlb-guest: machine Linux 6.1").judge(&[&[]]).is_err());
    }
}
