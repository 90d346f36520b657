// A merchant's application on Koa and co-wechat, in secure mode: verifies, decrypts, answers with an encrypted reply.
//
// Environment: TOKEN, AES_KEY, APP_ID; FIXED=1 makes equal pushes get equal bytes: the clock stands
// still and the random numbers are no more. Prints its address, then one line a push: what it was.
'use strict';

const crypto = require('crypto');

if (process.env.FIXED) {
  Date.prototype.getTime = () => 1700000000000;
  Math.random = () => 0.5;
  crypto.pseudoRandomBytes = (length) => Buffer.alloc(length, 'r');
  crypto.randomBytes = crypto.pseudoRandomBytes;
}

const Koa = require('koa');
const wechat = require('co-wechat');

const config = { token: process.env.TOKEN, appid: process.env.APP_ID, encodingAESKey: process.env.AES_KEY };

async function answer(message) {
  console.log([message.MsgType, message.Event || '', message.Content || ''].join(' '));
  if (message.MsgType === 'text') return `你说：${message.Content}`;
  if (message.Event === 'subscribe') return '欢迎关注';
  if (message.Event === 'CLICK') return `菜单：${message.EventKey}`;
  if (message.Event === 'user_get_card') return `领取了 ${message.CardId}`;
  return 'success';
}

const app = new Koa();
app.use(wechat(config).middleware(answer));
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`127.0.0.1:${server.address().port}`);
});
