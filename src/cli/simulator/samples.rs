//! One sample per event type, with WeChat's elements in WeChat's order (wire facts: the captures, else the official pages).

use std::borrow::Cow;

use super::{Body, Customer};
use crate::event::EventType;

/// What an element of a sample holds.
#[derive(Debug, Clone, Copy)]
enum Holds {
    /// A CDATA section.
    Text(&'static str),
    /// Bare text.
    Bare(&'static str),
    CardId,
    Code,
    Friend,
    OrderId,
    TransId,
    /// The event's own time.
    Now,
    /// Left out when there is none, as in claims.
    OuterStr,
    /// Empty when there is none, as in redemptions.
    OuterStrOrEmpty,
}

use Holds::{Bare, CardId, Code, Friend, Now, OrderId, OuterStr, OuterStrOrEmpty, Text, TransId};

type Elements = &'static [(&'static str, Holds)];

const PAGE_ID: Holds = Text("c2ltdWxhdGVkLWdpZnQtY2FyZC1wYWdlLTAwMDAwMDE=");
const STAFF: Holds = Text("oSIM_cashier_of_the_shop_0001");

const CARD_AND_CODE: Elements = &[("CardId", CardId), ("UserCardCode", Code)];

/// An event type's elements. Those of `card.unknown` are of an event that no release knows yet.
fn elements(event_type: EventType) -> Elements {
    match event_type {
        EventType::Approved => &[("CardId", CardId), ("RefuseReason", Text(""))],
        EventType::Rejected => &[("CardId", CardId), ("RefuseReason", Text("卡券名称与商品不符"))],
        EventType::Received => &[
            ("CardId", CardId),
            ("IsGiveByFriend", Bare("0")),
            ("UserCardCode", Code),
            ("FriendUserName", Text("")),
            ("OuterId", Bare("0")),
            ("OldUserCardCode", Text("")),
            ("OuterStr", OuterStr),
            ("IsRestoreMemberCard", Bare("0")),
            ("IsRecommendByFriend", Bare("0")),
            ("SourceScene", Text("SOURCE_SCENE_QRCODE")),
        ],
        EventType::Gifted => &[
            ("CardId", CardId),
            ("UserCardCode", Code),
            ("IsReturnBack", Bare("0")),
            ("FriendUserName", Friend),
            ("IsChatRoom", Bare("0")),
        ],
        EventType::Consumed => &[
            ("CardId", CardId),
            ("UserCardCode", Code),
            ("ConsumeSource", Text("FROM_API")),
            ("LocationName", Text("")),
            ("StaffOpenId", STAFF),
            ("VerifyCode", Text("")),
            ("RemarkAmount", Text("")),
            ("OuterStr", OuterStrOrEmpty),
            ("LocationId", Bare("0")),
        ],
        EventType::Paid => &[
            ("CardId", CardId),
            ("UserCardCode", Code),
            ("TransId", TransId),
            ("LocationId", Bare("400000001")),
            ("Fee", Bare("980")),
            ("OriginalFee", Bare("1000")),
        ],
        EventType::Viewed | EventType::Unknown => &[("CardId", CardId), ("UserCardCode", Code), ("OuterStr", OuterStr)],
        EventType::Updated => {
            &[("CardId", CardId), ("UserCardCode", Code), ("ModifyBonus", Bare("100")), ("ModifyBalance", Bare("0"))]
        }
        EventType::StockLow => &[("CardId", CardId), ("Detail", Text("the card's quantity is equal to 0"))],
        EventType::CoinOrder => &[
            ("OrderId", OrderId),
            ("Status", Text("ORDER_STATUS_FINANCE_SUCC")),
            ("CreateOrderTime", Now),
            ("PayFinishTime", Bare("0")),
            ("Desc", Text("")),
            ("FreeCoinCount", Text("200")),
            ("PayCoinCount", Text("0")),
            ("RefundFreeCoinCount", Text("0")),
            ("RefundPayCoinCount", Text("0")),
            ("OrderType", Text("ORDER_TYPE_SYS_ADD")),
            ("Memo", Text("新账户赠送")),
            ("ReceiptInfo", Text("")),
        ],
        EventType::MerchantChecked => &[("MerchantId", Bare("420000001")), ("IsPass", Bare("1")), ("Reason", Text(""))],
        EventType::GiftPaid => &[("PageId", PAGE_ID), ("OrderId", OrderId)],
        EventType::GiftSent => {
            &[("PageId", PAGE_ID), ("OrderId", OrderId), ("IsChatRoom", Bare("false")), ("IsReturnBack", Text("false"))]
        }
        EventType::GiftAccepted => &[("PageId", PAGE_ID), ("OrderId", OrderId), ("IsChatRoom", Bare("false"))],
        EventType::Deleted | EventType::SessionEntered | EventType::Activated => CARD_AND_CODE,
    }
}

/// What a caller may choose beside the customer.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Choices<'a> {
    /// `ToUserName`
    pub(in crate::cli) to_user: &'a str,
    /// `CardId`
    pub(in crate::cli) card_id: &'a str,
    /// `OuterStr`, where the event has one.
    pub(in crate::cli) outer_str: Option<&'a str>,
    /// `CreateTime`, Unix seconds.
    pub(in crate::cli) create_time: i64,
}

/// WeChat's `Event`; for `card.unknown` one that no release knows yet.
pub(in crate::cli) fn wechat_event(event_type: EventType) -> &'static str {
    event_type.wechat_event().unwrap_or("user_future_card")
}

/// The body of an event of this type for one customer.
pub(in crate::cli) fn sample(event_type: EventType, customer: &Customer, choices: &Choices<'_>) -> Body {
    let mut body = Body::default();
    body.text("ToUserName", choices.to_user.to_owned());
    body.text("FromUserName", customer.openid.clone());
    body.bare("CreateTime", choices.create_time.to_string());
    body.text("MsgType", "event");
    body.text("Event", wechat_event(event_type));
    for &(tag, holds) in elements(event_type) {
        let text: Cow<'static, str> = match holds {
            Text(text) => text.into(),
            Bare(text) => {
                body.bare(tag, text);
                continue;
            }
            Now => {
                body.bare(tag, choices.create_time.to_string());
                continue;
            }
            OuterStr if choices.outer_str.is_none() => continue,
            OuterStr | OuterStrOrEmpty => choices.outer_str.unwrap_or_default().to_owned().into(),
            CardId => choices.card_id.to_owned().into(),
            Code => customer.code.clone().into(),
            Friend => customer.friend.clone().into(),
            OrderId => customer.order_id.clone().into(),
            TransId => customer.trans_id.clone().into(),
        };
        body.text(tag, text);
    }
    body
}
