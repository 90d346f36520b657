//! `cardhook card qrcode`: puts a card out under a channel.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::json;

use super::{AccountArgs, Usage, channel, channels, note, picture::Picture};
use crate::wechat_api::card::{Ask, OuterStr, QrCard};

/// WeChat's most for `QR_MULTIPLE_CARD`.
const MOST_CARDS: usize = 5;

/// Make a QR code that puts a card, or several, into the wallet of who scans it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card qrcode pCARD --outer-str poster-7 --config cardhook.toml
  cardhook card qrcode pCARD --outer-str poster-7 --png poster-7.png --svg poster-7.svg --config cardhook.toml
  cardhook card qrcode pCARD pOTHER --outer-str bundle --config cardhook.toml
  cardhook card qrcode pCARD --from channels.csv --out posters --config cardhook.toml    # goes on where it stopped")]
pub(super) struct QrcodeArgs {
    /// The card; up to five make one QR code for all
    #[arg(value_name = "CARD_ID", required_unless_present = "from", value_parser = NonEmptyStringValueParser::new())]
    card_ids: Vec<String>,
    /// The channel, which comes back in card.received; 1 to 128 printable characters
    #[arg(long, value_name = "TEXT", value_parser = channel)]
    outer_str: Option<OuterStr>,
    /// The card's code, for a card with custom codes
    #[arg(long)]
    code: Option<String>,
    /// Who may claim it, for a card bound to an openid
    #[arg(long)]
    openid: Option<String>,
    /// A code at random that one customer can claim once
    #[arg(long)]
    unique: bool,
    /// How long it can be scanned, 1m to 30m; a year when not given
    #[arg(long, value_name = "DURATION", value_parser = expires)]
    expires: Option<Duration>,
    /// Write the QR code as PNG
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Write the QR code as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One QR code for each line of a CSV with the columns `channel` and (optional) `card_id`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["outer_str", "code", "openid", "unique", "expires", "png", "svg"])]
    from: Option<PathBuf>,
    /// The folder of --from: PNGs, and index.csv of what was made
    #[arg(long, value_name = "DIR", default_value = "qrcodes")]
    out: PathBuf,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &QrcodeArgs) -> anyhow::Result<ExitCode> {
    if args.card_ids.len() > MOST_CARDS {
        return Err(Usage(format!("{} cards, and one QR code takes {MOST_CARDS}", args.card_ids.len())).into());
    }
    if let Some(from) = &args.from {
        let ([] | [_]) = args.card_ids.as_slice() else {
            return Err(Usage("--from takes one CARD_ID at most, for lines that name none".to_owned()).into());
        };
        let rows = channels::read(from, args.card_ids.first().map(String::as_str))?;
        let (mut api, ..) = args.account.api()?;
        let made = channels::make(&mut api, &rows, &args.out).await?;
        let lines = format!("{} QR codes in {}, {} of them new", rows.len(), args.out.display(), made);
        return args.account.print(&json!({ "codes": rows.len(), "new": made, "folder": args.out }), &lines);
    }
    if let Some(outer_str) = args.outer_str.as_ref().filter(|outer_str| !outer_str.as_str().is_ascii()) {
        let bytes = outer_str.as_str().len();
        note(format_args!(
            "outer_str has {bytes} bytes and is not ASCII: try it with one customer before you print it"
        ));
    }
    let (mut api, ..) = args.account.api()?;
    let card = |card_id: &String| QrCard {
        card_id: card_id.clone(),
        code: args.code.clone(),
        openid: args.openid.clone(),
        is_unique_code: args.unique,
        outer_str: args.outer_str.clone(),
    };
    let expire_seconds = args.expires.map(|expires| u32::try_from(expires.as_secs())).transpose()?;
    let ask = Ask { cards: args.card_ids.iter().map(card).collect(), expire_seconds };
    let ticket = api.create_qrcode(&ask).await?;
    let picture = Picture::of(&ticket.url)?;
    if let Some(png) = &args.png {
        picture.write_png(png)?;
    }
    if let Some(svg) = &args.svg {
        picture.write_svg(svg)?;
    }
    let mut lines = picture.terminal(io::stdout().is_terminal());
    writeln!(lines, "url      {}\nticket   {}", ticket.url, ticket.ticket)?;
    if !ticket.show_qrcode_url.is_empty() {
        writeln!(lines, "picture  {}", ticket.show_qrcode_url)?;
    }
    if let Some(seconds) = ticket.expire_seconds {
        writeln!(lines, "expires  in {seconds} s")?;
    }
    args.account.print(&ticket, &lines)
}

/// WeChat's limits.
fn expires(text: &str) -> Result<Duration, String> {
    let expected = "expected 1m to 30m";
    let duration: jiff::SignedDuration = text.parse().map_err(|_| expected)?;
    let duration = Duration::try_from(duration).map_err(|_| expected)?;
    if (60..=1800).contains(&duration.as_secs()) { Ok(duration) } else { Err(expected.to_owned()) }
}
