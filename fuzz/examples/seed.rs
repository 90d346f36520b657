//! Writes the seeds that the corpus grew from: our own fixtures, as each target takes them.

use std::{fs, io, path::Path};

use cardhook::protocol::{AesKey, AppId, Document, Token, Value, compat_body, seal, secure_body, sign};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(folder.join("../tests/fixtures"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let xml = fs::read(&path)?;
        for (target, seed) in seeds(&xml) {
            let corpus = folder.join("corpus").join(target);
            fs::create_dir_all(&corpus)?;
            fs::write(corpus.join(format!("{name}-{:08x}", hash(&seed))), seed)?;
        }
    }
    Ok(())
}

fn seeds(xml: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    // Key and AppID are those of `push.rs`; the token is not: a corpus that held its signatures would hold forgeries.
    let (token, app_id) = (Token::new("strangers-token"), AppId::new("wx0000000000000fed"));
    let key = AesKey::parse(&"K".repeat(43)).expect("43 characters of base64");
    let encrypt = seal(&key, &app_id, b"sixteen of those", xml);
    let document = Document::parse(xml).expect("a fixture is a document");
    let secure = secure_body("gh_0123456789ab", &encrypt);
    let compat = compat_body(&document, &encrypt);
    let signature = sign(&token, &["1700000000", "424242"]);
    let msg_signature = sign(&token, &["1700000000", "424242", &encrypt]);
    let query = format!(
        "signature={signature}&timestamp=1700000000&nonce=424242&openid=oFuzzed&encrypt_type=aes&msg_signature={msg_signature}"
    );
    let lines: String = document
        .children
        .iter()
        .map(|child| match &child.value {
            Value::Text(text) | Value::Elements(text) => format!("{}={}\n", child.tag, text.replace('\n', "\\n")),
        })
        .collect();
    let plain = [b"sixteen of those", &u32::try_from(xml.len()).unwrap_or_default().to_be_bytes()[..], xml].concat();
    let plain = [plain.as_slice(), app_id.as_str().as_bytes()].concat();
    let padding = 32 - plain.len() % 32;
    let padded = [plain, vec![u8::try_from(padding).unwrap_or_default(); padding]].concat();
    let spools = [[0, 1, 2, 3, 4, 5, 6], [1, 0, 0, 0, 100, 0, 9], [1, 3, 0, 80, 0, 0, 5], [2, 0x80, 0, 90, 0, 0, 9]];
    let mut seeds = vec![
        ("query", query.clone().into_bytes()),
        ("query", format!("{query}&echostr=4375120948345356249").into_bytes()),
        ("cipher", [b"\0", encrypt.as_bytes()].concat()),
        ("cipher", [b"\x01", xml].concat()),
        ("cipher", [b"\x02", padded.as_slice()].concat()),
        ("envelope", [b"\xff", query.as_bytes(), b"\n", secure.as_bytes()].concat()),
        ("event", xml.to_owned()),
        ("record", lines.into_bytes()),
        ("differential", xml.to_owned()),
        ("differential", compat.clone().into_bytes()),
    ];
    seeds.extend((0..12).map(|kind| ("envelope", [&[kind], compat.as_bytes()].concat())));
    seeds.extend([0x10, 0x14, 0x18].map(|kind| ("envelope", [&[kind], xml].concat())));
    seeds.extend(spools.map(|seed| ("spool", seed.to_vec())));
    seeds
}

/// FNV-1a: a name for a seed.
fn hash(seed: &[u8]) -> u32 {
    seed.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
