//! Reads TOML tables key by key and goes on after a problem, so that one run finds them all.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{Field, Located, Place, Problem};
use super::suggest;
use super::value::{self, Parsed};

/// So many characters of a value are shown.
const SHOWN: usize = 80;

/// A table of the file.
///
/// Its keys are the ones that were asked for; in the end every other key is a problem.
pub(super) struct Table<'t, 'p> {
    source: &'t str,
    entries: &'t DeTable<'t>,
    place: Place,
    asked: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

/// Reads the whole of a file, and records what is wrong with it.
///
/// # Errors
///
/// The one problem that keeps the text from being TOML.
pub(super) fn read<T>(
    source: &str,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(&mut Table<'_, '_>) -> T,
) -> Result<T, Problem> {
    let root = DeTable::parse(source).map_err(|error| syntax(source, &error))?;
    let place = Place { line: 1, key: String::new(), value: None };
    Ok(Table { source, entries: root.get_ref(), place, asked: Vec::new(), problems }.finish(read))
}

impl<'t> Table<'t, '_> {
    /// A value that may be absent.
    pub fn optional<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue<'_>) -> Parsed<T>) -> Field<T> {
        let (place, value) = self.find(key)?;
        self.parse(place, value, parse)
    }

    /// A value that may be absent and that no problem shows.
    pub fn secret<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue<'_>) -> Parsed<T>) -> Field<T> {
        let (place, value) = self.find(key)?;
        self.parse(place.without_value(), value, parse)
    }

    /// A value that must be there; the example is one that could be.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Field<T> {
        if !self.has(key) {
            self.missing(key, &format!("add {key} = \"{example}\""));
        }
        self.optional(key, parse)
    }

    /// A list of at most `most` values that may be absent, but not empty; the example is one value.
    ///
    /// What is wrong with one of them is said of that one.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        most: usize,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Field<Vec<Located<T>>> {
        let (place, value) = self.find(key)?;
        let items = match value.get_ref().as_array() {
            Some(items) if (1..=most).contains(&items.len()) => items,
            found => {
                let finding = format!("expected a list of 1 to {most} values");
                let remedy = match found {
                    Some(items) if items.is_empty() => "name one, or remove the line".to_owned(),
                    Some(items) => format!("these are {}: remove some", items.len()),
                    None => format!("write [\"{example}\"], with commas between several"),
                };
                self.problems.push(place.problem(finding, remedy));
                return None;
            }
        };
        let values: Vec<Located<T>> = items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                let line = self.line(item.span());
                let value = Some(shown(&self.source[item.span()]));
                let place = Place { line, key: format!("{}[{i}]", place.key), value };
                self.parse(place, item, &parse)
            })
            .collect();
        (values.len() == items.len()).then_some(Located { value: values, place })
    }

    /// A table that may be absent.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Field<T> {
        let (place, value) = self.find(key)?;
        let DeValue::Table(entries) = value.get_ref() else {
            let remedy = format!("write [{}] on a line of its own, and the settings below", place.key);
            self.problems.push(place.problem("expected a table", remedy));
            return None;
        };
        Some(self.descend(place, entries, read))
    }

    /// Tables that share a key, each labelled with its name.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Table<'_, '_>) -> T,
    ) -> Vec<Located<T>> {
        let Some((place, value)) = self.find(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let remedy = format!("write [[{key}]] in double brackets, once for each");
            self.problems.push(place.problem("expected a list of tables", remedy));
            return Vec::new();
        };
        let mut labels = Labels::default();
        items.iter().enumerate().filter_map(|(i, item)| self.item(key, i, item, &mut labels, &read)).collect()
    }

    /// Whether a key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Records that a key is missing.
    pub fn missing(&mut self, key: &str, remedy: &str) {
        let place = Place { line: self.place.line, key: self.place.inside(key), value: None };
        self.problems.push(place.problem("missing", remedy));
    }

    fn item<T>(
        &mut self,
        key: &str,
        index: usize,
        item: &'t Spanned<DeValue<'t>>,
        labels: &mut Labels<'t>,
        read: impl Fn(&mut Table<'_, '_>) -> T,
    ) -> Option<Located<T>> {
        let line = self.line(item.span());
        let Some(entries) = item.get_ref().as_table() else {
            let place = Place { line, key: self.place.inside(&format!("{key}[{index}]")), value: None };
            self.problems
                .push(place.problem("expected a table", format!("write [[{key}]] in double brackets")));
            return None;
        };
        let label = labels.next(key, index, entries);
        Some(self.descend(Place { line, key: self.place.inside(&label), value: None }, entries, read))
    }

    fn descend<T>(
        &mut self,
        place: Place,
        entries: &'t DeTable<'t>,
        read: impl FnOnce(&mut Table<'_, '_>) -> T,
    ) -> Located<T> {
        let source = self.source;
        let inner = place.clone();
        let table = Table { source, entries, place: inner, asked: Vec::new(), problems: self.problems };
        Located { value: table.finish(read), place }
    }

    fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        for (key, found) in self.entries {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let remedy =
                    suggest::remedy(name, &self.asked, format!("known here are {}", self.asked.join(", ")));
                let place = self.place_of(key, found);
                // There it may be a password under a misspelled key.
                let place = if self.place.key == "stats" { place.without_value() } else { place };
                self.problems.push(place.problem("unknown key", remedy));
            }
        }
        value
    }

    fn find(&mut self, key: &'static str) -> Option<(Place, &'t Spanned<DeValue<'t>>)> {
        self.asked.push(key);
        let (key, value) = self.entries.get_key_value(key)?;
        Some((self.place_of(key, value), value))
    }

    fn parse<T>(
        &mut self,
        place: Place,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Field<T> {
        match parse(value.get_ref()) {
            Ok(value) => Some(Located { value, place }),
            Err(refusal) => {
                self.problems.push(place.problem(refusal.finding, refusal.remedy));
                None
            }
        }
    }

    fn place_of(&self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Place {
        let text = &self.source[value.span()];
        let is_header = value.get_ref().is_table() || text.starts_with("[[");
        let value = (!is_header).then(|| shown(text));
        Place { line: self.line(key.span()), key: self.place.inside(key.get_ref()), value }
    }

    fn line(&self, span: Range<usize>) -> usize {
        line_at(self.source, span.start)
    }
}

/// Labels the tables of a list: by name, or by number if the name is no use as a label.
#[derive(Default)]
struct Labels<'t> {
    used: Vec<&'t str>,
}

impl<'t> Labels<'t> {
    fn next(&mut self, key: &str, index: usize, entries: &'t DeTable<'t>) -> String {
        let named = entries.get("name").filter(|name| value::name(name.get_ref()).is_ok());
        match named.and_then(|name| name.get_ref().as_str()) {
            Some(name) if !self.used.contains(&name) => {
                self.used.push(name);
                format!("{key}.{name}")
            }
            _ => format!("{key}[{index}]"),
        }
    }
}

/// The first line of a value, cut to a bearable length.
fn shown(text: &str) -> String {
    let mut shown: String = text.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn line_at(source: &str, offset: usize) -> usize {
    1 + source.get(..offset).unwrap_or(source).matches('\n').count()
}

/// What keeps a text from being TOML. The line's value is not shown: it may be a password.
fn syntax(source: &str, error: &toml::de::Error) -> Problem {
    let line = line_at(source, error.span().map_or(0, |span| span.start));
    let text = source.lines().nth(line - 1).unwrap_or_default();
    let key = text.split('=').next().unwrap_or_default().trim();
    let place = Place { line, key: shown(key), value: None };
    let remedy = match error.message() {
        "duplicate key" => "remove or rename one of the two",
        _ => "correct the line (https://toml.io shows the notation)",
    };
    place.problem(error.message(), remedy)
}
