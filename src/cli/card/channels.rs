//! `--from channels.csv`: a QR code for each channel, in a folder, with an index of what was made.
//!
//! The index is written line by line, so that a job goes on where it stopped.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    path::Path,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::{Usage, picture::Picture};
use crate::wechat_api::{
    Api,
    card::{Ask, OuterStr, QrCard},
};

/// A line of the CSV.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// From 1, without the header.
    number: usize,
    channel: OuterStr,
    card_id: String,
}

#[derive(Deserialize)]
struct Written {
    channel: String,
    #[serde(default)]
    card_id: Option<String>,
}

/// A line of `index.csv`.
#[derive(Debug, Serialize, Deserialize)]
struct Indexed {
    channel: String,
    card_id: String,
    file: String,
    url: String,
    ticket: String,
}

/// Reads and judges the whole file before the first call: every wrong line at once.
pub(super) fn read(file: &Path, card_id: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let shown = file.display();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_path(file)?;
    // Spreadsheet programs begin a CSV in UTF-8 with U+FEFF.
    let headers = reader.headers()?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    reader.set_headers(headers);
    if !reader.headers()?.iter().any(|name| name == "channel") {
        return Err(Usage(format!("{shown} has no column channel: expected channel, or channel,card_id")).into());
    }
    let (mut rows, mut wrong, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, written) in reader.deserialize::<Written>().enumerate() {
        let number = index + 1;
        let written = written.with_context(|| format!("line {} of {shown}", number + 1))?;
        let named = written.card_id.filter(|card_id| !card_id.is_empty());
        let named = named.or_else(|| card_id.map(str::to_owned));
        match (OuterStr::parse(&written.channel), named) {
            (Err(error), _) => wrong.push(format!("line {}: channel: {error}", number + 1)),
            (_, None) => wrong.push(format!("line {}: has no card_id, and no CARD_ID is given", number + 1)),
            (Ok(channel), Some(card_id)) if seen.insert((written.channel, card_id.clone())) => {
                rows.push(Row { number, channel, card_id });
            }
            (Ok(_), Some(_)) => wrong.push(format!("line {}: is another line's channel and card already", number + 1)),
        }
    }
    if !wrong.is_empty() {
        return Err(Usage(format!("{shown} cannot be used:\n{}", wrong.join("\n"))).into());
    }
    Ok(rows)
}

/// Makes what the folder does not have yet; how many those were.
pub(super) async fn make(api: &mut Api, rows: &[Row], folder: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let index = folder.join("index.csv");
    let done = indexed(&index, folder)?;
    let is_new = done.is_none();
    let done = done.unwrap_or_default();
    let file = OpenOptions::new().create(true).append(true).open(&index)?;
    let mut writer = csv::WriterBuilder::new().has_headers(is_new).from_writer(file);
    let left: Vec<&Row> =
        rows.iter().filter(|row| !done.contains(&(row.channel.as_str().to_owned(), row.card_id.clone()))).collect();
    let bar = ProgressBar::new(rows.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len}  {eta} left  {msg}")?);
    bar.set_position((rows.len() - left.len()) as u64);
    for row in &left {
        bar.set_message(row.channel.as_str().to_owned());
        let card = QrCard {
            card_id: row.card_id.clone(),
            code: None,
            openid: None,
            is_unique_code: false,
            outer_str: Some(row.channel.clone()),
        };
        let ticket = api.create_qrcode(&Ask { cards: vec![card], expire_seconds: None }).await.with_context(|| {
            format!("channel {:?} (line {}); the same command goes on from here", row.channel.as_str(), row.number + 1)
        })?;
        let file = file_name(row);
        Picture::of(&ticket.url)?.write_png(&folder.join(&file))?;
        writer.serialize(Indexed {
            channel: row.channel.as_str().to_owned(),
            card_id: row.card_id.clone(),
            file,
            url: ticket.url,
            ticket: ticket.ticket,
        })?;
        writer.flush()?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(left.len())
}

/// What the index has and the folder too; `None`: no index yet. Cuts off a line that a stop has left half.
fn indexed(index: &Path, folder: &Path) -> anyhow::Result<Option<HashSet<(String, String)>>> {
    let Ok(text) = fs::read(index) else { return Ok(None) };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    OpenOptions::new().write(true).open(index)?.set_len(whole as u64)?;
    if whole == 0 {
        return Ok(None);
    }
    let mut done = HashSet::new();
    for row in csv::Reader::from_reader(text.get(..whole).unwrap_or_default()).deserialize::<Indexed>() {
        let row = row.with_context(|| format!("{} is not an index that this command wrote", index.display()))?;
        if folder.join(&row.file).is_file() {
            done.insert((row.channel, row.card_id));
        }
    }
    Ok(Some(done))
}

/// `0007-poster_7.png`: in the order of the CSV, and readable where the channel is.
fn file_name(row: &Row) -> String {
    let legal = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    let name: String = row.channel.as_str().chars().map(|c| if legal(c) { c } else { '_' }).take(40).collect();
    format!("{:04}-{name}.png", row.number)
}
