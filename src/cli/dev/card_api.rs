//! WeChat's card API in small, for `cardhook card …` against `cardhook dev`: a QR code's address claims the card when it is
//! opened, and claims and redemptions make WeChat push. It knows the calls of the loop, and refuses others with 48001.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::traffic::{CARD_ID, push};
use crate::{
    cli::simulator::{Customer, Customers, WeChat},
    event::EventType,
};

const ACCESS_TOKEN: &str = "dev-access-token";

/// The API's state.
pub(super) struct CardApi {
    wechat: WeChat,
    customers: Customers,
    secret: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By ticket.
    offers: HashMap<String, Offer>,
    /// By code.
    claimed: HashMap<String, Claimed>,
}

#[derive(Clone)]
struct Offer {
    card_id: String,
    outer_str: Option<String>,
}

#[derive(Clone)]
struct Claimed {
    customer: Customer,
    offer: Offer,
    is_consumed: bool,
}

/// Binds a free port of this machine and starts to serve; the address.
pub(super) fn start(wechat: WeChat, seed: u64, secret: String) -> anyhow::Result<SocketAddr> {
    let api = CardApi { wechat, customers: Customers::new(!seed), secret, known: Mutex::default() };
    let api = web::Data::from(Arc::new(api));
    let app = move || {
        App::new()
            .app_data(api.clone())
            .route("/q/{ticket}", web::get().to(claim))
            .route("/{path:.*}", web::route().to(call))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0))?;
    let address = server.addrs().first().copied().ok_or_else(|| anyhow::anyhow!("the card API has no address"))?;
    actix_web::rt::spawn(server.run());
    Ok(address)
}

impl CardApi {
    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, event_type: EventType, claimed: &Claimed, outer_str: Option<&str>) {
        let push = push(&self.wechat, event_type, &claimed.customer, &claimed.offer.card_id, outer_str);
        self.wechat.deliver(&push).await;
    }

    fn offer(&self, body: &Value, host: &str) -> Value {
        let one = body.pointer("/action_info/card");
        let card = one.or_else(|| body.pointer("/action_info/multiple_card/card_list/0"));
        let field = |name| card.and_then(|card| card.get(name)).and_then(Value::as_str);
        let Some(card_id) = field("card_id") else { return refusal(41_012, "missing card_id") };
        let outer_str = field("outer_str").map(str::to_owned);
        let mut known = self.known();
        let ticket = format!("DEVTICKET{}", known.offers.len() + 1);
        known.offers.insert(ticket.clone(), Offer { card_id: card_id.to_owned(), outer_str });
        json!({ "errcode": 0, "errmsg": "ok", "ticket": ticket, "url": format!("http://{host}/q/{ticket}") })
    }

    fn code(&self, body: &Value) -> Value {
        let Some(claimed) = text(body, "code").and_then(|code| self.known().claimed.get(code).cloned()) else {
            return refusal(40_056, "invalid serial code");
        };
        json!({
            "errcode": 0, "errmsg": "ok", "openid": claimed.customer.openid, "can_consume": !claimed.is_consumed,
            "user_card_status": if claimed.is_consumed { "CONSUMED" } else { "NORMAL" },
            "card": { "card_id": claimed.offer.card_id }, "outer_str": claimed.offer.outer_str,
        })
    }

    async fn consume(&self, body: &Value) -> Value {
        let claimed = {
            let mut known = self.known();
            let claimed = text(body, "code").and_then(|code| known.claimed.get_mut(code));
            let Some(claimed) = claimed else { return refusal(40_056, "invalid serial code") };
            if std::mem::replace(&mut claimed.is_consumed, true) {
                return refusal(40_099, "this code has consumed");
            }
            claimed.clone()
        };
        self.tell(EventType::Consumed, &claimed, text(body, "outer_str")).await;
        json!({
            "errcode": 0, "errmsg": "ok", "card": { "card_id": claimed.offer.card_id }, "openid": claimed.customer.openid,
        })
    }
}

/// What scanning the QR code does.
async fn claim(api: web::Data<CardApi>, ticket: web::Path<String>) -> HttpResponse {
    let claimed = {
        let mut known = api.known();
        let Some(offer) = known.offers.get(ticket.as_str()).cloned() else { return HttpResponse::NotFound().finish() };
        let customer = api.customers.customer(known.claimed.len() as u64);
        let claimed = Claimed { customer, offer, is_consumed: false };
        known.claimed.insert(claimed.customer.code.clone(), claimed.clone());
        claimed
    };
    api.tell(EventType::Received, &claimed, claimed.offer.outer_str.as_deref()).await;
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(format!("claimed; code {}\n", claimed.customer.code))
}

async fn call(api: web::Data<CardApi>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if request.path() == "/cgi-bin/stable_token" {
        let is_ours = text(&body, "secret") == Some(api.secret.as_str());
        let token = json!({ "access_token": ACCESS_TOKEN, "expires_in": 7200 });
        return HttpResponse::Ok().json(if is_ours { token } else { refusal(40_125, "invalid appsecret") });
    }
    if !request.query_string().split('&').any(|pair| pair == format!("access_token={ACCESS_TOKEN}")) {
        return HttpResponse::Ok().json(refusal(40_001, "invalid credential"));
    }
    let answer = match request.path() {
        "/card/qrcode/create" => api.offer(&body, request.connection_info().host()),
        "/card/code/get" => api.code(&body),
        "/card/code/consume" => api.consume(&body).await,
        "/cgi-bin/ticket/getticket" => json!({ "errcode": 0, "ticket": "dev-card-ticket", "expires_in": 7200 }),
        _ => refusal(48_001, "cardhook dev does not have this call"),
    };
    HttpResponse::Ok().json(answer)
}

/// A text field of a body.
fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn refusal(errcode: i64, errmsg: &str) -> Value {
    json!({ "errcode": errcode, "errmsg": errmsg })
}

/// The command lines of the loop.
pub(super) fn lines(program: &str, config: &str) -> String {
    format!(
        "Close the loop: put a card out, claim it, redeem it:\n  \
         {program} card qrcode {CARD_ID} --outer-str poster-7 --config {config}\n  \
         curl -sS THE_URL_IT_PRINTS\n  {program} card consume THE_CODE_CURL_PRINTS --outer-str till-2 --config {config}"
    )
}
