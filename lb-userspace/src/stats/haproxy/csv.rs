//! `show stat` and `/stats;csv`.

use super::{Column, Row};

/// The column between HAProxy's own and those of its modules; it is empty, which CSV has as `-`.
const SEPARATOR: &str = "-";

/// A line of names, then a line for each row.
#[must_use]
pub fn csv<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut text = String::from("# ");
    line(&mut text, |column| column.name().to_owned());
    for row in rows {
        line(&mut text, |column| row.get(column).map(|value| quoted(&value.to_string())).unwrap_or_default());
    }
    text
}

/// Every value is followed by a comma, the last one too.
fn line(text: &mut String, value: impl Fn(Column) -> String) {
    for column in Column::ALL {
        if *column == Column::FIRST_OF_MODULES {
            text.push_str(SEPARATOR);
            text.push(',');
        }
        text.push_str(&value(*column));
        text.push(',');
    }
    text.push('\n');
}

/// In quotation marks where it needs them (RFC 4180).
fn quoted(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}
