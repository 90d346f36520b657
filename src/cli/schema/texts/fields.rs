//! The fields: what each is, in Chinese, and why it is null.

use super::FieldTexts;

const NO_NUMBER: [&str; 2] = ["absent or empty in the push, or not a number", "推送中没有该元素、元素为空，或不是数字"];
const NO_FLAG: [&str; 2] =
    ["absent or empty in the push, or not 0, 1, true, false", "推送中没有该元素、元素为空，或不是 0、1、true、false"];
const CLAIM_ONLY: [&str; 2] = ["the card is a gift, or was received before 2017", "转赠领取，或 2017 年之前的推送"];
const QUICK_PAY_ONLY: [&str; 2] = ["the redemption is no quick pay", "不是买单核销"];
const SELF_SERVICE_ONLY: [&str; 2] = ["the redemption is no self-service one", "不是自助核销"];
const MESSAGE_WITHOUT: [&str; 2] = ["the push has none that reads", "推送中没有或无法读取"];

macro_rules! fields {
    ($($name:ident: $chinese:literal $(, null $null:expr)?;)+) => {
        pub(in crate::cli::schema) const FIELDS: &[FieldTexts] = &[
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
