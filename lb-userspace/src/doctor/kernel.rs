//! Whether the kernel has what the data plane is made of.

use super::Finding;
use super::Severity::{Fatal, Warning};

/// The oldest kernel that the program is made for.
const OLDEST: (u32, u32) = (6, 1);

/// What the kernel is, and what came of trying it.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// Its release, as `uname -r` prints it.
    pub release: String,
    /// Bytes in a page of memory.
    pub page_size: u64,
    /// Whether it describes its own types.
    pub has_btf: bool,
    /// What was tried one by one; empty where nothing can be tried.
    pub features: Vec<Feature>,
    /// What came of loading the programs; none where nothing can be tried.
    pub programs: Option<Result<Loaded, String>>,
    /// `net.core.bpf_jit_enable`; none where it cannot be read.
    pub jit: Option<u8>,
}

/// Something that was tried.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub name: &'static str,
    /// What of the kernel's configuration brings it.
    pub option: &'static str,
    /// Whether everything needs it, or only some clients.
    pub is_essential: bool,
    pub outcome: Tried,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is there.
    There,
    /// It is not.
    Missing,
    /// It could not be tried, for this reason.
    Unknown(String),
}

/// The programs, as the kernel has taken them.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub names: Vec<&'static str>,
    /// Whether all of them were compiled.
    pub is_compiled: bool,
}

/// Whether the kernel is new enough.
pub(super) fn release(release: &str) -> Finding {
    const NAME: &str = "kernel";
    match version(release) {
        Some(version) if version < OLDEST => Finding::fatal(
            NAME,
            format!("the kernel is Linux {release}, and xlb needs {}.{} or newer", OLDEST.0, OLDEST.1),
            "install a newer one: `apt install linux-image-arm64` (Debian), `apt full-upgrade` (Raspberry Pi OS)",
        ),
        Some(_) => Finding::ok(NAME, format!("Linux {release}")),
        // What cannot be read is left for the kernel itself to refuse.
        None => Finding::note(NAME, format!("Linux {release}, which names no version")),
    }
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether all is there that was tried.
pub(super) fn features(features: &[Feature]) -> Vec<Finding> {
    const NAME: &str = "features";
    let mut findings = Vec::new();
    for feature in features {
        let Feature { name, option, .. } = feature;
        match &feature.outcome {
            Tried::There => {}
            Tried::Missing => findings.push(Finding {
                result: if feature.is_essential { Fatal } else { Warning },
                ..Finding::fatal(
                    NAME,
                    format!("the kernel has no {name}"),
                    format!("use a kernel with {option}, as Debian's and Raspberry Pi OS's are"),
                )
            }),
            Tried::Unknown(why) => {
                findings.push(Finding::note(NAME, format!("{name} could not be tried: {why}")));
            }
        }
    }
    let there = features.iter().filter(|feature| feature.outcome == Tried::There).count();
    if there > 0 {
        let reason = match features {
            [only] => format!("tried and there: {}", only.name),
            _ => format!("{there} of {} that were tried are there", features.len()),
        };
        findings.insert(0, Finding::ok(NAME, reason));
    }
    findings
}

/// Whether the kernel takes the programs themselves.
pub(super) fn programs(programs: &Result<Loaded, String>) -> Finding {
    const NAME: &str = "programs";
    match programs {
        Ok(Loaded { names, .. }) => Finding::ok(NAME, format!("the kernel takes {}", names.join(", "))),
        Err(error) => Finding::fatal(
            NAME,
            error.clone(),
            "use another kernel, and report this one (`uname -a`) with the message",
        ),
    }
}

/// Whether programs are compiled, without which each packet costs several times as much.
pub(super) fn jit(setting: Option<u8>, is_compiled: Option<bool>) -> Finding {
    const NAME: &str = "jit";
    const SWITCH_ON: &str =
        "`sysctl -w net.core.bpf_jit_enable=1`, which lasts as a line in /etc/sysctl.d/xlb.conf";
    const INTERPRETS: &str = "the kernel does not compile programs, but interprets them";
    match (setting, is_compiled) {
        (Some(0), _) => {
            Finding::warning(NAME, "net.core.bpf_jit_enable is 0: programs are interpreted", SWITCH_ON)
        }
        (Some(_), Some(false)) => {
            Finding::warning(NAME, INTERPRETS, "use a kernel with CONFIG_BPF_JIT, made for this processor")
        }
        (None, Some(false)) => Finding::warning(NAME, INTERPRETS, SWITCH_ON),
        (Some(value), _) => Finding::ok(NAME, format!("net.core.bpf_jit_enable is {value}")),
        (None, Some(true)) => Finding::ok(NAME, "the kernel compiles programs"),
        (None, None) => Finding::note(
            NAME,
            "net.core.bpf_jit_enable cannot be read, as in a container, and no program could be loaded to see",
        ),
    }
}

/// Whether the kernel describes its types, which nothing here needs.
pub(super) fn btf(has_btf: bool) -> Finding {
    const NAME: &str = "btf";
    if has_btf {
        Finding::ok(NAME, "the kernel describes its types; xlb does without")
    } else {
        Finding::note(
            NAME,
            "the kernel does not describe its types, as on Raspberry Pi OS: fine, xlb does without",
        )
    }
}

/// The size of a page, which all sizes follow.
pub(super) fn page_size(bytes: u64) -> Finding {
    Finding::ok("page-size", format!("{} KiB", bytes / 1024))
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Note, Ok as Fine};
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.1.0-37-arm64"), Some((6, 1)));
        assert_eq!(version("6.12.47+rpt-rpi-v8"), Some((6, 12)));
        let result = |text| release(text).result;
        assert_eq!(result("5.15.84-v8+"), Fatal);
        assert_eq!(result("6.1.0-37-arm64"), Fine);
        assert_eq!(result("6.12.0"), Fine);
        assert_eq!(result("linux"), Note);
        let words = release("5.15.84-v8+").to_string();
        assert!(
            words.starts_with("the kernel is Linux 5.15.84-v8+, and xlb needs 6.1 or newer; install"),
            "{words}"
        );
    }

    fn feature(is_essential: bool, outcome: Tried) -> Feature {
        Feature { name: "ring buffers", option: "CONFIG_BPF_SYSCALL", is_essential, outcome }
    }

    #[test]
    fn what_is_missing_is_as_bad_as_it_is_needed() {
        let results =
            |list: &[Feature]| features(list).iter().map(|finding| finding.result).collect::<Vec<_>>();
        assert_eq!(results(&[]), []);
        assert_eq!(results(&[feature(true, Tried::There)]), [Fine]);
        assert_eq!(results(&[feature(true, Tried::There), feature(true, Tried::Missing)]), [Fine, Fatal]);
        assert_eq!(results(&[feature(false, Tried::Missing)]), [Warning]);
        assert_eq!(results(&[feature(true, Tried::Unknown("EPERM".into()))]), [Note]);
        let words = features(&[feature(true, Tried::Missing)])[0].to_string();
        assert!(
            words.starts_with("the kernel has no ring buffers; use a kernel with CONFIG_BPF_SYSCALL"),
            "{words}"
        );
    }

    #[test]
    fn an_interpreter_is_slow() {
        assert_eq!(jit(Some(1), Some(true)).result, Fine);
        assert_eq!(jit(Some(2), None).result, Fine);
        assert_eq!(jit(Some(0), None).result, Warning);
        let switch_on = jit(None, Some(false));
        assert_eq!(switch_on.result, Warning);
        assert_eq!(switch_on.remedy, jit(Some(0), None).remedy);
        let is_on_already = jit(Some(1), Some(false));
        assert_eq!(is_on_already.result, Warning);
        assert!(is_on_already.to_string().contains("CONFIG_BPF_JIT"), "{is_on_already}");
        assert_eq!(jit(None, Some(true)).result, Fine);
        assert_eq!(jit(None, None).result, Note);
    }

    #[test]
    fn what_is_absent_and_not_needed_is_a_note() {
        assert_eq!(btf(false).result, Note);
        assert_eq!(btf(true).result, Fine);
        assert_eq!(page_size(16_384).reason, "16 KiB");
    }

    #[test]
    fn a_refused_program_is_fatal() {
        let loaded = Loaded { names: vec!["xlb_xdp", "xlb_tc"], is_compiled: true };
        assert_eq!(programs(&Ok(loaded)).reason, "the kernel takes xlb_xdp, xlb_tc");
        assert_eq!(programs(&Err("the verifier says no".into())).result, Fatal);
    }
}
