//! Whatever the files contain, the answer is a result and never a panic.

use proptest::prelude::*;
use xlb::config::Loaded;
use xlb::config::haproxy::import;

use crate::GOOD;

const SEED: &str = include_str!("../data/haproxy.cfg");

/// Each `Err` names at least one problem, in the file's own lines.
fn parses_or_explains(text: &str) {
    if let Err(problems) = Loaded::parse("xlb.toml", text) {
        assert!(!problems.is_empty(), "{text}");
        assert!(problems.iter().all(|problem| (1..=text.lines().count().max(1) + 1).contains(&problem.line)));
    }
}

/// A translation is TOML, whatever else may be wrong with it.
fn translates_or_explains(text: &str) {
    match import("haproxy.cfg", text, |_| None) {
        Ok(import) => {
            assert!(import.toml.parse::<toml_edit::DocumentMut>().is_ok(), "{text}");
            parses_or_explains(&import.toml);
        }
        Err(problems) => assert!(!problems.is_empty(), "{text}"),
    }
}

/// A sound text of which some lines are replaced, removed, or exchanged.
fn damaged(sound: &'static str, garbage: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<String> = sound.lines().map(str::to_owned).collect();
    let places = 0..lines.len();
    proptest::collection::vec((places.clone(), places, garbage), 1..4).prop_map(move |damages| {
        let mut lines = lines.clone();
        for (a, b, garbage) in damages {
            lines.swap(a, b);
            lines[b] = garbage;
        }
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(?s).{0,200}") {
        parses_or_explains(&text);
        translates_or_explains(&text);
    }

    #[test]
    fn any_value_is_read(text in damaged(GOOD, r#"[a-z_]{1,9} = ("[0-9a-z.:-]{0,12}"|-?[0-9]{1,9}|\[\]|\{\}|true)|"#)) {
        parses_or_explains(&text);
    }

    #[test]
    fn any_setting_is_translated(
        text in damaged(SEED, r#" ?(server|bind|timeout|stats|stats socket|log|option|mode|listen|defaults)( [\\a-z0-9."'#:$-]{0,9}){0,4}"#),
    ) {
        translates_or_explains(&text);
    }
}
