-- What the functions make that a step answers with.
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';
CREATE FUNCTION pretty(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_strip_nulls(answer) $$;
SELECT pretty(event_engine.wait_for('a'));
SELECT pretty(event_engine.wait_for('a', '$.payload.x == 1', name => 'n', since => '2026-01-01 00:00Z', next_step => 's', state => '{"k": 1}',
	filters => '[]', timeout_at => '2026-01-02 00:00Z'));
SELECT (event_engine.wait_for('a', timeout => '1 hour') #>> '{waits,0,timeoutAt}')::timestamptz
	BETWEEN clock_timestamp() + '59 min' AND clock_timestamp() + '61 min' AS in_an_hour;
SELECT pretty(event_engine.sleep_until('2026-01-02 00:00Z', 's', '{"k": 1}', 'n'));
SELECT (event_engine.sleep_for('1 hour', name => 'n') #>> '{waits,0,timeoutAt}')::timestamptz
	BETWEEN clock_timestamp() + '59 min' AND clock_timestamp() + '61 min' AS in_an_hour;
SELECT pretty(event_engine.wait_for_any(ARRAY[event_engine.wait_for('a'), event_engine.wait_for('b', name => 'n')], 's', '{"k": 1}'));
SELECT pretty(event_engine.wait_for_all(ARRAY[event_engine.wait_for('a'), event_engine.wait_for('b')]));
SELECT pretty(event_engine.wait_for_n(2, ARRAY[event_engine.wait_for('a'), event_engine.wait_for('b'), event_engine.wait_for('c')]));
-- a time ends it, whatever has matched, and is none of those needed
SELECT event_engine.wait_for_all(ARRAY[event_engine.wait_for('a'), event_engine.wait_for('b'), event_engine.sleep_for('1 day')]) -> 'needed' AS needed;
SELECT pretty(event_engine.continue_with('s', '{"k": 1}'));
SELECT event_engine.complete('{"o": null}', '{"k": 1}');
SELECT event_engine.complete();
SELECT event_engine.fail('why', '{"d": 1}', '{"k": 1}');
DROP FUNCTION pretty;
