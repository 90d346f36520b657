//! A QR code as terminal text, PNG and SVG.
//!
//! Does not depend on what the code says.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::Context as _;
use qrcode::{Color, EcLevel, QrCode, render::svg};

/// The white border that readers need, in modules.
const QUIET: usize = 4;
/// Pixels of a module: 29 modules and the border make 370 pixels, enough for print at the size of a coin.
const SCALE: usize = 10;

/// A QR code.
pub(super) struct Picture(QrCode);

impl Picture {
    /// The QR code of a text. Level M: a scratch on a poster does no harm.
    pub(super) fn of(text: &str) -> anyhow::Result<Self> {
        Ok(Self(QrCode::with_error_correction_level(text, EcLevel::M).context("the address makes no QR code")?))
    }

    /// Whether a module is dark; those of the border are light.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let width = self.0.width();
        let inside = |place: usize| place.checked_sub(QUIET).filter(|place| *place < width);
        inside(x).zip(inside(y)).is_some_and(|place| self.0[place] == Color::Dark)
    }

    fn side(&self) -> usize {
        self.0.width() + 2 * QUIET
    }

    /// Two modules a character. `colored`: black on white whatever the terminal's colours are; else dark modules are ink.
    pub(super) fn terminal(&self, colored: bool) -> String {
        let mut text = String::new();
        for y in (0..self.side()).step_by(2) {
            if colored {
                text.push_str("\x1b[38;5;16;48;5;231m");
            }
            for x in 0..self.side() {
                text.push(match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str(if colored { "\x1b[0m\n" } else { "\n" });
        }
        text
    }

    /// Writes a PNG of one bit a pixel.
    pub(super) fn write_png(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let side = self.side() * SCALE;
        let pixels = u32::try_from(side)?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut rows = Vec::with_capacity(side * side.div_ceil(8));
        for y in 0..side {
            for first in (0..side).step_by(8) {
                let light = |x: usize| x < side && !self.is_dark(x / SCALE, y / SCALE);
                rows.push((0..8).fold(0_u8, |byte, bit| byte << 1 | u8::from(light(first + bit))));
            }
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rows)?;
        writer.finish()?;
        Ok(())
    }

    /// Writes an SVG.
    pub(super) fn write_svg(&self, path: &Path) -> anyhow::Result<()> {
        let svg = self.0.render::<svg::Color>().min_dimensions(400, 400).quiet_zone(true).build();
        std::fs::write(path, svg).with_context(|| format!("{} cannot be written", path.display()))
    }
}
