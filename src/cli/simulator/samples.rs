//! One sample per event type, with WeChat's elements in WeChat's order (wire facts: the captures, else the official pages).

use std::borrow::Cow;

use super::{Body, Customer};

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

/// The events of contract §1.1, and one that no release knows yet.
const SAMPLES: &[(&str, &str, Elements)] = &[
    ("card_pass_check", "card.approved", &[("CardId", CardId), ("RefuseReason", Text(""))]),
    ("card_not_pass_check", "card.rejected", &[("CardId", CardId), ("RefuseReason", Text("卡券名称与商品不符"))]),
    (
        "user_get_card",
        "card.received",
        &[
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
    ),
    (
        "user_gifting_card",
        "card.gifted",
        &[
            ("CardId", CardId),
            ("UserCardCode", Code),
            ("IsReturnBack", Bare("0")),
            ("FriendUserName", Friend),
            ("IsChatRoom", Bare("0")),
        ],
    ),
    ("user_del_card", "card.deleted", CARD_AND_CODE),
    (
        "user_consume_card",
        "card.consumed",
        &[
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
    ),
    (
        "user_pay_from_pay_cell",
        "card.paid",
        &[
            ("CardId", CardId),
            ("UserCardCode", Code),
            ("TransId", TransId),
            ("LocationId", Bare("400000001")),
            ("Fee", Bare("980")),
            ("OriginalFee", Bare("1000")),
        ],
    ),
    ("user_view_card", "card.viewed", &[("CardId", CardId), ("UserCardCode", Code), ("OuterStr", OuterStr)]),
    ("user_enter_session_from_card", "card.session_entered", CARD_AND_CODE),
    (
        "update_member_card",
        "member_card.updated",
        &[("CardId", CardId), ("UserCardCode", Code), ("ModifyBonus", Bare("100")), ("ModifyBalance", Bare("0"))],
    ),
    ("submit_membercard_user_info", "member_card.activated", CARD_AND_CODE),
    ("card_sku_remind", "card.stock_low", &[("CardId", CardId), ("Detail", Text("the card's quantity is equal to 0"))]),
    (
        "card_pay_order",
        "card.coin_order",
        &[
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
    ),
    (
        "card_merchant_check_result",
        "card.merchant_checked",
        &[("MerchantId", Bare("420000001")), ("IsPass", Bare("1")), ("Reason", Text(""))],
    ),
    ("giftcard_pay_done", "gift_card.paid", &[("PageId", PAGE_ID), ("OrderId", OrderId)]),
    (
        "giftcard_send_to_friend",
        "gift_card.sent",
        &[("PageId", PAGE_ID), ("OrderId", OrderId), ("IsChatRoom", Bare("false")), ("IsReturnBack", Text("false"))],
    ),
    (
        "giftcard_user_accept",
        "gift_card.accepted",
        &[("PageId", PAGE_ID), ("OrderId", OrderId), ("IsChatRoom", Bare("false"))],
    ),
    ("user_future_card", "card.unknown", &[("CardId", CardId), ("UserCardCode", Code), ("OuterStr", OuterStr)]),
];

/// One event type's elements.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Sample {
    event: &'static str,
    elements: Elements,
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

impl Sample {
    /// The sample of a name from either of the first two columns of contract §1.1.
    pub(in crate::cli) fn of(name: &str) -> Option<Self> {
        let same = |known: &str| known.eq_ignore_ascii_case(name);
        let &(event, _, elements) = SAMPLES.iter().find(|(event, event_type, _)| same(event) || same(event_type))?;
        Some(Self { event, elements })
    }

    /// All names: WeChat's and ours.
    pub(in crate::cli) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        SAMPLES.iter().map(|&(event, event_type, _)| (event, event_type))
    }

    /// Its body for one customer.
    pub(in crate::cli) fn body(&self, customer: &Customer, choices: &Choices<'_>) -> Body {
        let mut body = Body::default();
        body.text("ToUserName", choices.to_user.to_owned());
        body.text("FromUserName", customer.openid.clone());
        body.bare("CreateTime", choices.create_time.to_string());
        body.text("MsgType", "event");
        body.text("Event", self.event);
        for &(tag, holds) in self.elements {
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
}
