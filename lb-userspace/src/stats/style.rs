//! How tables look.

use std::io::{IsTerminal, stdout};

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

/// Whether tables may use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text only, for pipes and files.
    Plain,
    /// With colours, for terminals.
    Coloured,
}

impl Style {
    /// What suits standard output; `NO_COLOR` is respected (<https://no-color.org>).
    #[must_use]
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stdout().is_terminal() && !refused { Self::Coloured } else { Self::Plain }
    }

    /// An empty table in this style, its columns set apart by space.
    pub(crate) fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        // Never wrapped: a line is a row, also for grep and awk.
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        match self {
            Self::Plain => table.force_no_tty(),
            Self::Coloured => table.enforce_styling(),
        };
        table.set_header(header);
        table
    }
}

/// A cell with a number.
pub(super) fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A cell that is to catch the eye.
pub(crate) fn coloured(text: impl ToString, color: Option<Color>) -> Cell {
    let cell = Cell::new(text);
    match color {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

/// The table's text, without the blanks at the ends of its lines, and with a line's end.
pub(crate) fn render(table: &mut Table) -> String {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt() + "\n"
}
