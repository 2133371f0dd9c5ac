-- Request and reply: who may, what is stored, which reply is the first, and
-- what is said where there is none.  The waiting itself: 022_delivery_query.pl.
SET client_min_messages = warning;
SELECT event_engine.register_event_definition(p)
FROM unnest('{price.asked,price.asked.reply,price.told,stock.asked}'::text[]) AS p;

-- nobody would reply
CALL event_engine.query_event('price.asked', '{"sku": "a"}', '1 s');
SELECT count(*) FROM event_engine.events WHERE pattern = 'price.asked';
CALL event_engine.query_event('price.unknown', '{}', '1 s');
CALL event_engine.query_event(NULL, '{}', '1 s');
CALL event_engine.query_event('price.asked', '{}', '25 h');
CALL event_engine.query_event('price.asked', '{}', NULL);

-- by content: the filter decides, and one that fails does not tell
SELECT event_engine.subscribe('dear', '{price.asked}', filter => '$.payload.amount > 100') IS NOT NULL AS subscribed;
CALL event_engine.query_event('price.asked', '{"amount": 1}', '1 s');
SELECT event_engine.subscribe('broken', '{price.asked}',
	filter => '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()') IS NOT NULL AS subscribed;
CALL event_engine.query_event('price.asked', '{"amount": 1, "at": "2025-01-01"}', '1 ms', raise_timeout => false,
	event_id => 'broken') \gset
SELECT event_engine.unsubscribe(s) FROM unnest('{dear,broken}'::text[]) AS s;

-- nor could anybody, as the reply's pattern is unknown
SELECT event_engine.subscribe('repliers', '{*.asked}') IS NOT NULL AS subscribed;
CALL event_engine.query_event('stock.asked', '{}', '1 s');
SELECT count(*) FROM event_engine.events WHERE pattern = 'stock.asked';

-- nobody does
\set VERBOSITY sqlstate
CALL event_engine.query_event('price.asked', '{"sku": "a"}', '10 ms', event_id => 'ask-a');
\set VERBOSITY default
SELECT id AS asked FROM event_engine.list_events(event_id => 'ask-a') \gset
SELECT (metadata #>> '{tags,replyBy}')::timestamptz - created_at BETWEEN '-1 min' AND '10 ms' AS reply_by, metadata - 'correlationId' - 'tags' AS metadata
FROM event_engine.get_event(:'asked');
CALL event_engine.await_reply(:'asked', '1 ms', raise_timeout => false);
CALL event_engine.query_event('price.asked', '{"sku": "a"}', '1 ms', raise_timeout => false, event_id => 'ask-a') \gset again_
SELECT :'again_request_id' = :'asked' AS same_request, :{?again_reply} AS replied;

-- only where it can let go of its snapshot
BEGIN;
CALL event_engine.query_event('price.asked', '{}', '1 s');
ROLLBACK;
DO $$
DECLARE
	reply jsonb;
	reply_id uuid;
BEGIN
	CALL event_engine.await_reply(gen_random_uuid(), '1 ms', true, reply, reply_id);
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING '% %', SQLSTATE, SQLERRM;
END
$$;

-- replies: the first, and the late ones
SELECT event_engine.reply_event(:'asked', '{"price": 1}', metadata => '{"userId": "ada", "causationId": "mine"}') AS first \gset
SELECT event_engine.reply_event(:'asked', '{"price": 2}') AS late \gset
-- nor is one of another tenant the first again: it has that of the request
SELECT event_engine.reply_event(:'asked', '{"price": 3}', metadata => '{"tags": {"tenant": "acme", "colour": "red"}}') AS other \gset
SELECT metadata -> 'tags' AS tags FROM event_engine.events WHERE id = :'other';
CALL event_engine.await_reply(:'asked', '1 ms') \gset got_
SELECT :'got_reply' AS reply, :'got_reply_id' = :'first' AS is_first;
SELECT id = :'first' AS is_first, reply, in_time, payload FROM event_engine.list_replies(:'asked') ORDER BY payload;
SELECT e.pattern, e.metadata ->> 'causationId' = :'asked' AS caused, e.metadata -> 'hops' AS hops,
	e.metadata ->> 'correlationId' = r.metadata ->> 'correlationId' AS correlated, e.metadata ->> 'userId' AS "user",
	e.event_id = 'reply:' || r.id AS named
FROM event_engine.get_event(:'asked') AS r, event_engine.events AS e
WHERE e.id IN (:'first', :'late') ORDER BY e.seq;
SELECT event_engine.reply_event('00000000-0000-7000-8000-000000000000', '{}');
SELECT event_engine.reply_event(:'asked', NULL);
SELECT event_engine.reply_event(:'asked', '{}', metadata => '{"tags": 1}');
SELECT event_engine.reply_event(:'asked', '{}', metadata => '[]');

-- under another pattern
CALL event_engine.query_event('price.asked', '{}', '1 ms', reply_pattern => 'price.told', raise_timeout => false,
	partition_key => 'k', priority => 'high', metadata => '{"correlationId": "c", "tags": {"mine": true}}', event_id => 'other') \gset
SELECT event_engine.reply_event(:'request_id', '{"price": 3}') AS told \gset
SELECT pattern, partition_key, priority, metadata - 'causationId' AS metadata FROM event_engine.get_event(:'told');
SELECT metadata #- '{tags,replyBy}' AS metadata FROM event_engine.get_event(:'request_id');

-- rights: whoever asked may see the reply, and whoever may read
CREATE ROLE query_asker;
CREATE ROLE query_other;
SELECT event_engine.unsubscribe('repliers');
CALL event_engine.grant_duty('publisher', 'query_asker');
CALL event_engine.grant_duty('publisher', 'query_other');
CALL event_engine.grant_duty('subscriber', 'query_other');
SET ROLE query_other;
SELECT event_engine.subscribe('others', '{price.asked}') IS NOT NULL AS subscribed;
CALL event_engine.await_reply(:'asked', '1 ms');
SET ROLE query_asker;
CALL event_engine.query_event('price.asked', '{}', '1 ms', raise_timeout => false, event_id => 'rights') \gset
SET ROLE query_other;
SELECT event_engine.reply_event(:'request_id', '{"price": 4}') IS NOT NULL AS replied;
CALL event_engine.await_reply(:'request_id', '1 ms', raise_timeout => false);
SET ROLE query_asker;
CALL event_engine.await_reply(:'request_id', '1 ms') \gset reply_
SELECT :'reply_reply' AS reply;
RESET ROLE;
SELECT created_by FROM event_engine.get_event(:'reply_reply_id');

-- at once, by a function that runs as its owner
SELECT event_engine.query_responder('price.asked', '{}');
SET ROLE query_other;
SELECT event_engine.register_query_responder('stock.asked', 'price_now');
RESET ROLE;
GRANT CREATE ON SCHEMA public TO query_other;
SET ROLE query_other;
CREATE FUNCTION price_now(e event_engine.event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'fail' THEN
		RAISE EXCEPTION 'no price today' USING ERRCODE = 'P0042';
	END IF;
	RETURN CASE WHEN NOT e.payload ? 'silent' THEN
		jsonb_build_object('price', 5, 'as', current_user, 'sees', (SELECT count(*) FROM event_engine.list_event_definitions(jsonb_build_object('pattern_prefix', e.pattern))))
		END;
END $$;
CREATE FUNCTION price_of_envelope(e jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('asked', e -> 'payload', 'path', current_setting('search_path')) $$;
CREATE FUNCTION price_void(e event_engine.event) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE FUNCTION price_many(e event_engine.event[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
SELECT event_engine.register_query_responder('stock.asked', 'price_now');
SELECT event_engine.register_query_responder('price.asked', 'price_void');
SELECT event_engine.register_query_responder('price.asked', 'price_many');
SELECT event_engine.register_query_responder('price.asked', 'price_now');
SET ROLE query_asker;
SELECT event_engine.register_query_responder('price.asked', 'price_now');
SELECT event_engine.query_responder('price.asked', '{"sku": "b"}', metadata => '{"correlationId": "sync"}', partition_key => 'k');
SELECT event_engine.query_responder('price.asked', '{"silent": true}') IS NULL AS silent;
SELECT event_engine.query_responder('price.asked', '{"fail": true}', metadata => '{"correlationId": "failed"}');
RESET ROLE;
SELECT pattern, payload, created_by, partition_key, event_id ~ '^reply:' AS named
FROM event_engine.list_events(correlation_id => 'sync', after_seq => 0);
SELECT count(*) FROM event_engine.list_events(correlation_id => 'failed');
-- its own search path, and nobody else's responder is replaced
SET ROLE query_other;
SELECT event_engine.register_query_responder('price.asked', 'price_of_envelope(jsonb)');
RESET ROLE;
SET search_path = pg_catalog;
SELECT event_engine.query_responder('price.asked', '7');
RESET search_path;
SELECT pattern, function, owner FROM event_engine.event_responders;
CREATE ROLE query_third;
CALL event_engine.grant_duty('subscriber', 'query_third');
SET ROLE query_third;
SELECT event_engine.register_query_responder('price.asked', 'price_of_envelope');
SELECT event_engine.remove_query_responder('price.asked');
SET ROLE query_other;
SELECT event_engine.remove_query_responder('price.asked');
SELECT event_engine.remove_query_responder('price.asked');
SELECT event_engine.unsubscribe('others');
RESET ROLE;

DROP FUNCTION price_now, price_of_envelope, price_void, price_many;
REVOKE CREATE ON SCHEMA public FROM query_other;
CALL event_engine.revoke_duty('publisher', 'query_asker');
CALL event_engine.revoke_duty('publisher', 'query_other');
CALL event_engine.revoke_duty('subscriber', 'query_other');
CALL event_engine.revoke_duty('subscriber', 'query_third');
DROP ROLE query_asker, query_other, query_third;
DELETE FROM event_engine.event_keys;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(price|stock)\.';
