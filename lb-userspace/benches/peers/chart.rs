//! The figures that matter most, as a picture for the documents.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a panel.
const PANEL: (u32, u32) = (520, 250);
const COLUMNS: usize = 2;
/// Pixels for the names of the bars.
const NAMES: u32 = 110;
const FONT: &str = "sans-serif";
/// xlb's bars, and those of the others.
const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const OTHERS: RGBColor = RGBColor(0xa8, 0xa8, 0xa8);

/// A panel: what its bars stand for, and the bars from top to bottom.
pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

/// A bar.
pub struct Bar {
    pub name: String,
    pub value: f64,
    /// Whether it is xlb's.
    pub is_ours: bool,
}

/// Draws panels into an SVG file.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows as u32);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, place) in panels.iter().zip(area.split_evenly((rows, COLUMNS))) {
        // The library's own errors borrow the area.
        panel.draw(&place).map_err(|error| anyhow!("draw {}: {error}", panel.title))?;
    }
    area.present().map_err(|error| anyhow!("write {}: {error}", path.display()))
}

impl Panel {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> std::result::Result<(), Box<dyn std::error::Error + '_>>
    where
        B::ErrorType: 'static,
    {
        let highest = self.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 16))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, NAMES)
            // Room for the figure behind the longest bar.
            .build_cartesian_2d(0.0..highest * 1.2, 0.0..self.bars.len() as f64)?;
        let middle = Pos::new(HPos::Right, VPos::Center);
        for (place, bar) in self.bars.iter().rev().enumerate() {
            let (bottom, top) = (place as f64 + 0.15, place as f64 + 0.85);
            let style = if bar.is_ours { OURS } else { OTHERS }.filled();
            chart.draw_series([Rectangle::new([(0.0, bottom), (bar.value, top)], style)])?;
            let centre = f64::midpoint(bottom, top);
            let label = |anchor| (FONT, 13).into_font().color(&BLACK).pos(anchor);
            let name = EmptyElement::at((0.0, centre)) + Text::new(bar.name.clone(), (-6, 0), label(middle));
            chart.plotting_area().draw(&name)?;
            let left = Pos::new(HPos::Left, VPos::Center);
            let figure = EmptyElement::at((bar.value, centre)) + Text::new(bar.figure(), (5, 0), label(left));
            chart.plotting_area().draw(&figure)?;
        }
        Ok(())
    }
}

impl Bar {
    /// Its value with as many digits as mean something.
    fn figure(&self) -> String {
        if self.value < 100.0 { format!("{:.2}", self.value) } else { format!("{:.0}", self.value) }
    }
}
