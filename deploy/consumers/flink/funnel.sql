-- Received, viewed, consumed and deleted cards per outer_str and hour of receipt. A card counts once in each column, so
-- events that come twice change nothing, and one that comes late corrects its row.
SET 'execution.checkpointing.interval' = '10 s';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '1 s';
SET 'table.exec.mini-batch.size' = '5000';
-- How long after its last event a card is remembered. A later one says nothing about it: keep cards longer than they are valid.
SET 'table.exec.state.ttl' = '400 d';
-- Whose hours.
SET 'table.local-time-zone' = 'Asia/Shanghai';

CREATE TABLE events (
    event_type STRING,
    event_time_ms BIGINT,
    card_id STRING,
    code STRING,
    outer_str STRING
) WITH (
    'connector' = 'kafka',
    'topic' = 'wechat.card.events',
    'properties.bootstrap.servers' = '127.0.0.1:9092',
    'properties.group.id' = 'cardhook-funnel',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);

CREATE TABLE funnel (
    outer_str STRING,
    received_hour STRING,
    received BIGINT,
    viewed BIGINT,
    consumed BIGINT,
    deleted BIGINT,
    PRIMARY KEY (outer_str, received_hour) NOT ENFORCED
) WITH (
    'connector' = 'upsert-kafka',
    'topic' = 'wechat.card.funnel',
    'properties.bootstrap.servers' = '127.0.0.1:9092',
    'key.format' = 'json',
    'value.format' = 'json'
);

INSERT INTO funnel
SELECT outer_str, received_hour, COUNT(*), SUM(viewed), SUM(consumed), SUM(deleted) FROM (
    SELECT
        COALESCE(MAX(outer_str) FILTER (WHERE event_type = 'card.received'), '-') AS outer_str,
        DATE_FORMAT(TO_TIMESTAMP_LTZ(MIN(event_time_ms) FILTER (WHERE event_type = 'card.received'), 3),
            'yyyy-MM-dd HH:00') AS received_hour,
        MAX(CASE WHEN event_type = 'card.viewed' THEN 1 ELSE 0 END) AS viewed,
        MAX(CASE WHEN event_type = 'card.consumed' THEN 1 ELSE 0 END) AS consumed,
        MAX(CASE WHEN event_type = 'card.deleted' THEN 1 ELSE 0 END) AS deleted,
        MAX(CASE WHEN event_type = 'card.received' THEN 1 ELSE 0 END) AS was_received
    FROM events
    WHERE card_id IS NOT NULL AND code IS NOT NULL
    GROUP BY card_id, code
)
WHERE was_received = 1
GROUP BY outer_str, received_hour;
