-- The table, its indexes, and the funnel. Run again, it changes nothing.
CREATE TABLE IF NOT EXISTS card_events (
    event_id    uuid PRIMARY KEY,
    event_type  text NOT NULL,
    event_time  timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    account     text NOT NULL,
    openid      text,
    card_id     text,
    code        text,
    outer_str   text,
    -- The whole event: fields that come later are here first.
    value       jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS card_events_card ON card_events (card_id, code);
CREATE INDEX IF NOT EXISTS card_events_time ON card_events (event_time);
CREATE INDEX IF NOT EXISTS card_events_openid ON card_events (openid);

-- What became of the cards of each outer_str. A later event counts for the outer_str that its card was received with.
CREATE OR REPLACE VIEW card_funnel AS
WITH cards AS (
    SELECT card_id, code,
           (array_agg(outer_str ORDER BY event_time) FILTER (WHERE event_type = 'card.received'))[1] AS outer_str,
           min(event_time) FILTER (WHERE event_type = 'card.received') AS received_at,
           min(event_time) FILTER (WHERE event_type = 'member_card.activated') AS activated_at,
           min(event_time) FILTER (WHERE event_type = 'card.viewed') AS viewed_at,
           min(event_time) FILTER (WHERE event_type = 'card.consumed') AS consumed_at,
           min(event_time) FILTER (WHERE event_type = 'card.deleted') AS deleted_at
    FROM card_events
    WHERE card_id IS NOT NULL AND code IS NOT NULL
    GROUP BY card_id, code
)
SELECT outer_str,
       count(*) AS received,
       count(activated_at) AS activated,
       count(viewed_at) AS viewed,
       count(consumed_at) AS consumed,
       count(deleted_at) AS deleted,
       round(count(consumed_at)::numeric / count(*), 4) AS consumed_rate,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY consumed_at - received_at) AS median_to_consumed
FROM cards
WHERE received_at IS NOT NULL
GROUP BY outer_str;
