//! WeChat's return codes that card calls meet: what each means and what to do about it, in both languages.
//!
//! Does not depend on the call that was made.

/// What a code of WeChat's says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// `errcode`
    pub errcode: i64,
    /// What it means, in English.
    pub en: &'static str,
    /// What to do about it, in English.
    pub en_cure: &'static str,
    /// What it means, in Chinese.
    pub zh: &'static str,
    /// What to do about it, in Chinese.
    pub zh_cure: &'static str,
}

/// The entry of a code.
#[must_use]
pub fn meaning(errcode: i64) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| meaning.errcode == errcode)
}

const fn says(errcode: i64, [en, en_cure]: [&'static str; 2], [zh, zh_cure]: [&'static str; 2]) -> Meaning {
    Meaning { errcode, en, en_cure, zh, zh_cure }
}

/// By code.
pub const MEANINGS: &[Meaning] = &[
    says(-1, ["WeChat is busy", "this passes by itself: try again in a moment"], ["微信系统繁忙", "稍后重试即可"]),
    says(
        40_001,
        [
            "the AppSecret or the access token is wrong",
            "compare app_secret with WeChat's console (resetting it there makes a new one)",
        ],
        ["AppSecret 或 access_token 不正确", "核对 app_secret 与公众平台“基本配置”中的一致（重置后旧的即失效）"],
    ),
    says(
        40_013,
        ["the AppID is wrong", "compare app_id with WeChat's console"],
        ["AppID 不正确", "核对 app_id 与公众平台“基本配置”中的一致"],
    ),
    says(
        40_014,
        [
            "WeChat does not know the access token",
            "it was renewed and refused again: wait a minute, or look at what writes access_token_file",
        ],
        ["access_token 不合法", "已换新仍被拒绝：稍候一分钟再试，或检查写入 access_token_file 的程序"],
    ),
    says(
        40_053,
        ["action_info is wrong", "compare the request with WeChat's page of the call"],
        ["action_info 不正确", "对照该接口文档检查请求"],
    ),
    says(
        40_056,
        [
            "the code is not valid",
            "compare the code (leading zeros count), and the card id for a card with custom codes",
        ],
        ["code 不合法", "核对 code（前导零也算），自定义 code 的卡券还需 card_id"],
    ),
    says(
        40_071,
        ["the card type is wrong", "compare card_type with WeChat's page of the call"],
        ["卡券类型不正确", "对照该接口文档检查 card_type"],
    ),
    says(
        40_072,
        ["the encoding is wrong", "send UTF-8, and Chinese as text and not as \\u escapes"],
        ["编码方式不正确", "使用 UTF-8，中文直接书写，不要用 \\u 转义"],
    ),
    says(
        40_078,
        ["the card's status does not allow it", "look whether the card was approved, was taken down or has ended"],
        ["卡券状态不允许此操作", "查看卡券是否已通过审核、已下架或已过期"],
    ),
    says(
        40_079,
        ["the time is wrong", "compare the beginning and the end of the validity"],
        ["时间不正确", "检查有效期的起止时间"],
    ),
    says(
        40_080,
        [
            "the CardExt is wrong",
            "sign it anew with `cardhook card sign add`; timestamp and nonce_str must equal those signed",
        ],
        ["CardExt 不正确", "用 `cardhook card sign add` 重新签名；timestamp 与 nonce_str 须与签名时一致"],
    ),
    says(
        40_099,
        [
            "the code was redeemed already",
            "do not hand anything out for it again; `cardhook card get` shows its status",
        ],
        ["code 已被核销", "请勿重复兑付；可用 `cardhook card get` 查看状态"],
    ),
    says(
        40_100,
        ["the time span is wrong", "compare the beginning and the end of the validity"],
        ["时间区间不正确", "检查有效期的起止时间"],
    ),
    says(
        40_116,
        ["the code is wrong", "compare the code (leading zeros count), and the card id for a card with custom codes"],
        ["code 不正确", "核对 code（前导零也算），自定义 code 的卡券还需 card_id"],
    ),
    says(
        40_122,
        ["the stock is wrong", "give a stock between 1 and 100 million"],
        ["库存数量不正确", "库存数量应为 1 至 1 亿"],
    ),
    says(
        40_124,
        ["there are too many or too long custom fields", "shorten custom_field"],
        ["自定义字段超出限制", "缩减 custom_field"],
    ),
    says(
        40_125,
        ["the AppSecret is wrong", "compare app_secret with WeChat's console (resetting it there makes a new one)"],
        ["AppSecret 不正确", "核对 app_secret 与公众平台“基本配置”中的一致（重置后旧的即失效）"],
    ),
    says(
        40_127,
        [
            "the customer deleted the card, or is giving it to a friend",
            "ask the customer to show the card again; `cardhook card get` shows its status",
        ],
        ["用户已删除该卡券，或正在转赠", "请用户重新出示卡券；可用 `cardhook card get` 查看状态"],
    ),
    says(
        40_151,
        ["WeChat's protection against abuse blocks it", "wait, and look at the account's messages in WeChat's console"],
        ["被微信防刷策略拦截", "稍后再试，并查看公众平台的通知"],
    ),
    says(
        40_164,
        [
            "this machine's address is not on the whitelist",
            "put this machine's public address on the account's IP whitelist in WeChat's console (设置与开发 → 基本配置 → IP白名单)",
        ],
        ["本机 IP 不在白名单中", "在公众平台“设置与开发 → 基本配置 → IP白名单”中加入本机的公网地址"],
    ),
    says(
        40_201,
        [
            "the account has no server URL that WeChat can check",
            "enter the URL in WeChat's console first (设置与开发 → 基本配置 → 服务器配置)",
        ],
        ["账号尚未配置可检测的服务器地址(URL)", "先在公众平台“设置与开发 → 基本配置 → 服务器配置”中填写 URL"],
    ),
    says(
        41_001,
        [
            "the access token is missing",
            "a proxy on the way may cut the query: look at HTTPS_PROXY and wechat_api.base_url",
        ],
        ["缺少 access_token", "可能被中间代理截去：检查 HTTPS_PROXY 与 wechat_api.base_url"],
    ),
    says(
        41_011,
        ["a required field is missing", "compare the request with WeChat's page of the call"],
        ["缺少必填字段", "对照该接口文档检查请求"],
    ),
    says(
        41_012,
        ["the card id is missing", "name the card id: a card with custom codes needs it"],
        ["缺少 card_id", "补上 card_id：自定义 code 的卡券必须填写"],
    ),
    says(
        42_001,
        [
            "the access token has ended",
            "it was renewed and refused again: wait a minute, or look at what writes access_token_file",
        ],
        ["access_token 已过期", "已换新仍被拒绝：稍候一分钟再试，或检查写入 access_token_file 的程序"],
    ),
    says(
        43_002,
        ["the call must be a POST", "a proxy on the way may change it: look at HTTPS_PROXY and wechat_api.base_url"],
        ["必须使用 POST", "可能被中间代理改写：检查 HTTPS_PROXY 与 wechat_api.base_url"],
    ),
    says(
        43_009,
        ["the account may not use custom codes", "ask for the permission in WeChat's console (自定义code)"],
        ["无自定义 code 权限", "在公众平台申请自定义 code 权限"],
    ),
    says(
        43_010,
        ["the account may not use stored value", "ask for the permission in WeChat's console (储值)"],
        ["无储值权限", "在公众平台申请储值权限"],
    ),
    says(
        44_002,
        ["the body is empty", "a proxy on the way may drop it, or the file of --data is empty"],
        ["请求内容为空", "可能被中间代理丢弃，或 --data 的文件为空"],
    ),
    says(
        45_009,
        [
            "the account has called too often today",
            "this passes by itself at midnight (China), or clear the quota in WeChat's console",
        ],
        ["今日调用次数已达上限", "次日零点（北京时间）自动恢复，也可在公众平台清零"],
    ),
    says(
        45_011,
        ["the account has called too often in this minute", "this passes by itself: wait a minute"],
        ["调用过于频繁", "等待一分钟后再试"],
    ),
    says(
        45_021,
        ["a field is too long", "shorten it to what WeChat's page of the call allows"],
        ["字段过长", "按接口文档的长度限制缩短"],
    ),
    says(
        45_030,
        [
            "the account's API may not use this card",
            "the card was made in WeChat's console or by another account: make it through the API",
        ],
        ["该 card_id 无接口权限", "该卡券由公众平台或其他账号创建：请通过接口创建"],
    ),
    says(
        45_031,
        ["the card's stock is 0", "raise the stock (card/modifystock)"],
        ["卡券库存为 0", "增加库存（card/modifystock）"],
    ),
    says(
        45_033,
        ["the customer has as many as get_limit allows", "raise get_limit (card/update), or try with another customer"],
        ["超过用户领取上限 get_limit", "提高 get_limit（card/update），或换用户测试"],
    ),
    says(
        47_001,
        ["the JSON is malformed", "look at the file of --data: it must be one JSON object in UTF-8"],
        ["JSON 格式错误", "检查 --data 的文件：应为 UTF-8 编码的 JSON 对象"],
    ),
    says(
        48_001,
        [
            "the account may not use this API: its card feature (卡券功能) is not enabled",
            "look into its permissions in WeChat's console (接口权限), and enable the feature at 广告与服务 → 卡券",
        ],
        ["账号无此接口权限：未开通卡券功能", "在公众平台“接口权限”中查看，并在“广告与服务 → 卡券”中开通"],
    ),
    says(
        50_002,
        ["the account is restricted", "look into WeChat's console for the reason"],
        ["账号受限", "登录公众平台查看原因"],
    ),
];
