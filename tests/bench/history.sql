-- A year of one tenant: $turns turns, ten in a conversation, evenly spread over the $days days until '$until'. Every
-- twentieth has waited for a person, and made another call fifty minutes later.
-- Ids are as the server makes them, whose order is that of time: whatever is new comes last in every index.

CREATE FUNCTION pg_temp.made(turn bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN '$until'::timestamptz - make_interval(secs => $days * 86400.0 * ($turns - turn) / $turns);

CREATE FUNCTION pg_temp.id(kind int, number bigint, made timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (lpad(to_hex((extract(epoch FROM made) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
    || '8' || lpad(to_hex(number), 15, '0'))::uuid;

CREATE TEMPORARY TABLE turns AS
SELECT
    turn,
    turn / 10 AS conversation,
    turn % 10 AS place,
    made,
    'old-' || turn / 10 % $users AS user_id,
    pg_temp.id(1, turn / 10, pg_temp.made(turn / 10 * 10)) AS conversation_id,
    pg_temp.id(2, turn, made) AS run_id,
    pg_temp.id(3, turn, made) AS question_id,
    pg_temp.id(4, turn, made) AS answer_id
FROM generate_series(0, $turns - 1) AS turn, LATERAL (SELECT pg_temp.made(turn)) AS time (made)
ORDER BY turn;

INSERT INTO conversations (
    tenant_id, id, employee_id, user_id, title, status, message_count, created_at, updated_at, last_message_at
)
SELECT
    '$tenant', conversation_id, '$employee', user_id, 'Conversation ' || conversation, 'active', 20, made, made, made
FROM turns WHERE place = 0 ORDER BY turn;

INSERT INTO messages (
    tenant_id, id, conversation_id, run_id, position, role, content, status, finish_reason, tool_log, usage,
    cost_micros, currency, details, created_at, updated_at
)
SELECT
    '$tenant', id, conversation_id, run_id, 2 * place + nth, role, repeat(id || ' ', length), 'completed',
    finish_reason, '[]', usage::json, cost, currency, '{}', made, made
FROM turns, LATERAL (VALUES
    (1, question_id, 'user', 2, NULL, NULL, NULL, NULL),
    (2, answer_id, 'assistant', 8, 'stop', '{"input_tokens": 50, "output_tokens": 60, "provenance": "reported"}', 725, 'USD')
) AS message (nth, id, role, length, finish_reason, usage, cost, currency)
ORDER BY turn, nth;

INSERT INTO runs (
    tenant_id, id, conversation_id, employee_id, user_id, user_message_id, message_id, status, attempt, position,
    is_urgent, ordinal, options, pauses, appended, finish_reason, usage, cost_micros, currency, event_count,
    text_sha256, created_at, started_at, finished_at, pruned_at
)
SELECT
    '$tenant', run_id, conversation_id, '$employee', user_id, question_id, answer_id, 'completed', 1, 2 * place + 1,
    false, place + 1, '{}', 0, 0, 'stop', '{"input_tokens": 50, "output_tokens": 60, "provenance": "reported"}', 725,
    'USD', 70, repeat('ab', 32), made, made, made, made
FROM turns ORDER BY turn;

INSERT INTO ledger (
    tenant_id, id, run_id, conversation_id, employee_id, user_id, step, attempt, tries, provider, model, outcome,
    input_tokens, output_tokens, provenance, cost_micros, currency, opened_at, closed_at
)
SELECT
    '$tenant', pg_temp.id(4 + step, turn, opened), run_id, conversation_id, '$employee', user_id, step, 1, 1, 'openai',
    'bench', 'completed', 50, 60, 'reported', 725, 'USD', opened, opened
FROM turns, LATERAL (
    SELECT 1, made UNION ALL SELECT 2, made + interval '50 minutes' WHERE turn % 20 = 0
) AS call (step, opened)
ORDER BY opened;
