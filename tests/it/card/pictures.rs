//! QR codes, read back by a reader that is not ours (`zbarimg`).

use std::{path::Path, process::Command};

use super::{card, done, setup, text};
use crate::support::{
    card_api::{CARD, CardApi, Fault},
    cardhook::Setup,
};

/// What the QR code of a picture says.
fn scan(picture: &Path) -> String {
    let output =
        Command::new("zbarimg").args(["--raw", "--quiet"]).arg(picture).output().expect("zbarimg (zbar-tools) runs");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A screenshot: each character is a cell of 8 by 16 pixels, its upper and lower half ink or paper.
fn screenshot(lines: &[&str], file: &Path) {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap();
    let mut pixels = Vec::new();
    for line in lines {
        for half in 0..2 {
            let row = (0..width).flat_map(|column| {
                let ink = match line.chars().nth(column) {
                    Some('█') => true,
                    Some('▀') => half == 0,
                    Some('▄') => half == 1,
                    Some(' ') | None => false,
                    Some(other) => panic!("{other:?} is no half block"),
                };
                [if ink { 0 } else { 255 }; 8]
            });
            let row: Vec<u8> = row.collect();
            (0..8).for_each(|_| pixels.extend_from_slice(&row));
        }
    }
    let head = format!("P5 {} {} 255\n", width * 8, lines.len() * 16);
    std::fs::write(file, [head.as_bytes(), &pixels].concat()).unwrap();
}

#[test]
fn an_independent_reader_reads_the_terminal_the_png_and_the_svg() {
    let api = CardApi::start();
    let setup = setup(&api);
    let [png, svg, shot] = ["code.png", "code.svg", "shot.pgm"].map(|name| setup.folder().join(name));
    let files = ["--png", png.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
    let out = done(&setup, &[&["qrcode", CARD, "--outer-str", "poster-7"][..], &files].concat());
    let url = "http://weixin.qq.com/q/h00001";
    assert!(out.contains(&format!("url      {url}\n")), "{out}");
    assert_eq!(scan(&png), url);
    let blocks: Vec<&str> = out.lines().take_while(|line| !line.starts_with("url")).collect();
    screenshot(&blocks, &shot);
    assert_eq!(scan(&shot), url);
    assert!(std::fs::read_to_string(&svg).unwrap().contains("<svg"));
    assert_eq!(api.channel_of(url), "poster-7");
}

fn poster_job(setup: &Setup, rows: &str) -> (Vec<String>, std::path::PathBuf) {
    let (from, out) = (setup.folder().join("channels.csv"), setup.folder().join("posters"));
    std::fs::write(&from, rows).unwrap();
    let args = ["qrcode", CARD, "--from", from.to_str().unwrap(), "--out", out.to_str().unwrap()];
    (args.map(str::to_owned).to_vec(), out)
}

#[test]
fn a_printing_job_goes_on_where_it_stopped() {
    let api = CardApi::start();
    let setup = setup(&api);
    let channels: Vec<String> = (1..=12).map(|number| format!("海报-{number}")).collect();
    let rows = format!("\u{feff}channel,card_id\n{}\nmetro,pOther\n", channels.join(",\n") + ",");
    let (args, out) = poster_job(&setup, &rows);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    api.fault("/card/qrcode/create", Fault::Refuse(45009, "reach max api daily quota limit"));
    let stopped = card(&setup, &args);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(text(&stopped).1.contains("goes on from here"), "{}", text(&stopped).1);

    assert!(done(&setup, &args).contains("13 QR codes"));
    // A stop in the middle of a line, and a picture that was lost.
    let index = out.join("index.csv");
    let written = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, &written[..written.len() - 20]).unwrap();
    std::fs::remove_file(out.join("0001-海报-1.png")).unwrap();
    let before = api.asked("/card/qrcode/create").len();
    assert!(done(&setup, &args).contains("2 of them new"));
    assert_eq!(api.asked("/card/qrcode/create").len(), before + 2);

    let mut seen = std::collections::HashMap::new();
    let index = std::fs::read_to_string(&index).unwrap();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(api.channel_of(fields[3]), fields[0], "{line}");
        seen.insert(fields[0].to_owned(), (fields[2].to_owned(), fields[3].to_owned()));
    }
    assert_eq!(seen.len(), 13, "{index}");
    for (file, url) in seen.values() {
        assert_eq!(scan(&out.join(file)), *url, "{file}");
    }
}

#[test]
fn every_wrong_line_of_a_printing_job_is_named_before_the_first_call() {
    let api = CardApi::start();
    let setup = setup(&api);
    let (args, _) = poster_job(&setup, &format!("channel\nok\n{}\nok\n", "x".repeat(129)));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = card(&setup, &args);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output).1;
    assert!(told.contains("line 3: channel: it has 129") && told.contains("line 4: is another line's"), "{told}");
    assert!(api.asked("/card/qrcode/create").is_empty());
}
