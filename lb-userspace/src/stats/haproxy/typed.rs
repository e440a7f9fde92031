//! `show stat typed` and `show stat json`.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::info::Info;
use super::{Row, Value};

/// A line for each value, and an empty one behind each row.
#[must_use]
pub fn typed<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut text = String::new();
    for row in rows {
        for (column, value) in row.values() {
            let (letter, name, place) = (row.kind.letter(), column.name(), column as usize);
            let tags = column.tags(row.kind);
            let _ = writeln!(
                text,
                "{letter}.{}.{}.{place}.{name}.1:{tags}:{}:{value}",
                row.iid,
                row.sid,
                value.type_name()
            );
        }
        text.push('\n');
    }
    text
}

/// A list for each row, of an object for each value.
#[must_use]
pub fn json<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let row = |row: &Row| -> Json {
        let field = |(column, value): (super::Column, &Value)| {
            let mut field = field(column as usize, column.name(), column.tags(row.kind), value);
            field["objType"] = row.kind.name().into();
            field["proxyId"] = row.iid.into();
            field["id"] = row.sid.into();
            field
        };
        row.values().map(field).collect()
    };
    rows.into_iter().map(row).collect::<Json>().to_string()
}

/// `show info typed`.
#[must_use]
pub fn info_typed(info: &[Info]) -> String {
    let mut text = String::new();
    for Info { place, name, tags, value, .. } in info {
        let _ = writeln!(text, "{place}.{name}.1:{tags}:{}:{value}", value.type_name());
    }
    text
}

/// `show info json`.
#[must_use]
pub fn info_json(info: &[Info]) -> String {
    let field = |info: &Info| field(info.place, info.name, info.tags, &info.value);
    info.iter().map(field).collect::<Json>().to_string()
}

fn field(place: usize, name: &str, tags: &str, value: &Value) -> Json {
    let mut letters = tags.chars();
    let mut tag = |of: fn(char) -> &'static str| letters.next().map_or("Unknown", of);
    json!({
        "field": { "pos": place, "name": name },
        "processNum": 1,
        "tags": { "origin": tag(origin), "nature": tag(nature), "scope": tag(scope) },
        "value": { "type": value.type_name(), "value": number_or_text(value) },
    })
}

fn number_or_text(value: &Value) -> Json {
    match value {
        Value::U32(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::S32(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
    }
}

const fn origin(letter: char) -> &'static str {
    match letter {
        'M' => "Metric",
        'S' => "Status",
        'K' => "Key",
        'C' => "Config",
        'P' => "Product",
        _ => "Unknown",
    }
}

const fn nature(letter: char) -> &'static str {
    match letter {
        'A' => "Age",
        'a' => "Avg",
        'C' => "Counter",
        'D' => "Duration",
        'G' => "Gauge",
        'L' => "Limit",
        'M' => "Max",
        'm' => "Min",
        'N' => "Name",
        'O' => "Output",
        'R' => "Rate",
        'T' => "Time",
        _ => "Unknown",
    }
}

const fn scope(letter: char) -> &'static str {
    match letter {
        'C' => "Cluster",
        'P' => "Process",
        'S' => "Service",
        's' => "System",
        _ => "Unknown",
    }
}
