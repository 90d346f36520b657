"""A merchant's application on Flask and wechatpy, in secure mode: verifies, decrypts, answers with an encrypted reply.

Environment: TOKEN, AES_KEY, APP_ID; CERTIFICATE and KEY for TLS; FIXED=1 makes equal pushes get equal bytes: the clock stands still
and the random numbers begin anew with each push. Prints its address, then one line a push: what it was.
"""

import os
import random
import time

if os.environ.get("FIXED"):
    time.time = lambda: 1_700_000_000.0

from flask import Flask, abort, make_response, request
from werkzeug.serving import WSGIRequestHandler, make_server
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException

APP = Flask(__name__)
CRYPTO = WeChatCrypto(os.environ["TOKEN"], os.environ["AES_KEY"], os.environ["APP_ID"])


def answer(message):
    if message.type == "text":
        return f"你说：{message.content}"
    if message.type == "event" and message.event == "subscribe":
        return "欢迎关注"
    if message.type == "event" and message.event == "click":
        return f"菜单：{message.key}"
    if message.type == "event" and message.event == "user_get_card":
        return f"领取了 {message.card_id}"
    return None


@APP.post("/wechat")
def wechat():
    if os.environ.get("FIXED"):
        random.seed(request.args["nonce"])
    signature, timestamp, nonce = (request.args[name] for name in ("msg_signature", "timestamp", "nonce"))
    try:
        xml = CRYPTO.decrypt_message(request.data, signature, timestamp, nonce)
    except (InvalidSignatureException, InvalidAppIdException):
        print("forged", flush=True)
        abort(403)
    message = parse_message(xml)
    print(message.type, getattr(message, "event", ""), getattr(message, "content", ""), flush=True)
    text = answer(message)
    if text is None:
        return "success"
    reply = create_reply(text, message).render()
    response = make_response(CRYPTO.encrypt_message(reply, nonce, timestamp))
    response.content_type = "application/xml"
    return response


class KeptAlive(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        """The query holds signatures."""


TLS = (os.environ["CERTIFICATE"], os.environ["KEY"]) if "KEY" in os.environ else None
SERVER = make_server("127.0.0.1", 0, APP, threaded=True, request_handler=KeptAlive, ssl_context=TLS)
print(f"127.0.0.1:{SERVER.server_port}", flush=True)
SERVER.serve_forever()
