//! A strict double of WeChat's card API over plain HTTP: it checks method, path, query, content type, UTF-8 and every field.
//! What it does not expect fails the test when the double is dropped. A claim and a redemption are told to who listens.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value, json};

use super::{
    cardhook::Setup,
    wechat::{Account, Mode},
};

pub const SECRET: &str = "c0ffee5ecret0fTheCardAccount0042";
pub const TOKEN_PREFIX: &str = "70_TokenOfTheCardApiDouble_";
pub const TICKET: &str = "E0o2-at6NcC2OsJiQTlwlTicketOfTheDouble";
pub const CARD: &str = "pHarnessCard0000000000000001";
pub const OPENID: &str = "oHarnessCustomer00000000001";
/// What `encrypt_code`s decode to, and the code that every claim makes.
pub const CODE: &str = "012345678901";
pub const ENCRYPTED: &str = "XXIzTtMqCxwOaawoE91+VJdsFmv7b8g0VZIZkqf4GWA/ZZ0DVkXdE=";

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing is done.
    Refuse(i64, &'static str),
    /// A proxy answers, nothing is done.
    Html,
    /// The call is done, and half of its answer is sent.
    DoneAndCut,
    /// The call is done, and not answered.
    DoneAndSilent,
}

#[derive(Default)]
struct State {
    tokens: u32,
    faults: HashMap<String, VecDeque<Fault>>,
    asked: Vec<(String, Value)>,
    wrong: Vec<String>,
    outer_strs: HashMap<String, String>,
    consumed: bool,
    /// `outer_str` of redemptions.
    redeemed: Vec<String>,
    other_token: Option<String>,
}

/// The double.
pub struct CardApi {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl CardApi {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&serving));
                // A client that hangs up is its own business.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    /// A setup whose account `secure` calls this double.
    pub fn lead(&self, setup: Setup) -> Setup {
        let lines = format!("app_secret = {SECRET:?}");
        self.lead_with(setup, &lines)
    }

    /// As [`Self::lead`], with other lines in the account.
    pub fn lead_with(&self, setup: Setup, lines: &str) -> Setup {
        let url = format!("base_url = \"http://{}\"", self.address);
        setup.replace_account(&Account::of(Mode::Secure), lines).set("wechat_api", &url)
    }

    /// The next call of this path goes wrong.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.state().faults.entry(path.to_owned()).or_default().push_back(fault);
    }

    /// A token that is accepted beside those given out.
    pub fn accept(&self, token: &str) {
        self.state().other_token = Some(token.to_owned());
    }

    /// The bodies of the calls of this path.
    pub fn asked(&self, path: &str) -> Vec<Value> {
        self.state().asked.iter().filter(|(asked, _)| asked == path).map(|(_, body)| body.clone()).collect()
    }

    /// The `outer_str` behind a QR code's address.
    pub fn channel_of(&self, url: &str) -> String {
        self.state().outer_strs[url].clone()
    }

    /// `outer_str` of the redemptions.
    pub fn redeemed(&self) -> Vec<String> {
        self.state().redeemed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for CardApi {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let wrong = std::mem::take(&mut self.state().wrong);
            assert!(wrong.is_empty(), "calls that WeChat would not understand: {wrong:#?}");
        }
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length, mut content_type) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end();
        match line.to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => value.clone_into(&mut content_type),
            _ if line.is_empty() => break,
            _ if first.is_empty() => line.clone_into(&mut first),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let (answer, fault) = state.lock().unwrap().answer(&first, &content_type, &body);
    let answer = answer.to_string();
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let page = "<html><body>Sign in to the guest network</body></html>";
    let whole = match fault {
        Some(Fault::Html) => head(page.len()) + page,
        Some(Fault::DoneAndCut) => head(answer.len()) + &answer[..answer.len() / 2],
        Some(Fault::DoneAndSilent) => return Ok(()),
        Some(Fault::Refuse(..)) | None => head(answer.len()) + &answer,
    };
    stream.get_mut().write_all(whole.as_bytes())
}

impl State {
    fn answer(&mut self, first: &str, content_type: &str, body: &[u8]) -> (Value, Option<Fault>) {
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = String::from_utf8(body.to_vec()).unwrap_or_else(|_| {
            self.wrong.push(format!("{path}: the body is not UTF-8"));
            String::new()
        });
        if text.contains("\\u") {
            self.wrong.push(format!("{path}: escapes in place of text: {text}"));
        }
        let value: Value = if method == "GET" { Value::Null } else { serde_json::from_str(&text).unwrap_or_default() };
        self.asked.push((path.to_owned(), value.clone()));
        if method == "POST" && !content_type.starts_with("application/json") {
            self.wrong.push(format!("{path}: content type {content_type:?}"));
        }
        let fault = self.faults.get_mut(path).and_then(VecDeque::pop_front);
        match fault {
            Some(Fault::Refuse(errcode, errmsg)) => return (json!({ "errcode": errcode, "errmsg": errmsg }), fault),
            Some(Fault::Html) => return (Value::Null, fault),
            Some(Fault::DoneAndCut | Fault::DoneAndSilent) | None => {}
        }
        if path == "/cgi-bin/stable_token" {
            let expected = json!({
                "grant_type": "client_credential", "appid": Account::of(Mode::Secure).app_id, "secret": SECRET,
                "force_refresh": false,
            });
            if (method, query, &value) != ("POST", "", &expected) {
                self.wrong.push(format!("{first}: {value}"));
            }
            self.tokens += 1;
            return (json!({ "access_token": format!("{TOKEN_PREFIX}{}", self.tokens), "expires_in": 7200 }), fault);
        }
        let token = query.split('&').find_map(|pair| pair.strip_prefix("access_token=")).unwrap_or_default();
        let current = format!("{TOKEN_PREFIX}{}", self.tokens);
        if token != current && Some(token) != self.other_token.as_deref() {
            return (json!({ "errcode": 40001, "errmsg": "invalid credential" }), fault);
        }
        let rest = query.strip_prefix(&format!("access_token={token}")).unwrap_or("?");
        (self.call(method, path, rest, &value), fault)
    }

    fn call(&mut self, method: &str, path: &str, query: &str, body: &Value) -> Value {
        if (method, path, query) == ("GET", "/cgi-bin/ticket/getticket", "&type=wx_card") {
            return json!({ "errcode": 0, "errmsg": "ok", "ticket": TICKET, "expires_in": 7200 });
        }
        if method != "POST" || !query.is_empty() {
            self.wrong.push(format!("{method} {path} {query}"));
        }
        let (fields, needed): (&[&str], &[&str]) = match path {
            "/card/qrcode/create" => {
                (&["action_name", "action_info", "expire_seconds"], &["action_name", "action_info"])
            }
            "/card/testwhitelist/set" => (&["openid", "username"], &["openid", "username"]),
            "/card/code/get" => (&["code", "card_id", "check_consume"], &["code", "check_consume"]),
            "/card/code/consume" => (&["code", "card_id", "outer_str"], &["code"]),
            "/card/code/decrypt" => (&["encrypt_code"], &["encrypt_code"]),
            "/card/create" => (&["card"], &["card"]),
            _ => (&[], &["nothing: the path is unknown"]),
        };
        let has = |field: &&str| body.get(field).is_some();
        let known = body.as_object().is_some_and(|body| body.keys().all(|key| fields.contains(&key.as_str())));
        if !known || !needed.iter().all(has) {
            self.wrong.push(format!("{path}: {body}"));
        }
        match path {
            "/card/qrcode/create" => self.qrcode(body),
            "/card/code/get" => json!({
                "errcode": 0, "errmsg": "ok", "openid": OPENID, "can_consume": !self.consumed,
                "user_card_status": if self.consumed { "CONSUMED" } else { "NORMAL" },
                "card": { "card_id": CARD, "begin_time": 1_700_000_000, "end_time": 1_900_000_000 }, "new_field": 7,
            }),
            "/card/code/consume" if std::mem::replace(&mut self.consumed, true) => {
                json!({ "errcode": 40099, "errmsg": "this code has consumed" })
            }
            "/card/code/consume" => {
                self.redeemed.push(body["outer_str"].as_str().unwrap_or_default().to_owned());
                json!({ "errcode": 0, "errmsg": "ok", "card": { "card_id": CARD }, "openid": OPENID })
            }
            "/card/code/decrypt" if body["encrypt_code"] == ENCRYPTED => json!({ "errcode": 0, "code": CODE }),
            "/card/code/decrypt" => json!({ "errcode": 40056, "errmsg": "invalid serial code" }),
            _ => json!({ "errcode": 0, "errmsg": "ok", "card_id": CARD }),
        }
    }

    fn qrcode(&mut self, body: &Value) -> Value {
        let info = &body["action_info"];
        let cards = match body["action_name"].as_str() {
            Some("QR_CARD") => vec![info["card"].clone()],
            Some("QR_MULTIPLE_CARD") => info["multiple_card"]["card_list"].as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let fields = ["card_id", "code", "openid", "is_unique_code", "outer_str"];
        let known = |card: &Value| {
            card["card_id"].is_string()
                && card.as_object().is_some_and(|card| card.keys().all(|key| fields.contains(&key.as_str())))
        };
        if cards.is_empty() || !cards.iter().all(known) {
            self.wrong.push(format!("/card/qrcode/create: {body}"));
        }
        let url = format!("http://weixin.qq.com/q/h{:05}", self.outer_strs.len() + 1);
        self.outer_strs.insert(url.clone(), cards[0]["outer_str"].as_str().unwrap_or_default().to_owned());
        // WeChat's samples carry such blanks.
        json!({
            "errcode": 0, "errmsg": "ok", "ticket": " gQHB8DoAAAAAAAAA", "expire_seconds": 1800, "url": format!("{url} "),
            "show_qrcode_url": " https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=gQHB8DoAAAAAAAAA",
        })
    }
}
