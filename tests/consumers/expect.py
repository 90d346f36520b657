"""What each push must become, by the contract and nothing else: a second reading of it, in another language.

Arguments: files, each one clear body. Prints a JSON line for each:
{"kind": "card", "key": …, "timestamp_ms": …, "value": {…}}, {"kind": "other"} or {"kind": "quarantined"}.
What only the receiver knows (`received_at`, `account`, `body_authenticated`) is left out of the value.
"""

import json
import sys
import uuid
from datetime import datetime, timezone
from xml.parsers import expat

BLANK = " \t\r\n"
CARD = ["card_id", "code"]
TYPES = {
    "card_pass_check": ("card.approved", ["card_id", "refuse_reason"]),
    "card_not_pass_check": ("card.rejected", ["card_id", "refuse_reason"]),
    "user_get_card": (
        "card.received",
        CARD
        + ["outer_str", "outer_id", "is_give_by_friend", "friend_openid", "old_code", "is_restore_member_card"]
        + ["is_recommend_by_friend", "source_scene", "union_id"],
    ),
    "user_gifting_card": ("card.gifted", CARD + ["friend_openid", "is_return_back", "is_chat_room"]),
    "user_del_card": ("card.deleted", CARD),
    "user_consume_card": (
        "card.consumed",
        CARD
        + ["outer_str", "consume_source", "location_id", "location_name", "staff_openid", "verify_code"]
        + ["remark_amount", "out_trade_no", "trans_id"],
    ),
    "user_pay_from_pay_cell": ("card.paid", CARD + ["trans_id", "location_id", "fee", "original_fee"]),
    "user_view_card": ("card.viewed", CARD + ["outer_str"]),
    "user_enter_session_from_card": ("card.session_entered", CARD),
    "update_member_card": ("member_card.updated", CARD + ["modify_bonus", "modify_balance"]),
    "submit_membercard_user_info": ("member_card.activated", CARD),
    "card_sku_remind": ("card.stock_low", ["card_id", "detail"]),
    "card_pay_order": (
        "card.coin_order",
        ["order_id", "status", "create_order_time", "pay_finish_time", "desc", "free_coin_count", "pay_coin_count"]
        + ["refund_free_coin_count", "refund_pay_coin_count", "order_type", "memo", "receipt_info"],
    ),
    "card_merchant_check_result": ("card.merchant_checked", ["merchant_id", "is_pass", "reason"]),
    "giftcard_pay_done": ("gift_card.paid", ["page_id", "order_id"]),
    "giftcard_send_to_friend": ("gift_card.sent", ["page_id", "order_id", "is_chat_room", "is_return_back"]),
    "giftcard_user_accept": ("gift_card.accepted", ["page_id", "order_id", "is_chat_room"]),
}
UNKNOWN = ("card.unknown", CARD + ["outer_str"])
KEYS = {
    "card.approved": "card_id",
    "card.rejected": "card_id",
    "card.stock_low": "card_id",
    "card.coin_order": "order_id",
    "card.merchant_checked": "account_id",
}
TAGS = {
    "code": ["usercardcode", "code"],
    "outer_str": ["outerstr", "outetstr"],
    "friend_openid": ["friendusername"],
    "old_code": ["oldusercardcode"],
}
INTEGERS = {"fee", "original_fee", "modify_bonus", "modify_balance"}
TIMES = {"create_order_time", "pay_finish_time"}


class Child:
    def __init__(self, tag):
        self.tag, self.pieces, self.start, self.inner = tag, [], None, None

    def text(self):
        pieces = list(self.pieces)
        while pieces and not pieces[0][0] and not pieces[0][1].strip(BLANK):
            pieces.pop(0)
        while pieces and not pieces[-1][0] and not pieces[-1][1].strip(BLANK):
            pieces.pop()
        if pieces and not pieces[0][0]:
            pieces[0] = (False, pieces[0][1].lstrip(BLANK))
        if pieces and not pieces[-1][0]:
            pieces[-1] = (False, pieces[-1][1].rstrip(BLANK))
        return "".join(text for _, text in pieces)

    def value(self):
        return self.text() if self.inner is None else self.inner


def children(body):
    found, depth, cdata = [], 0, False
    parser = expat.ParserCreate("utf-8")

    def start(tag, _):
        nonlocal depth
        depth += 1
        if depth == 2:
            found.append(Child(tag))
        elif depth == 3 and found[-1].start is None:
            found[-1].start = True

    def end(_):
        nonlocal depth
        depth -= 1

    def text(data):
        if depth == 2:
            pieces = found[-1].pieces
            if pieces and pieces[-1][0] == cdata:
                pieces[-1] = (cdata, pieces[-1][1] + data)
            else:
                pieces.append((cdata, data))

    def section(value):
        nonlocal cdata
        cdata = value
        if value and depth == 2:
            found[-1].pieces.append((True, ""))

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartCdataSectionHandler = lambda: section(True)
    parser.EndCdataSectionHandler = lambda: section(False)
    parser.Parse(body, True)
    nested(body, found)
    return found


def nested(body, found):
    """The inner XML, as received, of the children that have elements of their own."""
    source, at = body.decode("utf-8-sig"), 0
    for child in found:
        at = source.index("<" + child.tag, at)
        if child.start:
            begin = source.index(">", at) + 1
            at = source.index("</" + child.tag, begin)
            child.inner = source[begin:at].strip(BLANK).replace("\r\n", "\n").replace("\r", "\n")
        at += 1


def event_id(found):
    def escaped(text):
        return text.strip(BLANK).replace("\\", "\\\\").replace("\n", "\\n")

    lines = [f"{child.tag}={escaped(child.value())}\n" for child in found if child.tag.lower() != "encrypt"]
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "cardhook")
    return str(uuid.uuid5(namespace, "".join(sorted(lines, key=str.encode))))


def instant(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def typed(field, text):
    """The field's value, or ValueError where the text does not read."""
    if text == "":
        return None
    if field in INTEGERS or field.endswith("_coin_count"):
        return int(text.strip(BLANK))
    if field in TIMES:
        seconds = int(text.strip(BLANK))
        return instant(seconds) if seconds else None
    if field.startswith("is_"):
        return {"0": False, "1": True, "false": False, "true": True}[text.strip(BLANK)]
    if field == "consume_source":
        return text.strip("()")
    return text


def take(rest, tags):
    for tag in tags:
        for child in rest:
            if child.tag.lower() == tag and child.inner is None:
                rest.remove(child)
                return child
    return None


def expected(body):
    try:
        found = children(body)
    except expat.ExpatError:
        return {"kind": "quarantined"}
    rest = [child for child in found if child.tag.lower() not in ("encrypt", "msgtype")]
    tags = {child.tag.lower() for child in found}
    if not tags - {"tousername", "encrypt"}:
        return {"kind": "quarantined"}
    if "infotype" in tags or ("appid" in tags and "tousername" not in tags):
        return {"kind": "quarantined"}
    envelope = {tag: take(rest, [tag]) for tag in ("tousername", "fromusername", "createtime", "event")}
    read = {tag: child.text().strip(BLANK) for tag, child in envelope.items() if child}
    name = read.get("event", "")
    event_type, fields = TYPES.get(name.lower(), (None, []))
    if event_type is None:
        if not ({"cardid", "usercardcode"} & tags or "card" in name.lower()):
            return {"kind": "other"}
        event_type, fields = UNKNOWN
    if len(read) < 4 or not all(read.values()):
        return {"kind": "quarantined"}
    seconds = int(read["createtime"])
    value = {
        "event_id": event_id(found),
        "event_type": event_type,
        "wechat_event": name,
        "event_time": instant(seconds),
        "event_time_ms": seconds * 1000,
        "account_id": read["tousername"],
        # A fixture that is not clean XML in UTF-8 does not come this far: expat refuses it.
        "text_repaired": False,
        "openid": read["fromusername"],
    }
    for field in fields:
        names = TAGS.get(field, [field.replace("_", "")])
        if field == "create_order_time":
            names = names + ["createtime"]
        child = take(rest, names)
        value[field] = None
        if child:
            try:
                value[field] = typed(field, child.text())
            except (ValueError, KeyError):
                rest.append(child)
    extra = {}
    for child in rest:
        extra.setdefault(child.tag, []).append(child.value())
    tags = [child.tag.lower() for child in found]
    value["extra"] = {
        tag: values if tags.count(tag.lower()) > 1 else values[0] for tag, values in extra.items()
    }
    key = value.get(KEYS.get(event_type, "openid"))
    return {"kind": "card", "key": key, "timestamp_ms": seconds * 1000, "value": value}


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        print(json.dumps(expected(file.read())))
