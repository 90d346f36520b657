-- Not run here: written from ksqlDB's documentation. Try it on a test server first.
SET 'auto.offset.reset' = 'earliest';

CREATE STREAM card_events (
    event_id STRING, event_type STRING, event_time_ms BIGINT, account STRING, openid STRING,
    card_id STRING, code STRING, outer_str STRING
) WITH (KAFKA_TOPIC = 'wechat.card.events', VALUE_FORMAT = 'JSON', TIMESTAMP = 'event_time_ms');

-- One row a card: what comes twice changes nothing.
CREATE TABLE cards AS
SELECT card_id, code,
    MAX(CASE WHEN event_type = 'card.received' THEN COALESCE(outer_str, '-') END) AS outer_str,
    MAX(CASE WHEN event_type = 'card.consumed' THEN 1 ELSE 0 END) AS consumed
FROM card_events
WHERE card_id IS NOT NULL AND code IS NOT NULL
GROUP BY card_id, code EMIT CHANGES;

CREATE TABLE card_funnel AS
SELECT outer_str, COUNT(*) AS received, SUM(consumed) AS consumed
FROM cards WHERE outer_str IS NOT NULL
GROUP BY outer_str EMIT CHANGES;
