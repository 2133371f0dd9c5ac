-- Past events again: replayed beside the new ones, or from another place in the log.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE SCHEMA again;
SELECT event_engine.register_event_definition(p) FROM unnest('{again.one, again.two, again.rare}'::text[]) AS p;
CREATE TABLE again.seen (who text, pattern text, n integer, replayed boolean, nr integer GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION again.note(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'fail' AND e.metadata ? 'replayed' THEN
		RAISE EXCEPTION 'not again';
	END IF;
	INSERT INTO again.seen VALUES ('note', e.pattern, (e.payload ->> 'n')::integer,
		(e.metadata -> 'replayed')::boolean);
END $$;
CREATE FUNCTION again.other(e jsonb) RETURNS void LANGUAGE sql AS $$
	INSERT INTO again.seen VALUES ('other', e ->> 'pattern', (e #>> '{payload,n}')::integer,
		(e #> '{metadata,replayed}')::boolean)
$$;
SELECT event_engine.subscribe('note', '{again.*}', 'again.note', filter => '$.payload.n < 100',
	options => '{"max_attempts": 1}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('other', '{again.*}', 'again.other') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('pulled', '{again.*}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('bell', '{again.one}', channel => 'again') IS NOT NULL AS subscribed;
DO $$ BEGIN
	PERFORM event_engine.publish_event('again.one', jsonb_build_object('n', n), priority => CASE WHEN n = 2 THEN 'critical' END::event_engine.event_priority)
		FROM generate_series(1, 4) AS n;
	PERFORM event_engine.publish_event('again.two', '{"n": 5}');
	PERFORM event_engine.publish_event('again.two', '{"n": 200}');
END $$;
CALL event_engine.run_pending();
SELECT who, count(*), count(replayed) FROM again.seen GROUP BY who ORDER BY who;
TRUNCATE again.seen;

-- All of it, to one of them; a new event comes in between, unmarked.
SELECT event_engine.replay_events('note') AS id \gset
SELECT event_engine.replay_events('note');
SELECT event_engine.publish_event('again.one', '{"n": 6}') IS NOT NULL AS published;
CALL event_engine.run_pending();
SELECT who, pattern, n, replayed FROM again.seen ORDER BY who, replayed, nr;
SELECT subscriber, status, replayed, waiting, progress, error FROM event_engine.stat_replays WHERE id = :'id';
SELECT event_engine.cancel_replay(:'id');
CALL event_engine.run_pending();
SELECT count(*) FROM again.seen;
TRUNCATE again.seen;

-- A part of it: by pattern, by content, by position, by time.
SELECT event_engine.replay_events('note', patterns => '{again.two}') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT event_engine.replay_events('note', filter => '$.payload.n == 3') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT event_engine.replay_events('note', filters => '[{"field": "$.payload.n", "operator": "gt", "value": 5}]') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT min(seq) AS first FROM event_engine.events WHERE pattern LIKE 'again.%' \gset
SELECT event_engine.replay_events('note', from_seq => :first + 1, to_seq => :first + 2) IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT event_engine.replay_events('note', since => (SELECT created_at FROM event_engine.events WHERE seq = :first + 3),
	until => (SELECT created_at FROM event_engine.events WHERE seq = :first + 4)) IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT event_engine.replay_events('note', since => now() + interval '1 hour') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT pattern, n, replayed FROM again.seen ORDER BY nr;
SELECT status, replayed FROM event_engine.stat_replays ORDER BY created_at;
TRUNCATE again.seen;

-- What it has not come to yet is delivered once, and not replayed.
SELECT event_engine.publish_event('again.one', '{"n": 7}') IS NOT NULL AS published;
SELECT event_engine.publish_event('again.one', '{"n": 8}', priority => 'critical') IS NOT NULL AS published;
SELECT event_engine.replay_events('note', filter => '$.payload.n > 5') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT n, replayed FROM again.seen WHERE who = 'note' ORDER BY n;
TRUNCATE again.seen;

-- A failure is one of the subscription's, and keeps the mark.
SELECT event_engine.publish_event('again.rare', '{"n": 9, "fail": true}') IS NOT NULL AS published;
CALL event_engine.run_pending();
SELECT event_engine.replay_events('note', patterns => '{again.rare}') IS NOT NULL AS made;
CALL event_engine.run_pending();
SELECT event_type, envelope #> '{metadata,replayed}' AS replayed, error_message FROM event_engine.event_dead_letters;
DELETE FROM event_engine.event_dead_letters;
TRUNCATE again.seen;

-- To who pulls; the mark stays when it comes again.
-- (a call gives events of one priority)
SELECT count(*), count(metadata -> 'replayed') AS replayed FROM generate_series(1, 2) AS n, event_engine.receive_events('pulled', 100 + 0 * n);
SELECT sum(event_engine.ack_events(receipt)) FROM (SELECT DISTINCT receipt FROM event_engine.event_leases) AS r;
SELECT event_engine.replay_events('pulled', patterns => '{again.two}') IS NOT NULL AS made;
SELECT event_engine.publish_event('again.one', '{"n": 10}') IS NOT NULL AS published;
CREATE TEMP TABLE got AS SELECT * FROM event_engine.receive_events('pulled', 10);
SELECT attempts, pattern, payload, metadata -> 'replayed' AS replayed FROM got ORDER BY seq;
SELECT event_engine.nack_events((SELECT receipt FROM got LIMIT 1), delay => '0', ids => (SELECT array_agg(id) FROM got WHERE metadata ? 'replayed'));
SELECT attempts, payload, metadata -> 'replayed' AS replayed FROM event_engine.receive_events('pulled', 10) ORDER BY seq;
SELECT status, replayed FROM event_engine.stat_replays WHERE subscriber = 'pulled';
DROP TABLE got;

-- Stopped in the middle; with the subscription; by an error of its filter.
SELECT event_engine.pause_subscription('note');
SELECT event_engine.replay_events('note') AS id \gset
SELECT event_engine.cancel_replay(:'id'), event_engine.cancel_replay(:'id');
SELECT event_engine.resume_subscription('note');
CALL event_engine.run_pending();
SELECT count(*) FROM again.seen WHERE who = 'note' AND replayed;
SELECT status FROM event_engine.stat_replays WHERE id = :'id';

-- What cannot be.
SELECT event_engine.replay_events('bell');
SELECT event_engine.replay_events('nobody');
SELECT event_engine.replay_events('note', filter => '$.payload.n + ');
SELECT event_engine.replay_events('note', patterns => '{again..}');
SELECT event_engine.cancel_replay('00000000-0000-0000-0000-000000000000');
SELECT event_engine.publish_event('again.one', '{"n": 1}', metadata => '{"replayed": true}');
CREATE ROLE regress_again;
CALL event_engine.grant_duty('subscriber', 'regress_again');
SET ROLE regress_again;
SELECT event_engine.replay_events('note');
SELECT event_engine.cancel_replay(:'id');
SELECT event_engine.seek_subscription('note', 'now');
RESET ROLE;
CALL event_engine.revoke_duty('subscriber', 'regress_again');
DROP ROLE regress_again;

-- Seek: leave out, from a position, from the beginning; unmarked, and all that was known of before is consistent.
CALL event_engine.run_pending();
TRUNCATE again.seen;
SELECT delivered AS before FROM event_engine.stat_subscriptions WHERE subscriber = 'note' \gset
SELECT event_engine.publish_event('again.one', jsonb_build_object('n', n)) IS NOT NULL AS published FROM generate_series(11, 13) AS n;
SELECT event_engine.seek_subscription('note', 'now');
SELECT event_engine.publish_event('again.one', '{"n": 14}') AS last \gset
CALL event_engine.run_pending('note');
SELECT n, replayed FROM again.seen WHERE who = 'note' ORDER BY nr;
SELECT event_engine.seek_subscription('note', seq => (SELECT seq FROM event_engine.events WHERE pattern = 'again.one' AND payload = '{"n": 12}'));
CALL event_engine.run_pending('note');
SELECT n, replayed FROM again.seen WHERE who = 'note' ORDER BY nr;
SELECT delivered - :before AS delivered, lag FROM event_engine.stat_subscriptions WHERE subscriber = 'note';
TRUNCATE again.seen;
SELECT event_engine.seek_subscription('note', 'beginning');
CALL event_engine.run_pending('note');
SELECT count(*), count(DISTINCT n), count(replayed) FROM again.seen WHERE who = 'note';
SELECT event_engine.seek_subscription('note', to_char(now() + interval '1 day', 'YYYY-MM-DD'));
SELECT event_engine.seek_subscription('note');
SELECT event_engine.seek_subscription('note', 'now', 3);
SELECT event_engine.seek_subscription('note', 'yesterdy');
-- a receipt for what is met again is void
SELECT event_engine.publish_event('again.one', '{"n": 15}') IS NOT NULL AS published;
SELECT receipt FROM event_engine.receive_events('pulled', 100) ORDER BY seq DESC LIMIT 1 \gset
SELECT event_engine.seek_subscription('pulled', 'beginning');
SELECT event_engine.ack_events(:'receipt');
SELECT count(*) = (SELECT count(*) FROM event_engine.events WHERE pattern LIKE 'again.%') AS all_again, count(metadata -> 'replayed') AS replayed
FROM generate_series(1, 2) AS n, event_engine.receive_events('pulled', 100 + 0 * n);

SELECT event_engine.unsubscribe(s) FROM unnest('{note,other,pulled,bell}'::text[]) AS s;
DELETE FROM event_engine.event_dead_letters;
DROP SCHEMA again CASCADE;
