//! The types: what each is, in Chinese, and when WeChat sends it.

use super::TypeTexts;

pub(in crate::cli::schema) const TYPES: &[TypeTexts] = &[
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
