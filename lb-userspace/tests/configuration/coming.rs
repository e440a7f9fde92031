//! The table of docs/haproxy.md that says where each line of a user's file goes, and its short form in the
//! README, held against the file and its translation.

use std::collections::BTreeSet;

use toml::{Table, Value};
use xlb::config::haproxy::import;

const SEED: &str = include_str!("../data/haproxy.cfg");
const GUIDE: &str = include_str!("../../../docs/haproxy.md");
const README: &str = include_str!("../../../README.md");

/// How a row says that `import` has something to say.
const SAYS_SO: &str = "says so";

/// A setting of the file: a line, or one of the settings that a server's line has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    section: String,
    text: String,
}

/// A row of the table.
struct Row {
    setting: Setting,
    /// The table of `xlb.toml` that the following are in, as a path.
    table: Vec<String>,
    /// What is there to be found, in one and the same table.
    values: Table,
    says_so: bool,
}

/// The settings of the file, and the lines that they are in. Of several servers the first stands for all.
fn settings() -> Vec<(usize, Setting)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for (line, text) in (1..).zip(SEED.lines()) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            [] => {}
            [word, ..] if word.starts_with('#') => {}
            [word, ..] if !text.starts_with(' ') => word.clone_into(&mut section),
            ["server", name, address, "check", "fall", fall, "rise", rise] => {
                let parts = [
                    format!("server {name} {address}"),
                    "check".into(),
                    format!("fall {fall}"),
                    format!("rise {rise}"),
                ];
                settings.extend(parts.map(|text| (line, Setting { section: section.clone(), text })));
            }
            _ => settings.push((line, Setting { section: section.clone(), text: text.trim().to_owned() })),
        }
    }
    let mut seen = BTreeSet::new();
    settings.retain(|(_, setting)| seen.insert(key(setting)));
    settings
}

/// What tells a setting from others, which of servers is that they are.
fn key(Setting { section, text }: &Setting) -> (String, String) {
    let text = if text.starts_with("server ") { "server" } else { text };
    (section.clone(), text.to_owned())
}

/// What a cell has in code: `a` `b`.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn rows() -> Vec<Row> {
    let lines = GUIDE.lines().skip_while(|line| !line.starts_with("| section |")).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, section, setting, toml, says, _, _] = cells[..] else { panic!("not five cells: {line}") };
    let only = |cell| code(cell).next().unwrap_or_else(|| panic!("no code: {line}")).to_owned();
    let mut row = Row {
        setting: Setting { section: only(section), text: only(setting) },
        table: Vec::new(),
        values: Table::new(),
        says_so: says == SAYS_SO,
    };
    assert!(row.says_so || says.is_empty(), "{line}");
    for part in code(toml) {
        match part.strip_prefix('[') {
            Some(path) => row.table = path.trim_matches(['[', ']']).split('.').map(str::to_owned).collect(),
            None => {
                row.values.extend(part.parse::<Table>().unwrap_or_else(|error| panic!("{line}: {error}")));
            }
        }
    }
    row
}

/// The tables at a path, through lists of tables.
fn tables<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Table> {
    match (value, path) {
        (Value::Array(values), _) => values.iter().flat_map(|value| tables(value, path)).collect(),
        (Value::Table(table), []) => vec![table],
        (Value::Table(table), [first, rest @ ..]) => {
            table.get(first).map(|value| tables(value, rest)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

#[test]
fn each_setting_has_a_row_and_goes_where_that_says() {
    let (settings, rows) = (settings(), rows());
    let of_file: Vec<_> = settings.iter().map(|(_, setting)| setting).collect();
    let of_table: Vec<_> = rows.iter().map(|row| &row.setting).collect();
    assert_eq!(of_table, of_file);
    let import = import("haproxy.cfg", SEED, |_| Some("eth0".to_owned())).expect("the file is sound");
    let translated = Value::Table(import.toml.parse().expect("TOML"));
    let notes = import.notes.to_string();
    for ((line, setting), row) in settings.iter().zip(&rows) {
        let has_all = |table: &&Table| row.values.iter().all(|(key, value)| table.get(key) == Some(value));
        assert!(
            tables(&translated, &row.table).iter().any(has_all),
            "{setting:?} is not there:\n{}",
            import.toml
        );
        let is_noted = notes.contains(&format!("haproxy.cfg:{line}: "));
        assert_eq!(is_noted, row.says_so, "{setting:?}:\n{notes}");
    }
}

/// The other direction: a row that names no place is for a setting that the translation does without.
#[test]
fn what_has_no_place_changes_nothing() {
    let translate = |text: &str| import("haproxy.cfg", text, |_| None).expect("the file is sound").toml;
    let whole = translate(SEED);
    let nowhere = |row: &Row| row.values.is_empty();
    for ((line, setting), row) in settings().iter().zip(rows()) {
        // Without this one it would be no page of statistics at all.
        if !nowhere(&row) || setting.text == "mode http" {
            continue;
        }
        let without = (1..).zip(SEED.lines()).filter(|(number, _)| number != line);
        let text: Vec<_> = without.map(|(_, text)| text).collect();
        assert_eq!(translate(&text.join("\n")), whole, "{setting:?} has a place");
    }
}

#[test]
fn the_readme_names_each_keyword() {
    let (_, section) = README.split_once("## Coming from HAProxy\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let named: Vec<&str> = code(section).collect();
    for (_, Setting { text, .. }) in settings() {
        let words: Vec<&str> = text.split(' ').collect();
        let keyword = match words[..] {
            [first @ ("stats" | "timeout" | "option"), second, ..] => format!("{first} {second}"),
            [first, ..] => first.to_owned(),
            [] => continue,
        };
        assert!(named.contains(&keyword.as_str()), "the README does not name `{keyword}`");
    }
}
