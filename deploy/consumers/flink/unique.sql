-- Each event once, as it stands: key, value, headers and timestamp. Readers of the new topic set isolation.level=read_committed.
SET 'execution.checkpointing.interval' = '10 s';
-- How long an id is remembered: dedup.window and a margin (docs/consuming.md).
SET 'table.exec.state.ttl' = '72 h';

CREATE TABLE events (
    k BYTES,
    v STRING,
    h MAP<STRING, BYTES> METADATA FROM 'headers',
    t TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
    seen AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = 'wechat.card.events',
    'properties.bootstrap.servers' = '127.0.0.1:9092',
    'properties.group.id' = 'cardhook-unique',
    'scan.startup.mode' = 'earliest-offset',
    'key.format' = 'raw',
    'key.fields' = 'k',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TABLE unique_events (
    k BYTES,
    v STRING,
    h MAP<STRING, BYTES> METADATA FROM 'headers',
    t TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
    'connector' = 'kafka',
    'topic' = 'wechat.card.events.unique',
    'properties.bootstrap.servers' = '127.0.0.1:9092',
    'key.format' = 'raw',
    'key.fields' = 'k',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY',
    'sink.delivery-guarantee' = 'exactly-once',
    'sink.transactional-id-prefix' = 'cardhook-unique',
    'properties.transaction.timeout.ms' = '900000'
);

INSERT INTO unique_events
SELECT k, v, h, t FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(v, '$.event_id') ORDER BY seen) AS nth
    FROM events
    WHERE v IS NOT NULL
)
WHERE nth = 1;
