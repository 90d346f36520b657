//! What the event catalogue says and the types do not: when WeChat sends an event, why a field is null, and all in Chinese.
//!
//! Each pair is English, then Chinese. A test holds the tables to the types.

/// A type's texts.
pub(super) struct TypeTexts {
    pub(super) name: &'static str,
    /// What it is, in Chinese; English is the type's own documentation.
    pub(super) chinese: &'static str,
    /// When WeChat sends it, and what to know about it.
    pub(super) when: [&'static str; 2],
}

/// A field's texts, the same in every type.
pub(super) struct FieldTexts {
    pub(super) name: &'static str,
    /// What it is, in Chinese; English is the field's own documentation.
    pub(super) chinese: &'static str,
    /// Why it is null, where more is known than [`ABSENT`].
    pub(super) null: Option<[&'static str; 2]>,
}

pub(super) fn of_type(name: &str) -> Option<&'static TypeTexts> {
    TYPES.iter().find(|texts| texts.name == name)
}

pub(super) fn of_field(name: &str) -> Option<&'static FieldTexts> {
    FIELDS.iter().find(|texts| texts.name == name)
}

pub(super) const ABSENT: [&str; 2] = ["absent or empty in the push", "推送中没有该元素或元素为空"];
pub(super) const NEVER: [&str; 2] = ["never", "从不"];
pub(super) const EXAMPLE: [&str; 2] = ["A whole example", "完整示例"];

const NO_NUMBER: [&str; 2] = ["absent or empty in the push, or not a number", "推送中没有该元素、元素为空，或不是数字"];
const NO_FLAG: [&str; 2] =
    ["absent or empty in the push, or not 0, 1, true, false", "推送中没有该元素、元素为空，或不是 0、1、true、false"];
const CLAIM_ONLY: [&str; 2] = ["the card is a gift, or was received before 2017", "转赠领取，或 2017 年之前的推送"];
const QUICK_PAY_ONLY: [&str; 2] = ["the redemption is no quick pay", "不是买单核销"];
const SELF_SERVICE_ONLY: [&str; 2] = ["the redemption is no self-service one", "不是自助核销"];
const MESSAGE_WITHOUT: [&str; 2] = ["the push has none that reads", "推送中没有或无法读取"];

pub(super) const HEAD: [&str; 2] = [
    "\
<!-- Generated: see the end of this page. -->
# Event catalogue

[中文](README.zh-CN.md) · [README](../README.md) · [Consuming the topic](../docs/consuming.md)

What stands on cardhook's topics: every event type, when WeChat sends it, and every field. A value is one flat JSON object; in
the other encodings (`kafka.format`) the fields are the same. Fields of a type are always present: `null` has the meaning
given below. Within `v1` types and fields are only added: ignore those that you do not know. Money is in fen, times are UTC.

",
    "\
<!-- 本页由程序生成，见末尾。 -->
# 事件目录

[English](README.md) · [README](../README.zh-CN.md) · [消费主题](../docs/consuming.zh-CN.md)

cardhook 主题上的全部内容：每种事件类型、微信何时推送、每个字段的含义。值是一个扁平的 JSON 对象；其他编码（`kafka.format`）字段相同。某类型的字段总是存在，
`null` 的含义见下文。`v1` 之内类型和字段只增不减，请忽略不认识的类型和字段。金额单位为分，时间为 UTC。

",
];

pub(super) const TYPES_HEAD: [&str; 2] = [
    "\
## Types

| `event_type` | WeChat's `Event` | what happened | Kafka key |
|---|---|---|---|
",
    "\
## 类型

| `event_type` | 微信的 `Event` | 发生了什么 | Kafka 键 |
|---|---|---|---|
",
];

pub(super) const COMMON: [&str; 2] = [
    "
## Fields of every card event

`event_id` is what to deduplicate by. `extra` holds every element of the push that no other field took, so nothing is lost.

",
    "
## 每个卡券事件共有的字段

按 `event_id` 去重。推送中未被其他字段取走的元素都在 `extra` 中，不会丢失任何内容。

",
];

pub(super) const FIELDS_HEAD: [&str; 2] = [
    "\
| field | JSON type | `null` when | meaning | example |
|---|---|---|---|---|
",
    "\
| 字段 | JSON 类型 | 何时为 `null` | 含义 | 示例 |
|---|---|---|---|---|
",
];

pub(super) const FILES: [&str; 2] = [
    "
## The files of this folder

- `cardhook-events.v1.schema.json`: JSON Schema (2020-12). One definition per `event_type`, each with the `$id` that stands in
  the record's `ce_dataschema` header. `cardhook schema` prints the same.
- `cardhook-events.v1.asyncapi.json`: AsyncAPI 3. Topics, keys, CloudEvents headers, Kafka bindings, an example of each type
  (`cardhook schema --format asyncapi`).
- `cardhook-events.v1.avsc`: Avro. One flat record, fields of other types are null; what `kafka.format = \"avro\"` registers
  (`cardhook schema --format avro`).
- `console-api.json`: OpenAPI 3.1 of the console's API on the admin listener, generated from `src/console`.
- `README.md`, `README.zh-CN.md`: this catalogue (`cardhook schema --format catalogue`, or with `--lang zh-CN`).
- `examples/{event_type}.json`: one value of each type, with invented ids.
- `released/`: the last released schemas. A test fails when a change breaks their readers: copy the new ones at a release.

All are generated from the Rust types in `src/event`, and a test fails when they differ. To write them again after a change:
`UPDATE_SCHEMAS=1 cargo test --lib schema`. `tests/schemas/check.sh` validates them with the AsyncAPI parser, check-jsonschema
and fastavro.
",
    "
## 本目录中的文件

- `cardhook-events.v1.schema.json`：JSON Schema（2020-12）。每种 `event_type` 一个定义，其 `$id` 即记录的 `ce_dataschema` 消息头。`cardhook schema` 打印同样的内容。
- `cardhook-events.v1.asyncapi.json`：AsyncAPI 3。主题、键、CloudEvents 消息头、Kafka 绑定、每种类型一个示例（`cardhook schema --format asyncapi`）。
- `cardhook-events.v1.avsc`：Avro。一条扁平记录，其他类型的字段为 null；`kafka.format = \"avro\"` 注册的就是它（`cardhook schema --format avro`）。
- `console-api.json`：管理端口上控制台 API 的 OpenAPI 3.1 文档，由 `src/console` 生成。
- `README.md`、`README.zh-CN.md`：本目录页（`cardhook schema --format catalogue --lang zh-CN`）。
- `examples/{event_type}.json`：每种类型一个值，标识均为虚构。
- `released/`：最近一次发布的 schema。某项变更若使其读者无法读取，测试失败；发布时复制新的文件。

全部由 `src/event` 中的 Rust 类型生成，不一致时测试失败。变更后重新生成：`UPDATE_SCHEMAS=1 cargo test --lib schema`。`tests/schemas/check.sh` 用 AsyncAPI 解析器、check-jsonschema 和 fastavro 校验。
",
];

pub(super) const TYPES: &[TypeTexts] = &[
    TypeTexts {
        name: "card.approved",
        chinese: "卡券通过审核。",
        when: [
            "Sent once, when WeChat's review of a card that you made ends well. `openid` is no customer.",
            "您制作的卡券审核通过时推送一次。`openid` 不是顾客。",
        ],
    },
    TypeTexts {
        name: "card.rejected",
        chinese: "卡券未通过审核。",
        when: [
            "Sent once, when WeChat's review of a card refuses it. `openid` is no customer.",
            "您制作的卡券审核未通过时推送一次。`openid` 不是顾客。",
        ],
    },
    TypeTexts {
        name: "card.received",
        chinese: "用户领取了卡券。",
        when: [
            "Sent for every claim, also when a friend accepts a gift (`is_give_by_friend`; the code is a new one then, the giver's \
             is `old_code`) and when a user takes back a member card that was deleted (`is_restore_member_card`). A claim of \
             several cards gives several events in one second.",
            "每次领取都推送，包括好友接受转赠（`is_give_by_friend`；此时 code 是新的，赠送人的 code 在 `old_code` 中）和用户重新领取已删除的会员卡\
             （`is_restore_member_card`）。一次领取多张时，同一秒有多个事件。",
        ],
    },
    TypeTexts {
        name: "card.gifted",
        chinese: "用户转赠卡券，或转赠被退回。",
        when: [
            "Sent when a user gives a card away (`openid` is the giver) and again, with `is_return_back`, when nobody accepted it \
             within 24 hours.",
            "用户转赠卡券时推送（`openid` 是赠送人）；24 小时内无人领取而退回时再推送一次，`is_return_back` 为 true。",
        ],
    },
    TypeTexts {
        name: "card.deleted",
        chinese: "用户删除了卡券。",
        when: ["Sent when a user deletes a card from the wallet.", "用户从卡包中删除卡券时推送。"],
    },
    TypeTexts {
        name: "card.consumed",
        chinese: "卡券被核销。",
        when: [
            "Sent when a card is redeemed, by the API, in WeChat's web console, with the merchant's helper, at a self-service \
             redemption or by quick pay. `openid` is the card's owner.",
            "卡券被核销时推送：通过 API、微信公众平台、商家助手、自助核销或买单。`openid` 是持卡人。",
        ],
    },
    TypeTexts {
        name: "card.paid",
        chinese: "用户用卡券买单。",
        when: [
            "Sent when a user pays with a card by quick pay (买单). A `card.consumed` with the same `trans_id` comes in the same \
             second.",
            "用户使用卡券买单时推送。同一秒会有一个 `trans_id` 相同的 `card.consumed`。",
        ],
    },
    TypeTexts {
        name: "card.viewed",
        chinese: "用户打开会员卡。",
        when: [
            "Sent at every opening of a member card that was made with `need_push_on_view`; for others never. Expect many.",
            "仅对创建时设置了 `need_push_on_view` 的会员卡推送，每次打开都推送，数量很大。",
        ],
    },
    TypeTexts {
        name: "card.session_entered",
        chinese: "用户从卡券进入公众号会话。",
        when: ["Sent when a user opens the account's chat from a card's page.", "用户从卡券页面进入公众号会话时推送。"],
    },
    TypeTexts {
        name: "member_card.updated",
        chinese: "会员卡的积分或余额发生变动。",
        when: [
            "Sent when points or balance change; the fields hold the change, not the new amount.",
            "积分或余额变动时推送；字段是变动值，不是变动后的值。",
        ],
    },
    TypeTexts {
        name: "member_card.activated",
        chinese: "用户提交了会员卡激活资料。",
        when: [
            "Sent when a user submits a member card's activation form. What the user wrote is not in the push: WeChat's API \
             gives it.",
            "用户提交会员卡激活表单时推送。所填资料不在推送中，须通过微信接口获取。",
        ],
    },
    TypeTexts {
        name: "card.stock_low",
        chinese: "卡券库存不足。",
        when: [
            "Sent when a user tries to claim a card whose stock began above 200 and is at most 100, every 12 hours at most. \
             `openid` is no customer.",
            "初始库存大于 200 且当前库存不超过 100 的卡券，在用户领取时推送，最多每 12 小时一次。`openid` 不是顾客。",
        ],
    },
    TypeTexts {
        name: "card.coin_order",
        chinese: "券点账户发生变动。",
        when: [
            "Sent when an order of the account's coupon coins (券点) changes its state. It is about no single card.",
            "券点订单状态变化时推送，与具体卡券无关。",
        ],
    },
    TypeTexts {
        name: "card.merchant_checked",
        chinese: "子商户审核完成。",
        when: [
            "Sent when WeChat has reviewed a sub-merchant. `openid` is no customer.",
            "子商户审核完成时推送。`openid` 不是顾客。",
        ],
    },
    TypeTexts {
        name: "gift_card.paid",
        chinese: "用户购买了礼品卡。",
        when: [
            "Sent when an order of gift cards is paid; WeChat's API gives its cards by `order_id`.",
            "礼品卡订单支付完成时推送；订单中的卡按 `order_id` 通过微信接口查询。",
        ],
    },
    TypeTexts {
        name: "gift_card.sent",
        chinese: "用户赠送礼品卡，或礼品卡被退回。",
        when: [
            "Sent when the buyer sends gift cards to a friend and, with `is_return_back`, when they come back after 24 hours.",
            "购买者将礼品卡赠送好友时推送；24 小时后退回时再推送，`is_return_back` 为 true。",
        ],
    },
    TypeTexts {
        name: "gift_card.accepted",
        chinese: "用户领取了礼品卡。",
        when: [
            "Sent when a friend accepts gift cards. `openid` is who accepted them.",
            "好友领取礼品卡时推送。`openid` 是领取人。",
        ],
    },
    TypeTexts {
        name: "card.unknown",
        chinese: "本版本不认识的卡券事件。",
        when: [
            "Any other push that names a card (`CardId` or `UserCardCode`), or whose `Event` contains `card`. `wechat_event` says \
             which; all of it is in `extra`. A later release gives it a type of its own.",
            "其他带有卡券标识（`CardId` 或 `UserCardCode`）、或 `Event` 中含有 `card` 的推送。`wechat_event` 说明是哪一种，全部内容在 `extra` 中；后续版本会给它专门的类型。",
        ],
    },
    TypeTexts {
        name: "other",
        chinese: "不是卡券事件的消息或事件。字段可以为 null：按收到的内容发布。",
        when: [
            "On the topic `kafka.other_topic` (`wechat.other`), only where the account's `other` is `publish`: texts, menu clicks, \
             subscriptions, `user_authorization_revoke`, …",
            "位于主题 `kafka.other_topic`（`wechat.other`），仅当该账号的 `other` 为 `publish`：文本、菜单点击、关注、`user_authorization_revoke` 等。",
        ],
    },
];

macro_rules! fields {
    ($($name:ident: $chinese:literal $(, null $null:expr)?;)+) => {
        pub(super) const FIELDS: &[FieldTexts] = &[
            $(FieldTexts { name: stringify!($name), chinese: $chinese, null: fields!(@ $($null)?) },)+
        ];
    };
    (@) => { None };
    (@ $null:expr) => { Some($null) };
}

fields! {
    event_id: "稳定的标识：同一事件无论推送几次都相同。";
    event_type: "类型。";
    wechat_event: "微信的事件名，按收到的原样。", null ["the push is a message, not an event", "推送是消息而不是事件"];
    event_time: "在微信侧发生的时间。", null MESSAGE_WITHOUT;
    event_time_ms: "`event_time` 的 Unix 毫秒数。", null MESSAGE_WITHOUT;
    received_at: "cardhook 收到的时间。";
    account: "配置中的账号名称。";
    account_id: "公众号。", null MESSAGE_WITHOUT;
    openid: "用户，或触发事件的一方。", null MESSAGE_WITHOUT;
    body_authenticated: "微信的签名是否覆盖了推送内容。";
    text_repaired: "是否有文本不是合法的 UTF-8 XML：每个无法读取的字符以 U+FFFD 代替。";
    extra: "未被任何字段取走的内容，键为微信的标签。";
    msg_type: "消息种类：`text`、`event` 等，开放枚举。", null MESSAGE_WITHOUT;
    card_id: "卡券；所有用户领取的同一种卡券相同。";
    code: "用户手中这张卡券的 code；前导零有意义。";
    refuse_reason: "审核未通过的原因。", null ["the card passed, or no reason was given", "审核通过，或未给出原因"];
    outer_str: "投放卡券时指定的渠道值。", null ["no channel was given, or it is lost with a gift", "投放时未指定渠道；转赠领取时也没有"];
    outer_id: "渠道的旧形式（数字）。";
    is_give_by_friend: "是否由好友转赠。", null NO_FLAG;
    friend_openid: "转赠的另一方。", null ["the card is no gift, or was given to a group", "不是转赠，或转赠到群"];
    old_code: "转赠前的 code：转赠会改变 code。", null ["the card is no gift", "不是转赠"];
    is_restore_member_card: "用户此前是否删除过这张会员卡。", null CLAIM_ONLY;
    is_recommend_by_friend: "是否由好友推荐。", null CLAIM_ONLY;
    source_scene: "领取场景，开放枚举。", null CLAIM_ONLY;
    union_id: "用户在同一开放平台各账号间的标识。", null ["the account is bound to no Open Platform", "公众号未绑定开放平台"];
    is_return_back: "转赠是否被退回。", null NO_FLAG;
    is_chat_room: "是否转赠到群。", null NO_FLAG;
    consume_source: "核销方式，开放枚举。";
    location_id: "门店；0 表示无。", null ["the push is older than 2017", "2017 年之前的推送"];
    location_name: "门店名称。", null ["no store is known", "没有门店信息"];
    staff_openid: "核销员。";
    verify_code: "自助核销时输入的验证码。", null SELF_SERVICE_ONLY;
    remark_amount: "自助核销时输入的金额。", null SELF_SERVICE_ONLY;
    out_trade_no: "买单时的商户订单号。", null QUICK_PAY_ONLY;
    trans_id: "微信支付交易号。", null ["no payment by quick pay belongs to it", "没有对应的买单支付"];
    fee: "实付金额（分）。", null NO_NUMBER;
    original_fee: "优惠前应付金额（分）。", null NO_NUMBER;
    modify_bonus: "积分变动值。", null NO_NUMBER;
    modify_balance: "余额变动值（分）。", null NO_NUMBER;
    detail: "告警内容。";
    order_id: "订单号。";
    status: "订单状态，开放枚举。";
    create_order_time: "订单创建时间。", null ["absent, 0, or no time", "没有、为 0 或不是时间"];
    pay_finish_time: "支付完成时间；未支付时为 null。", null ["not paid", "未支付"];
    desc: "订单说明。";
    free_coin_count: "剩余免费券点。", null NO_NUMBER;
    pay_coin_count: "剩余付费券点。", null NO_NUMBER;
    refund_free_coin_count: "免费券点变动值。", null NO_NUMBER;
    refund_pay_coin_count: "付费券点变动值。", null NO_NUMBER;
    order_type: "订单种类，开放枚举。";
    memo: "订单备注。";
    receipt_info: "发票信息。", null ["no invoice", "没有发票"];
    merchant_id: "子商户。";
    is_pass: "审核是否通过。", null NO_FLAG;
    reason: "审核意见。";
    page_id: "礼品卡页面。";
}
