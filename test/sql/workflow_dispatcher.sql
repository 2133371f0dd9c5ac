-- The dispatcher of a role's workflows is a subscription of a kind of its own.
SET client_min_messages = warning;
CREATE ROLE dispatcher_owner LOGIN;
CREATE ROLE dispatcher_nobody NOLOGIN;

-- made once, and matching nothing
SELECT event_engine.ensure_dispatcher('dispatcher_owner'::regrole)
	= event_engine.ensure_dispatcher('dispatcher_owner'::regrole) AS once;
SELECT subscriber, owner, kind, patterns, match, status
	FROM event_engine.subscriptions WHERE kind = 'workflow';

-- patterns are added, each once
SELECT event_engine.cover_patterns(s.number, p.patterns)
	FROM event_engine.subscriptions AS s,
		(VALUES (1, '{dispatcher.a}'::text[]), (2, '{dispatcher.b,dispatcher.*}'),
			(3, '{dispatcher.a,dispatcher.b}')) AS p (n, patterns)
	WHERE s.kind = 'workflow' ORDER BY p.n;
SELECT patterns, match FROM event_engine.subscriptions WHERE kind = 'workflow';

-- more than a matcher holds: all
BEGIN;
SELECT event_engine.cover_patterns(s.number,
		(SELECT array_agg('dispatcher.many.' || g) FROM generate_series(1, 5001) AS g))
	FROM event_engine.subscriptions AS s WHERE s.kind = 'workflow';
SELECT event_engine.cover_patterns(s.number, '{dispatcher.more}')
	FROM event_engine.subscriptions AS s WHERE s.kind = 'workflow';
SELECT patterns, match FROM event_engine.subscriptions WHERE kind = 'workflow';
ROLLBACK;

-- nobody subscribes so, and what follows from the workflows is not changed
SELECT event_engine.subscribe('dispatcher', '{dispatcher.*}', kind => 'workflow');
SELECT event_engine.update_subscription('workflow:dispatcher_owner', '{#}');
SELECT event_engine.update_subscription('workflow:dispatcher_owner', filter => '$.payload.a == 1');
SELECT event_engine.update_subscription('workflow:dispatcher_owner', channel => 'bell');
SELECT event_engine.update_subscription('workflow:dispatcher_owner', options => '{"ordered": true}');
SELECT event_engine.update_subscription('workflow:dispatcher_owner', options => '{"breaker_threshold": 3}');
SELECT event_engine.replay_events('workflow:dispatcher_owner');
SELECT event_engine.seek_subscription('workflow:dispatcher_owner', 'now');

-- what it may be told
SELECT event_engine.update_subscription('workflow:dispatcher_owner',
	options => '{"concurrency": 2, "batch_size": 100}');
SELECT options ->> 'concurrency' AS concurrency, options ->> 'batch_size' AS batch_size
	FROM event_engine.subscriptions WHERE kind = 'workflow';
SELECT event_engine.pause_subscription('workflow:dispatcher_owner', 'for a while');
SELECT status, status_reason FROM event_engine.stat_subscriptions
	WHERE kind = 'workflow';
SELECT event_engine.resume_subscription('workflow:dispatcher_owner');
SELECT status FROM event_engine.stat_subscriptions WHERE kind = 'workflow';

-- it goes where no workflow needs it
SELECT event_engine.unsubscribe('workflow:dispatcher_owner');
SELECT count(*) FROM event_engine.subscriptions WHERE kind = 'workflow';

-- names and roles that stand in the way
SELECT event_engine.subscribe('workflow:dispatcher_owner', '{#}') IS NOT NULL AS subscribed;
SELECT event_engine.ensure_dispatcher('dispatcher_owner'::regrole);
SELECT event_engine.unsubscribe('workflow:dispatcher_owner');
DROP ROLE dispatcher_owner, dispatcher_nobody;
