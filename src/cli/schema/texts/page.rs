//! The passages of the catalogue around its tables.

pub(in crate::cli::schema) const HEAD: [&str; 2] = [
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

pub(in crate::cli::schema) const TYPES_HEAD: [&str; 2] = [
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

pub(in crate::cli::schema) const COMMON: [&str; 2] = [
    "
## Fields of every card event

`event_id` is what to deduplicate by. `extra` holds every element of the push that no other field took, so nothing is lost.

",
    "
## 每个卡券事件共有的字段

按 `event_id` 去重。推送中未被其他字段取走的元素都在 `extra` 中，不会丢失任何内容。

",
];

pub(in crate::cli::schema) const FIELDS_HEAD: [&str; 2] = [
    "\
| field | JSON type | `null` when | meaning | example |
|---|---|---|---|---|
",
    "\
| 字段 | JSON 类型 | 何时为 `null` | 含义 | 示例 |
|---|---|---|---|---|
",
];

pub(in crate::cli::schema) const FILES: [&str; 2] = [
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
