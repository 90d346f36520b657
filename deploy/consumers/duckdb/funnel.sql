-- Over the file that `cardhook tail --format json --unmasked` wrote: duckdb -c '.read funnel.sql', beside events.jsonl.
CREATE OR REPLACE VIEW card_events AS
SELECT DISTINCT ON (event_id) *
FROM read_json('events.jsonl', format = 'newline_delimited', columns = {
    event_id: 'UUID', event_type: 'VARCHAR', event_time: 'TIMESTAMPTZ', account: 'VARCHAR', openid: 'VARCHAR',
    card_id: 'VARCHAR', code: 'VARCHAR', outer_str: 'VARCHAR'
});

WITH cards AS (
    SELECT card_id, code,
           arg_min(outer_str, event_time) FILTER (WHERE event_type = 'card.received') AS outer_str,
           min(event_time) FILTER (WHERE event_type = 'card.received') AS received_at,
           min(event_time) FILTER (WHERE event_type = 'card.viewed') AS viewed_at,
           min(event_time) FILTER (WHERE event_type = 'card.consumed') AS consumed_at,
           min(event_time) FILTER (WHERE event_type = 'card.deleted') AS deleted_at
    FROM card_events
    WHERE card_id IS NOT NULL AND code IS NOT NULL
    GROUP BY card_id, code
)
SELECT outer_str, count(*) AS received, count(viewed_at) AS viewed, count(consumed_at) AS consumed,
       count(deleted_at) AS deleted, round(count(consumed_at) / count(*), 4) AS consumed_rate,
       median(consumed_at - received_at) AS median_to_consumed
FROM cards
WHERE received_at IS NOT NULL
GROUP BY outer_str
ORDER BY received DESC, outer_str;
