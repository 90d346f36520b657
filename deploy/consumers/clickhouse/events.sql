-- Not run here: written from ClickHouse's documentation. Try it on a test server first.
CREATE TABLE card_events_queue (line String)
ENGINE = Kafka
SETTINGS kafka_broker_list = '127.0.0.1:9092', kafka_topic_list = 'wechat.card.events', kafka_group_name = 'clickhouse',
    kafka_format = 'JSONAsString', kafka_num_consumers = 1;

-- Rows of one event_id are merged into one: later, in the background. FINAL merges them for a query.
CREATE TABLE card_events (
    event_id UUID,
    event_type LowCardinality(String),
    event_time DateTime('UTC'),
    account LowCardinality(String),
    openid Nullable(String),
    card_id Nullable(String),
    code Nullable(String),
    outer_str Nullable(String),
    value String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (event_time, event_id);

CREATE MATERIALIZED VIEW card_events_reader TO card_events AS
SELECT
    toUUID(JSONExtractString(line, 'event_id')) AS event_id,
    JSONExtractString(line, 'event_type') AS event_type,
    toDateTime(intDiv(JSONExtractInt(line, 'event_time_ms'), 1000), 'UTC') AS event_time,
    JSONExtractString(line, 'account') AS account,
    JSONExtract(line, 'openid', 'Nullable(String)') AS openid,
    JSONExtract(line, 'card_id', 'Nullable(String)') AS card_id,
    JSONExtract(line, 'code', 'Nullable(String)') AS code,
    JSONExtract(line, 'outer_str', 'Nullable(String)') AS outer_str,
    line AS value
FROM card_events_queue;

-- SELECT outer_str, count() FROM card_events FINAL WHERE event_type = 'card.received' GROUP BY outer_str;
