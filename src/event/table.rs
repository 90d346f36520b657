//! The tables of contract §1: which WeChat event is which type, which fields it has, and which elements they are read from.
//!
//! To add an event, add a row to `events!`; to add a field, a row to `fields!`. Structs, parser, JSON, schema and examples follow.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    children::{Children, Tags},
    value::{CardCode, CardId, ConsumeSource, FieldValue, OpenId, OrderTime, Text, UnionId},
};

/// Whose id is the Kafka key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    User,
    Card,
    Order,
    Account,
}

/// `name: Type = tag, like a value on the wire, meaning`. `|` joins spellings of one tag; `or` names the tag that is read where
/// the first is not there.
macro_rules! fields {
    ($($name:ident: $Type:ty = $($tag:literal)|+ $(or $other:literal)?, like $sample:literal, $doc:literal;)+) => {
        macro_rules! field_type { $(($name) => { $Type };)+ }
        macro_rules! field_tags { $(($name) => {{ const TAGS: Tags = &[&[$($tag),+] $(, &[$other])?]; TAGS }};)+ }
        macro_rules! field_sample { $(($name) => { $sample };)+ }
        macro_rules! field_doc { $(($name) => { $doc };)+ }
    };
}

fields! {
    card_id: CardId<'d> = "CardId", like "pInventedCard0000000000000001", "The card; every user's copy has the same one.";
    code: CardCode<'d> = "UserCardCode" or "Code", like "072000000001", "The user's copy of the card; leading zeros count.";
    refuse_reason: Text<'d> = "RefuseReason", like "Invented reason", "Why the review failed.";
    outer_str: Text<'d> = "OuterStr" | "OutetStr", like "spring_poster", "The channel given when the card was put out.";
    outer_id: Text<'d> = "OuterId", like "0", "The channel's older, numeric form.";
    is_give_by_friend: bool = "IsGiveByFriend", like "0", "Whether a friend gave the card.";
    friend_openid: OpenId<'d> = "FriendUserName", like "oInventedFriend0000000000001", "The other user of a gift.";
    old_code: CardCode<'d> = "OldUserCardCode", like "072000000000", "The code before the gift: a gift changes it.";
    is_restore_member_card: bool = "IsRestoreMemberCard", like "0", "Whether the user had deleted this member card before.";
    is_recommend_by_friend: bool = "IsRecommendByFriend", like "0", "Whether a friend recommended the card.";
    source_scene: Text<'d> = "SourceScene", like "SOURCE_SCENE_QRCODE", "Where the card was received; an open set.";
    union_id: UnionId<'d> = "UnionId", like "oInventedUnion00000000000001", "The user across one Open Platform's accounts.";
    is_return_back: bool = "IsReturnBack", like "0", "Whether the gift came back.";
    is_chat_room: bool = "IsChatRoom", like "0", "Whether it was given to a chat room.";
    consume_source: ConsumeSource<'d> = "ConsumeSource", like "FROM_API", "How the card was redeemed; an open set.";
    location_id: Text<'d> = "LocationId", like "0", "The store; 0 for none.";
    location_name: Text<'d> = "LocationName", like "Invented store", "The store's name.";
    staff_openid: OpenId<'d> = "StaffOpenId", like "oInventedStaff00000000000001", "Who redeemed it.";
    verify_code: Text<'d> = "VerifyCode", like "888", "The code typed at a self-service redemption.";
    remark_amount: Text<'d> = "RemarkAmount", like "12.50", "The amount typed at a self-service redemption.";
    out_trade_no: Text<'d> = "OutTradeNo", like "INVENTED0000001", "The merchant's order of a quick pay.";
    trans_id: Text<'d> = "TransId", like "4200000000000000000000000001", "WeChat Pay's transaction.";
    fee: i64 = "Fee", like "9000", "Paid, in fen.";
    original_fee: i64 = "OriginalFee", like "10000", "Due before the discount, in fen.";
    modify_bonus: i64 = "ModifyBonus", like "100", "Change of the points.";
    modify_balance: i64 = "ModifyBalance", like "-500", "Change of the balance, in fen.";
    detail: Text<'d> = "Detail", like "the card's quantity is equal to 0", "What the alarm says.";
    order_id: Text<'d> = "OrderId", like "400000001", "The order.";
    status: Text<'d> = "Status", like "ORDER_STATUS_FINANCE_SUCC", "The order's state; an open set.";
    create_order_time: OrderTime = "CreateOrderTime" or "CreateTime", like "1767225500", "When the order was made.";
    pay_finish_time: OrderTime = "PayFinishTime", like "0", "When it was paid; null when it was not.";
    desc: Text<'d> = "Desc", like "Invented top-up", "What the order is.";
    free_coin_count: i64 = "FreeCoinCount", like "200", "Free coins left.";
    pay_coin_count: i64 = "PayCoinCount", like "0", "Paid coins left.";
    refund_free_coin_count: i64 = "RefundFreeCoinCount", like "0", "Change of the free coins.";
    refund_pay_coin_count: i64 = "RefundPayCoinCount", like "0", "Change of the paid coins.";
    order_type: Text<'d> = "OrderType", like "ORDER_TYPE_SYS_ADD", "What kind of order; an open set.";
    memo: Text<'d> = "Memo", like "Invented memo", "A note on the order.";
    receipt_info: Text<'d> = "ReceiptInfo", like "Invented receipt", "The invoice.";
    merchant_id: Text<'d> = "MerchantId", like "400000001", "The sub-merchant.";
    is_pass: bool = "IsPass", like "1", "Whether the review was passed.";
    reason: Text<'d> = "Reason", like "Invented reason", "What the review said.";
    page_id: Text<'d> = "PageId", like "SW52ZW50ZWQrcGFnZS8wMDAwMDE=", "The gift card page.";
}

macro_rules! wechat_event {
    (_) => {
        None
    };
    ($event:literal) => {
        Some($event)
    };
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $Type:ident: $event:tt => $name:literal, key $key:ident, $($field:ident)+;)+) => {
        /// The types of contract §1.1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $Type,)+
        }

        impl EventType {
            /// Every type, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$Type),+];

            /// `card.received`, …
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Type => $name,)+ }
            }

            /// `user_get_card`, …; `None` for [`Self::Unknown`], which has no one name.
            #[must_use]
            pub const fn wechat_event(self) -> Option<&'static str> {
                match self { $(Self::$Type => wechat_event!($event),)+ }
            }

            /// The type's own elements with an invented value each, as WeChat would write them.
            #[must_use]
            pub fn sample(self) -> Vec<(&'static str, &'static str)> {
                match self { $(Self::$Type => vec![$(sample_of(field_tags!($field), field_sample!($field))),+],)+ }
            }

            pub(super) const fn key(self) -> Key {
                match self { $(Self::$Type => Key::$key,)+ }
            }

            /// The schema of the type's own fields.
            pub(super) fn fields_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Self::$Type => $Type::json_schema(generator),)+ }
            }
        }

        /// An event's own fields, by type.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Fields<'d> {
            $($(#[doc = $doc])+ $Type($Type<'d>),)+
        }

        impl<'d> Fields<'d> {
            pub(super) fn take(event_type: EventType, children: &mut Children<'_, 'd>) -> Self {
                match event_type {
                    $(EventType::$Type => Self::$Type($Type { $($field: children.take(field_tags!($field)),)+ }),)+
                }
            }

            pub(super) fn from_json(event_type: EventType, json: &serde_json::Value) -> serde_json::Result<Self> {
                match event_type { $(EventType::$Type => $Type::deserialize(json).map(Self::$Type),)+ }
            }

            /// A text field by its name in the contract; `None` when it is null, no text, or no field of this type.
            #[must_use]
            pub fn text(&self, name: &str) -> Option<&str> {
                match self {
                    $(Self::$Type(fields) => match name {
                        $(stringify!($field) => fields.$field.as_ref().and_then(FieldValue::as_text),)+
                        _ => None,
                    },)+
                }
            }
        }

        $(
            $(#[doc = $doc])+
            // Debug prints no field: many are personal.
            #[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            pub struct $Type<'d> {
                $(#[doc = field_doc!($field)] pub $field: Option<field_type!($field)>,)+
            }

            impl std::fmt::Debug for $Type<'_> {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($Type)).finish_non_exhaustive()
                }
            }
        )+
    };
}

events! {
    /// The card passed review.
    Approved: "card_pass_check" => "card.approved", key Card, card_id refuse_reason;
    /// The card failed review.
    Rejected: "card_not_pass_check" => "card.rejected", key Card, card_id refuse_reason;
    /// A user received a card.
    Received: "user_get_card" => "card.received", key User, card_id code outer_str outer_id is_give_by_friend friend_openid
        old_code is_restore_member_card is_recommend_by_friend source_scene union_id;
    /// A user gave a card away, or it came back.
    Gifted: "user_gifting_card" => "card.gifted", key User, card_id code friend_openid is_return_back is_chat_room;
    /// A user deleted a card.
    Deleted: "user_del_card" => "card.deleted", key User, card_id code;
    /// A card was redeemed.
    Consumed: "user_consume_card" => "card.consumed", key User, card_id code outer_str consume_source location_id
        location_name staff_openid verify_code remark_amount out_trade_no trans_id;
    /// A user paid with a card by quick pay.
    Paid: "user_pay_from_pay_cell" => "card.paid", key User, card_id code trans_id location_id fee original_fee;
    /// A user opened a member card.
    Viewed: "user_view_card" => "card.viewed", key User, card_id code outer_str;
    /// A user entered the account's chat from a card.
    SessionEntered: "user_enter_session_from_card" => "card.session_entered", key User, card_id code;
    /// Points or balance of a member card changed.
    Updated: "update_member_card" => "member_card.updated", key User, card_id code modify_bonus modify_balance;
    /// A member card's activation form was submitted.
    Activated: "submit_membercard_user_info" => "member_card.activated", key User, card_id code;
    /// A card's stock is low.
    StockLow: "card_sku_remind" => "card.stock_low", key Card, card_id detail;
    /// The account's coupon coins moved.
    CoinOrder: "card_pay_order" => "card.coin_order", key Order, order_id status create_order_time pay_finish_time desc
        free_coin_count pay_coin_count refund_free_coin_count refund_pay_coin_count order_type memo receipt_info;
    /// A sub-merchant was reviewed.
    MerchantChecked: "card_merchant_check_result" => "card.merchant_checked", key Account, merchant_id is_pass reason;
    /// A user bought gift cards.
    GiftPaid: "giftcard_pay_done" => "gift_card.paid", key User, page_id order_id;
    /// A user sent gift cards to a friend, or they came back.
    GiftSent: "giftcard_send_to_friend" => "gift_card.sent", key User, page_id order_id is_chat_room is_return_back;
    /// A user accepted a gift card.
    GiftAccepted: "giftcard_user_accept" => "gift_card.accepted", key User, page_id order_id is_chat_room;
    /// A card event newer than this release.
    Unknown: _ => "card.unknown", key User, card_id code outer_str;
}

impl EventType {
    /// The type of a push (contract §1.1), or `None` when it is no card event.
    pub(super) fn of_push(event: Option<&str>, children: &Children<'_, '_>) -> Option<Self> {
        let event = event.unwrap_or_default();
        let known =
            Self::ALL.iter().find(|row| row.wechat_event().is_some_and(|name| name.eq_ignore_ascii_case(event)));
        known.copied().or_else(|| {
            let about_a_card = children.has("CardId") || children.has("UserCardCode") || names_a_card(event);
            about_a_card.then_some(Self::Unknown)
        })
    }

    /// The type of a name from either column of contract §1.1: `user_get_card` or `card.received`.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|row| {
            row.as_str() == name || row.wechat_event().is_some_and(|event| event.eq_ignore_ascii_case(name))
        })
    }
}

fn names_a_card(event: &str) -> bool {
    event.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"card"))
}

/// A field's usual tag with its sample.
fn sample_of(tags: Tags, sample: &'static str) -> (&'static str, &'static str) {
    (tags.iter().flat_map(|spellings| spellings.iter()).next().copied().unwrap_or_default(), sample)
}
