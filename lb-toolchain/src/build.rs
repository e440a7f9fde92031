//! A run of cargo, and what it reports with `--message-format=json`.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    iter,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::Error;

/// A program that cargo has built, or found up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The name of the target, such as `xlb`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// Everything that one build command reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The executables, in the order in which they were ready.
    pub executables: Vec<Executable>,
    /// The compiler's warnings, as it renders them.
    pub warnings: Vec<String>,
    errors: Vec<String>,
}

impl Build {
    /// Runs `cargo`, a build command, to its end. Its progress goes on to standard error.
    pub fn run(cargo: &mut Command) -> Result<Self, Error> {
        let program = shown(cargo);
        let unrunnable = |reason| Error::Run { program: program.clone(), reason };
        cargo.arg("--message-format=json").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cargo.spawn().map_err(unrunnable)?;
        let mut build = Self::default();
        for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
            build.read(&line.map_err(unrunnable)?);
        }
        if child.wait().map_err(unrunnable)?.success() {
            Ok(build)
        } else {
            Err(Error::Failed { program, errors: build.errors.concat() })
        }
    }

    /// Takes in one line. What is no JSON was printed by a build script, and is nothing to us.
    fn read(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        match message["reason"].as_str() {
            Some("compiler-artifact") => self.executables.extend(executable(&message)),
            Some("compiler-message") => self.read_diagnostic(&message["message"]),
            _ => {}
        }
    }

    fn read_diagnostic(&mut self, diagnostic: &Value) {
        let rendered = diagnostic["rendered"].as_str().unwrap_or_default().to_owned();
        // A warning without a place in the sources is a summary, or about a flag given on purpose.
        let has_place = diagnostic["spans"].as_array().is_some_and(|spans| !spans.is_empty());
        match diagnostic["level"].as_str() {
            Some("warning") if has_place => self.warnings.push(rendered),
            Some("error") => self.errors.push(rendered),
            _ => {}
        }
    }
}

/// The command as one would type it; its own form names every variable that it leaves out.
fn shown(command: &Command) -> String {
    let words: Vec<_> = iter::once(command.get_program()).chain(command.get_args()).collect();
    words.join(OsStr::new(" ")).display().to_string()
}

/// The executable of an artifact message; a library has none.
fn executable(message: &Value) -> Option<Executable> {
    let path = message["executable"].as_str()?.into();
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(Executable { name, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_and_diagnostics_are_told_apart() {
        let mut build = Build::default();
        for line in [
            r#"{"reason":"compiler-artifact","target":{"name":"lb_common"},"executable":null}"#,
            r#"{"reason":"compiler-message","message":{"level":"warning","spans":[{}],"rendered":"unused"}}"#,
            r#"{"reason":"compiler-message","message":{"level":"warning","spans":[],"rendered":"2 warnings"}}"#,
            r#"{"reason":"compiler-message","message":{"level":"error","spans":[],"rendered":"wrong"}}"#,
            "a line of a build script",
            r#"{"reason":"compiler-artifact","target":{"name":"xlb"},"executable":"/target/xlb"}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ] {
            build.read(line);
        }
        assert_eq!(
            build,
            Build {
                executables: vec![Executable { name: "xlb".into(), path: "/target/xlb".into() }],
                warnings: vec!["unused".into()],
                errors: vec!["wrong".into()],
            }
        );
    }
}
