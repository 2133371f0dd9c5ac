/* ------------------------------------------------------------------------
 * Operations: what is wrong, who causes it, and the cure.
 * ------------------------------------------------------------------------ */

/*
 * finding
 *
 *	severity	critical (nothing works, or soon so), warning (a person is needed),
 *				notice (worth knowing)
 *	code		stable, for programs; docs/doctor.md has each
 *	what		a sentence
 *	who			the process, transaction, slot, subscription, table or setting
 *	since		where that is known
 *	cure		what to do, with statements that can be run
 */
CREATE TYPE event_engine.finding AS (
	severity text,
	code text,
	what text,
	who text,
	since timestamptz,
	cure text
);
COMMENT ON TYPE event_engine.finding IS
	'What doctor() has found: how bad, what, who causes it, since when, the cure.';

CREATE FUNCTION event_engine.library_version() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_library_version';
COMMENT ON FUNCTION event_engine.library_version() IS
	'Version of the library that this session has loaded.';

/* Processes, versions, settings. */
CREATE FUNCTION event_engine.doctor_server()
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
WITH workers AS (
	SELECT count(*) FILTER (WHERE w.kind = 'launcher') AS launchers,
		count(*) FILTER (WHERE w.kind = 'router') AS routers,
		count(*) FILTER (WHERE w.kind = 'router' AND w.state <> 'starting'
			AND w.database = current_database()) AS mine,
		count(*) FILTER (WHERE w.kind = 'executor') AS executors
	FROM event_engine.stat_workers AS w
), wanted AS (
	SELECT COALESCE(sum(o.executors), 0) AS executors
	FROM (SELECT max(COALESCE((s.options ->> 'concurrency')::integer, 1))
			AS executors
		FROM event_engine.subscriptions AS s
		WHERE s.status = 'active' AND s.kind <> 'pull'
		GROUP BY s.owner) AS o
), waiting AS (
	SELECT string_agg(DISTINCT s.owner::text, ', ') AS roles
	FROM event_engine.subscriptions AS s
	WHERE s.status = 'active' AND s.kind <> 'pull'
		AND s.owner NOT IN (SELECT w.roleid FROM event_engine.event_workers AS w)
), settings AS (
	SELECT current_setting('shared_preload_libraries') ~ '\yevent_engine\y'
			AS preloaded,
		current_setting('max_worker_processes')::integer AS processes,
		-- as the launcher has it
		GREATEST(p.places - GREATEST(p.places / 3, 1), 1) AS routers,
		current_setting('event_engine.worker_slots', true)::integer AS slots,
		current_setting('event_engine.worker_executors_per_role', true)::integer
			AS per_role,
		current_setting('event_engine.operations_retention')::interval AS kept,
		current_setting('event_engine.operations_retention_limit')::interval
			AS kept_at_most,
		current_setting('event_engine.store_max_queue_depth')::integer AS depth,
		current_setting('event_engine.store_high_watermark')::integer AS mark,
		current_setting('event_engine.store_backpressure') AS backpressure,
		current_setting('event_engine.store_partition_period') AS period
	FROM (SELECT current_setting('max_worker_processes')::integer - 2 AS places)
		AS p
)
SELECT CASE WHEN waiting.roles IS NOT NULL THEN 'critical' ELSE 'notice' END,
	'not_preloaded',
	CASE WHEN waiting.roles IS NOT NULL
		THEN format('The library is not preloaded, and no worker was started for %s: nothing is pushed.', waiting.roles)
		ELSE 'The library is not preloaded: no commit wakes anybody, and a restart of the server ends all workers.' END,
	'shared_preload_libraries = ' || quote_literal(current_setting('shared_preload_libraries')),
	pg_postmaster_start_time(),
	'Add event_engine to shared_preload_libraries and restart; or call event_engine.start_event_worker() for each role, or event_engine.process_batch() and event_engine.run_maintenance() from pg_cron.'
FROM settings, waiting WHERE NOT settings.preloaded
UNION ALL
SELECT 'critical', 'no_launcher', 'The launcher is not running.',
	'max_worker_processes = ' || settings.processes, NULL,
	'The server starts it again within seconds; if not, look into its log, and increase max_worker_processes.'
FROM settings, workers WHERE settings.preloaded AND workers.launchers = 0
UNION ALL
SELECT 'critical', 'no_router',
	'The router of this database is not running: no executor is started, and nobody does the upkeep.',
	'database ' || quote_ident(current_database()), NULL,
	CASE WHEN workers.routers >= 128
		THEN 'As many databases as can have one do: let pg_cron call event_engine.process_batch() and event_engine.run_maintenance() here.'
		WHEN workers.routers >= settings.routers
		THEN format('%s other databases have one, and there is room for no more: ALTER SYSTEM SET max_worker_processes = %s; then restart. Or let pg_cron call event_engine.process_batch() and event_engine.run_maintenance() here.',
			workers.routers, settings.processes * 2)
		ELSE 'Look into the server''s log; increase max_worker_processes if it says that there is no slot.' END
FROM settings, workers
WHERE settings.preloaded AND workers.launchers > 0 AND workers.mine = 0
UNION ALL
SELECT 'warning', 'few_worker_processes',
	format('The server has room for %s background workers; event_engine needs %s: a launcher, %s router(s) and, for the subscriptions of this database, %s executor(s).',
		settings.processes, 1 + workers.routers + wanted.executors,
		workers.routers, wanted.executors),
	'max_worker_processes = ' || settings.processes, NULL,
	format('ALTER SYSTEM SET max_worker_processes = %s; then restart. Parallel queries and logical replication take their workers from there too.',
		settings.processes + wanted.executors + 8)
FROM settings, workers, wanted
WHERE settings.preloaded
	AND 1 + workers.routers + wanted.executors > settings.processes
UNION ALL
SELECT 'warning', 'worker_slots_taken',
	format('All %s slots for executors are taken: other roles wait for one to end.',
		settings.slots),
	'event_engine.worker_slots = ' || settings.slots, NULL,
	format('ALTER SYSTEM SET event_engine.worker_slots = %s; then restart.',
		settings.slots * 2)
FROM settings, workers WHERE workers.executors >= settings.slots
UNION ALL
SELECT 'critical', 'version_mismatch',
	format('The library is version %s, the extension in this database %s: its workers stand still.',
		event_engine.library_version(), e.extversion),
	'extension event_engine', NULL,
	'ALTER EXTENSION event_engine UPDATE; or restart the server if the library was upgraded; then reconnect.'
FROM pg_extension AS e
WHERE e.extname = 'event_engine'
	AND e.extversion <> event_engine.library_version()
UNION ALL
SELECT 'critical', 'delivery_disabled', 'Delivery is turned off.',
	'event_engine.delivery_enabled = off', NULL,
	'ALTER SYSTEM RESET event_engine.delivery_enabled; SELECT pg_reload_conf();'
WHERE NOT current_setting('event_engine.delivery_enabled')::boolean
UNION ALL
SELECT 'warning', 'validation_disabled',
	'Payloads are not validated in this session, nor in others with the same settings.',
	'event_engine.validation_enabled = off', NULL,
	'Find who sets it: SELECT * FROM pg_db_role_setting; or ALTER SYSTEM RESET event_engine.validation_enabled; SELECT pg_reload_conf();'
WHERE NOT current_setting('event_engine.validation_enabled')::boolean
UNION ALL
SELECT 'warning', 'fsync_off',
	'A crash of the machine may lose or damage everything.', 'fsync = off',
	NULL, 'ALTER SYSTEM RESET fsync; SELECT pg_reload_conf();'
WHERE NOT current_setting('fsync')::boolean
UNION ALL
SELECT 'warning', 'settings_contradict', c.what, c.who, NULL, c.cure
FROM settings, LATERAL (VALUES
	(settings.kept_at_most > '0' AND settings.kept_at_most < GREATEST(settings.kept,
			(SELECT max(r.keep_for) FROM event_engine.event_retention AS r)),
		'Expired events wait for nobody: the limit is over before they expire.',
		'event_engine.operations_retention_limit = ' || settings.kept_at_most,
		'Set it to more than the longest time that events are kept, or to 0.'),
	(settings.depth > 0 AND settings.mark > settings.depth,
		'The queue is full before it is long.',
		'event_engine.store_high_watermark = ' || settings.mark,
		'Set it below event_engine.store_max_queue_depth, or to 0 for 80 % of that.'),
	(settings.backpressure <> 'off' AND settings.depth = 0 AND settings.mark = 0,
		'Publishers heed a queue that has no limit.',
		'event_engine.store_backpressure = ' || settings.backpressure,
		'Set event_engine.store_max_queue_depth as well.'),
	(settings.per_role > settings.slots,
		'A role may have more executors than there are slots.',
		'event_engine.worker_executors_per_role = ' || settings.per_role,
		'Increase event_engine.worker_slots.'),
	(settings.kept > 1000 * ('1 ' || settings.period)::interval,
		'More than a thousand partitions are kept: planning a query over all of them takes long.',
		'event_engine.store_partition_period = ' || settings.period,
		'Choose a longer period; it holds for partitions made from now on.')
	) AS c (wrong, what, who, cure)
WHERE c.wrong
$$;
COMMENT ON FUNCTION event_engine.doctor_server() IS
	'Does the work of doctor(): processes, versions and settings.';

/* Who keeps others from cleaning up. */
CREATE FUNCTION event_engine.doctor_holders(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT 'warning', CASE WHEN a.state LIKE 'idle in transaction%'
		THEN 'idle_in_transaction' ELSE 'long_transaction' END,
	format('A transaction has been open for %s%s.',
		date_trunc('second', clock_timestamp() - a.xact_start),
		CASE WHEN EXISTS (SELECT FROM pg_locks AS l
			JOIN pg_inherits AS i ON i.inhrelid = l.relation
			WHERE l.pid = a.pid AND i.inhparent = 'event_engine.events'::regclass)
			THEN ' and uses the log: the partitions that it uses can neither be sealed nor expire'
			ELSE ': vacuum keeps all rows that it might see' END),
	format('process %s, role %I%s%s', a.pid, a.usename,
		', ' || NULLIF(a.application_name, ''), ', from ' || a.client_addr),
	a.xact_start,
	format('SELECT pg_terminate_backend(%s);%s', a.pid,
		CASE WHEN a.state LIKE 'idle in transaction%'
			THEN ' and set idle_in_transaction_session_timeout.' END)
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
	AND a.pid <> pg_backend_pid()
	AND a.xact_start < clock_timestamp() - patience
	AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL
		OR a.state LIKE 'idle in transaction%')
UNION ALL
SELECT CASE WHEN u.uses THEN 'critical' ELSE 'warning' END,
	'prepared_transaction',
	format('A transaction has been prepared for %s and neither committed nor rolled back%s.',
		date_trunc('second', clock_timestamp() - p.prepared),
		CASE WHEN u.uses THEN '; what it has published is not delivered, and its partition never expires'
			ELSE ': vacuum keeps all rows that are younger' END),
	format('prepared transaction %L, role %I', p.gid, p.owner), p.prepared,
	format('COMMIT PREPARED %L; or ROLLBACK PREPARED %1$L; as its transaction manager says.', p.gid)
FROM pg_prepared_xacts AS p
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_locks AS l
	JOIN pg_locks AS t ON t.virtualtransaction = l.virtualtransaction
		AND t.pid IS NULL
	WHERE l.pid IS NULL AND t.transactionid = p.transaction
		AND l.relation = 'event_engine.events'::regclass) AS uses) AS u
WHERE p.database = current_database()
	AND p.prepared < clock_timestamp() - patience
UNION ALL
SELECT CASE WHEN s.wal_status IN ('unreserved', 'lost') THEN 'critical'
		ELSE 'warning' END, 'replication_slot',
	format('Nobody reads from a %s replication slot, which keeps %s of WAL%s.',
		s.slot_type, pg_size_pretty(pg_wal_lsn_diff(CASE
			WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
			ELSE pg_current_wal_lsn() END, s.restart_lsn)),
		CASE WHEN COALESCE(s.xmin, s.catalog_xmin) IS NOT NULL
			THEN ' and old row versions' END),
	format('slot %I', s.slot_name), NULL,
	format('Start its reader, or SELECT pg_drop_replication_slot(%L); and set max_slot_wal_keep_size.', s.slot_name)
FROM pg_replication_slots AS s
WHERE NOT s.active AND NOT s.temporary
	AND (s.restart_lsn IS NOT NULL OR s.xmin IS NOT NULL
		OR s.catalog_xmin IS NOT NULL OR s.wal_status = 'lost')
UNION ALL
SELECT 'warning', 'standby_snapshot',
	format('A query on a standby keeps a snapshot that is %s transactions old: vacuum keeps all rows that it might see.', x.age),
	x.who, x.since,
	'End that query on the standby, or set hot_standby_feedback = off there: then its queries may be cancelled instead.'
FROM (SELECT h.who, age(h.xmin) AS age,
		-- the first position that was written down when it was over
		(SELECT min(m.created_at) FROM event_engine.event_milestones AS m
			WHERE pg_snapshot_xmin(m.snapshot)::text::numeric
				> pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(h.xmin))
			AS since
	FROM (SELECT r.backend_xmin AS xmin, format('standby %I%s%s',
			r.application_name, ', from ' || r.client_addr,
			', slot ' || quote_ident(s.slot_name)) AS who
		FROM pg_stat_replication AS r
		LEFT JOIN pg_replication_slots AS s ON s.active_pid = r.pid
		WHERE r.backend_xmin IS NOT NULL
		UNION ALL
		SELECT s.xmin, format('standby %I%s, slot %I', r.application_name,
			', from ' || r.client_addr, s.slot_name)
		FROM pg_replication_slots AS s
		LEFT JOIN pg_stat_replication AS r ON r.pid = s.active_pid
		WHERE s.active AND s.xmin IS NOT NULL AND r.backend_xmin IS NULL) AS h) AS x
WHERE x.since < clock_timestamp() - patience OR x.age > 10000000
UNION ALL
SELECT CASE WHEN x.age > 1500000000 THEN 'critical' ELSE 'warning' END,
	'xid_age',
	format('A table has not been frozen for %s transactions; the server stops all writing before 2,147 million.', x.age),
	format('table %s', x.relation), NULL,
	format('End what keeps old rows (see the other findings), then VACUUM (FREEZE) %s;', x.relation)
FROM (SELECT c.oid::regclass AS relation, age(c.relfrozenxid) AS age
	FROM pg_class AS c
	WHERE c.relnamespace = 'event_engine'::regnamespace
		AND c.relkind IN ('r', 't', 'm')
		AND age(c.relfrozenxid) > 1.2 * current_setting('autovacuum_freeze_max_age')::bigint
	ORDER BY age(c.relfrozenxid) DESC LIMIT 1) AS x
$$;
COMMENT ON FUNCTION event_engine.doctor_holders(interval) IS
	'Does the work of doctor(): transactions, slots and tables that hold things up.';

/* Subscriptions. */
CREATE FUNCTION event_engine.doctor_deliveries(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT f.severity, f.code, f.what, format('subscription %L, role %I%s',
	s.subscriber, s.owner::regrole::text, ', ' || s.handler), f.since, f.cure
FROM (
	SELECT s.number, 'critical' AS severity, 'subscription_broken' AS code,
		format('It cannot be delivered: %s.', s.status_reason) AS what,
		s.updated_at AS since,
		format('Mend it (event_engine.update_subscription(%L, handler => ...)), then SELECT event_engine.resume_subscription(%1$L);', s.subscriber) AS cure
	FROM event_engine.subscriptions AS s
	WHERE s.status = 'broken'
	UNION ALL
	SELECT s.number, 'notice', 'subscription_paused',
		format('It is paused%s.', ': ' || s.status_reason), s.updated_at,
		format('SELECT event_engine.resume_subscription(%L);', s.subscriber)
	FROM event_engine.subscriptions AS s
	WHERE s.status = 'paused'
	UNION ALL
	SELECT s.number, 'warning', 'breaker_open',
		format('Its circuit breaker is %s: the handler fails%s.',
			replace(c.breaker, '_', ' '), (SELECT ', ' || quote_literal(d.last_error)
				FROM event_engine.deliveries AS d
				WHERE d.subscription_number = s.number AND d.last_error IS NOT NULL
				ORDER BY d.updated_at DESC LIMIT 1)),
		c.breaker_since,
		format('Mend what the handler needs; it is tried again by itself, or at once with SELECT event_engine.resume_subscription(%L);', s.subscriber)
	FROM event_engine.subscriptions AS s
	CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS c
	WHERE s.status = 'active' AND c.breaker <> 'closed'
	UNION ALL
	SELECT s.number, 'warning', 'keys_halted',
		format('%s key(s) are held up by an event that was given up; %s event(s) wait behind.',
			count(*), sum(k.parked)), min(k.since),
		format('SELECT event_engine.redrive_dead_letters(subscriber => %L); or event_engine.discard_dead_letters(subscriber => %1$L);', s.subscriber)
	FROM event_engine.held_up_keys AS k
	JOIN event_engine.subscriptions AS s ON s.subscriber = k.subscriber
	WHERE k.status = 'halted'
	GROUP BY s.number, s.subscriber
	UNION ALL
	SELECT s.number, 'warning', 'subscription_behind',
		format('Its oldest event has waited for %s.',
			date_trunc('second', clock_timestamp() - w.oldest_at)),
		w.oldest_at,
		CASE s.kind WHEN 'pull' THEN 'See that its clients run.'
			ELSE 'See what its handler does (stat_workers, pg_stat_activity); give it event_engine.event[] or a greater concurrency.' END
	FROM event_engine.waiting_since(clock_timestamp() - patience) AS w
	JOIN event_engine.subscriptions AS s ON s.number = w.subscription_number
	) AS f
JOIN event_engine.subscriptions AS s ON s.number = f.number
UNION ALL
SELECT CASE WHEN d.recent > 0 THEN 'warning' ELSE 'notice' END, 'dead_letters',
	format('%s dead letter(s) wait for a decision, %s of them of the last hour; the latest says %L.',
		d.letters, d.recent, d.latest),
	format('subscription %L', d.subscriber), d.since,
	format('Look at event_engine.event_dead_letters; then SELECT event_engine.redrive_dead_letters(subscriber => %L); or event_engine.discard_dead_letters(subscriber => %1$L);', d.subscriber)
FROM (SELECT x.subscriber, count(*) AS letters,
		count(*) FILTER (WHERE x.created_at > clock_timestamp() - '1 hour'::interval)
			AS recent,
		min(x.created_at) AS since,
		(array_agg(x.error_message ORDER BY x.created_at DESC))[1] AS latest
	FROM event_engine.event_dead_letters AS x
	WHERE x.status = 'dead' GROUP BY x.subscriber) AS d
UNION ALL
SELECT 'warning', 'executor_busy',
	format('An executor has been at work without a pause for %s%s.',
		date_trunc('second', w.busy_for), ': ' || NULLIF(left(a.query, 100), '')),
	format('process %s, role %I', w.pid, w.role),
	clock_timestamp() - w.busy_for,
	format('A handler that hangs is ended by the option timeout_ms of its subscription, or SELECT pg_cancel_backend(%s); a backlog just takes its time.', w.pid)
FROM event_engine.stat_workers AS w
LEFT JOIN pg_stat_activity AS a ON a.pid = w.pid
WHERE w.database = current_database() AND w.busy_for > patience
UNION ALL
SELECT CASE q.pressure WHEN 'full' THEN 'critical' ELSE 'warning' END,
	'queue_' || CASE q.pressure WHEN 'full' THEN 'full' ELSE 'long' END,
	format('%s events or more wait for the slowest subscription%s.', q.depth,
		CASE current_setting('event_engine.store_backpressure')
			WHEN 'off' THEN '' ELSE ', and publishers are held back' END),
	NULL, NULL, 'SELECT * FROM event_engine.stat_backlog ORDER BY age DESC; says whose. Speed it up, or leave it out with its option backpressure.'
FROM event_engine.queue_pressure() AS q WHERE q.pressure <> 'none'
$$;
COMMENT ON FUNCTION event_engine.doctor_deliveries(interval) IS
	'Does the work of doctor(): subscriptions, executors and dead letters.';

/* The log. */
CREATE FUNCTION event_engine.doctor_log(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT 'critical', 'no_partition',
	'The log has no partition for the present: events go to the default partition.',
	'table event_engine.events',
	(SELECT max(p.upper) FROM event_engine.event_partitions AS p
		WHERE p.upper <= clock_timestamp()),
	'SELECT event_engine.run_maintenance(); and see why the router does not.'
WHERE (SELECT q.is_called FROM event_engine.event_seq AS q)
	AND NOT EXISTS (SELECT FROM event_engine.event_partitions AS p
		JOIN pg_inherits AS i ON i.inhrelid = p.relid
		WHERE p.lower <= clock_timestamp() AND p.upper > clock_timestamp())
UNION ALL
SELECT 'warning', 'no_partition_ahead',
	'The log has no partition for the next period.',
	'table event_engine.events', NULL,
	'SELECT event_engine.run_maintenance(); and see why the router does not.'
FROM event_engine.event_partitions AS p
JOIN pg_inherits AS i ON i.inhrelid = p.relid
WHERE p.lower <= clock_timestamp() AND p.upper > clock_timestamp()
	AND NOT EXISTS (SELECT FROM event_engine.event_partitions AS n
		JOIN pg_inherits AS j ON j.inhrelid = n.relid
		WHERE n.lower = p.upper)
UNION ALL
SELECT 'notice', 'default_partition',
	format('%s event(s) found no partition of their time; they are delivered as all others.', d.events),
	'table event_engine.events_default', d.since,
	'Nothing has to be done: they leave one by one when they expire. Many of them tell that nobody did the upkeep in time.'
FROM (SELECT count(*) AS events, min(e.created_at) AS since
	FROM (SELECT t.created_at FROM event_engine.events_default AS t
		LIMIT 100000) AS e) AS d
WHERE d.events > 0
UNION ALL
SELECT 'warning', 'partition_unsealed',
	'A partition whose time is over cannot be sealed: somebody may yet commit into it.',
	format('table %s%s', p.relid, ', ' || string_agg(DISTINCT COALESCE(
		'process ' || l.pid, 'prepared transaction ' || quote_literal(t.gid)), ', ')),
	p.upper, 'End the transactions named, see their own findings.'
FROM event_engine.event_partitions AS p
JOIN pg_inherits AS i ON i.inhrelid = p.relid
LEFT JOIN pg_locks AS l ON l.relation = p.relid AND l.granted
	AND l.mode = 'RowExclusiveLock'
	AND l.database = (SELECT d.oid FROM pg_database AS d
		WHERE d.datname = current_database())
LEFT JOIN pg_locks AS x ON l.pid IS NULL AND x.pid IS NULL
	AND x.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_prepared_xacts AS t ON t.transaction = x.transactionid
WHERE p.sealed_at IS NULL
	AND p.upper < clock_timestamp() - GREATEST(patience, '2 minutes')
GROUP BY p.relid, p.upper
UNION ALL
SELECT 'warning', 'retention_held',
	format('Expired events of %s partition(s) stay, since somebody has yet to read them.', count(*)),
	r.needed_by, min(r.expires_at),
	'Let it read them; or unsubscribe; or SELECT event_engine.expire_partition(partition, force => true) FROM event_engine.stat_retention WHERE state = ''held'';'
FROM event_engine.stat_retention AS r
WHERE r.state = 'held' AND r.expires_at < clock_timestamp() - patience
GROUP BY r.needed_by
UNION ALL
SELECT 'warning', 'retention_' || m.outcome,
	format('Expired events of partition %I could not go: %s.', m.object, m.detail),
	'table event_engine.' || quote_ident(m.object), min(m.at),
	CASE m.outcome WHEN 'locked' THEN 'Wait for it to end, or end it.'
		ELSE 'Mend that; upkeep tries again each minute.' END
FROM event_engine.event_maintenance AS m
JOIN event_engine.event_partitions AS p
	ON p.relid = to_regclass('event_engine.' || quote_ident(m.object))
WHERE m.outcome IN ('locked', 'failed') AND p.emptied_at IS NULL
	AND p.expires_at <= clock_timestamp()
	AND m.at > clock_timestamp() - '65 minutes'::interval
GROUP BY m.object, m.outcome, m.detail
UNION ALL
SELECT 'warning', 'autovacuum_off',
	'Tables of event_engine are not vacuumed by themselves.', o.who, NULL, o.cure
FROM (SELECT 'autovacuum = off' AS who,
		'ALTER SYSTEM RESET autovacuum; SELECT pg_reload_conf();' AS cure
	WHERE NOT current_setting('autovacuum')::boolean
	UNION ALL
	SELECT 'track_counts = off',
		'ALTER SYSTEM RESET track_counts; SELECT pg_reload_conf();'
	WHERE NOT current_setting('track_counts')::boolean
	UNION ALL
	SELECT format('table %s', c.oid::regclass),
		format('ALTER TABLE %s RESET (autovacuum_enabled);', c.oid::regclass)
	FROM pg_class AS c
	WHERE c.relnamespace = 'event_engine'::regnamespace AND c.relkind IN ('r', 'm')
		AND EXISTS (SELECT FROM unnest(c.reloptions) AS r
			WHERE r ~* '^autovacuum_enabled=(off|false|no|0)$')) AS o
UNION ALL
SELECT 'critical', 'index_invalid',
	'An index is not valid: reading the log raises an error, or is slow.',
	format('index %s', x.indexrelid::regclass), NULL,
	format('REINDEX INDEX CONCURRENTLY %s;', x.indexrelid::regclass)
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE c.relnamespace = 'event_engine'::regnamespace
	AND NOT (x.indisvalid AND x.indisready)
UNION ALL
SELECT 'warning', 'clock_back',
	format('The clock of the server went back: it has noted a time that is %s ahead.',
		date_trunc('second', m.latest - clock_timestamp())),
	'system clock', NULL,
	'Set the clock, and let it be kept by NTP. Events get the time of their partition''s boundary meanwhile, and what is due waits for the time noted.'
FROM (SELECT GREATEST(
		(SELECT max(m.created_at) FROM event_engine.event_milestones AS m),
		(SELECT max(p.sealed_at) FROM event_engine.event_partitions AS p)) AS latest)
	AS m
WHERE m.latest > clock_timestamp() + '1 minute'::interval
UNION ALL
SELECT 'warning', 'clock_jumped',
	format('The clock of the server was set: %s.', m.detail), 'system clock',
	m.at,
	'Let it be kept by NTP, which does not jump. What was published meanwhile has the time of then, and what was due by that clock has come to pass.'
FROM event_engine.event_maintenance AS m
WHERE m.task = 'clock' AND m.at > clock_timestamp() - '1 hour'::interval
UNION ALL
SELECT 'notice', 'partitions_far_ahead',
	format('%s partition(s) are for a time that is far ahead, up to %s: the clock was wrong when they were made.',
		count(*), max(p.upper)),
	'table ' || (array_agg(p.relid ORDER BY p.upper DESC))[1]::text, NULL,
	'Nothing has to be done: they are used when their time comes. Empty ones may be dropped: DROP TABLE.'
FROM event_engine.event_partitions AS p
WHERE p.lower > clock_timestamp()
	+ (current_setting('event_engine.store_partitions_ahead')::integer + 2)
	* '31 days'::interval
HAVING count(*) > 0
$$;
COMMENT ON FUNCTION event_engine.doctor_log(interval) IS
	'Does the work of doctor(): partitions, retention and vacuum.';

/* Grants that nobody has, and filters that nothing passes. */
CREATE FUNCTION event_engine.doctor_rights()
	RETURNS SETOF event_engine.finding
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT 'notice', 'grants_of_dropped_role',
	format('%s grant(s) belong to a role that does not exist any more.', count(*)),
	'role ' || g.grantee::oid, min(g.granted_at),
	'SELECT event_engine.run_maintenance(); takes them out, and so does the next upkeep.'
FROM event_engine.event_grants AS g
WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = g.grantee)
GROUP BY g.grantee
UNION ALL
SELECT 'warning', 'grants_without_duty',
	format('It has been granted to %s %s, but lacks the privileges on functions and tables that go with it: DROP OWNED or a REVOKE by hand took them.',
		g.privilege, string_agg(DISTINCT quote_literal(g.pattern), ', ')),
	'role ' || g.grantee, min(g.granted_at),
	format('CALL event_engine.revoke_duty(%L, %L); or grant it once more.',
		d.duty, g.grantee)
FROM event_engine.event_grants AS g
JOIN (VALUES ('publish', 'publisher', 'publish_events', 'events', 'INSERT'),
		('subscribe', 'subscriber', 'unsubscribe', 'events', 'SELECT'),
		('read', 'reader', 'get_event', 'readable_events', 'SELECT'),
		('unseal', 'unsealer', 'unseal', 'events', 'SELECT'))
	AS d (privilege, duty, function, relation, of_relation)
	ON d.privilege = g.privilege
WHERE EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = g.grantee)
	AND NOT has_table_privilege(g.grantee,
		'event_engine.' || d.relation, d.of_relation)
	AND NOT EXISTS (SELECT FROM pg_proc AS p
		WHERE p.pronamespace = 'event_engine'::regnamespace
			AND p.proname = d.function
			AND has_function_privilege(g.grantee, p.oid, 'EXECUTE'))
GROUP BY g.grantee, g.privilege, d.duty
UNION ALL
SELECT CASE WHEN f.every THEN 'warning' ELSE 'notice' END, 'filter_sensitive',
	format('Its %s looks at %s, which is sensitive and stored encrypted: it does not mean what it says there.',
		f.what, f.found), f.who, NULL, f.cure
FROM (
	-- marks, or what may lead to some
	SELECT array_agg(d.pattern::text) AS patterns
	FROM event_engine.event_definitions AS d
	WHERE (d.options ? 'sensitive'
			OR d.payload_schema::text ~ '"(x-sensitive|\$ref)"')
		AND EXISTS (SELECT FROM event_engine.sensitive_fields(d.pattern::text))
) AS s, LATERAL (
	SELECT 'filter' AS what, i.every, i.found,
		'subscription ' || quote_literal(u.subscriber) AS who,
		format('SELECT event_engine.update_subscription(%L, filter => ...); by what may be known.', u.subscriber) AS cure
	FROM event_engine.subscriptions AS u, LATERAL
		event_engine.sensitive_looks(u.match, u.filter_path, u.filters) AS i
	WHERE u.kind <> 'workflow'
		AND (u.filter_path IS NOT NULL OR u.filters IS NOT NULL
			OR u.match @? '$[*].filters')
		AND EXISTS (SELECT FROM jsonb_array_elements(u.match) AS m (entry)
			WHERE m.entry ->> 'type' <> 'exact'
				OR m.entry ->> 'value' = ANY (s.patterns))
	UNION ALL
	SELECT c.what, i.every, i.found, 'trigger ' || t.id,
		format('SELECT event_engine.update_workflow_trigger(%L, %s => ...); by what may be known.', t.id, c.what)
	FROM event_engine.workflow_event_triggers AS t,
		(VALUES ('event_condition'), ('correlation_key')) AS c (what), LATERAL
		event_engine.sensitive_looks(
			event_engine.subscription_match(ARRAY[t.event_pattern::text], NULL),
			CASE c.what WHEN 'event_condition' THEN t.event_condition
				ELSE t.correlation_key || ' == null' END, NULL) AS i
	WHERE t.enabled) AS f
WHERE s.patterns IS NOT NULL AND f.found IS NOT NULL
$$;
COMMENT ON FUNCTION event_engine.doctor_rights() IS
	'Does the work of doctor(): grants that nobody has, and conditions on sensitive data.';

/*
 * doctor: what is wrong now, the worst first; no row where nothing is.
 *
 *	patience	what has lasted for less is not told
 */
CREATE FUNCTION event_engine.doctor(patience interval DEFAULT '5 minutes')
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp SET jit = off AS $$
SELECT f.* FROM (
	SELECT s.* FROM event_engine.doctor_server() AS s
	UNION ALL
	SELECT h.* FROM event_engine.doctor_holders(patience) AS h
	UNION ALL
	SELECT d.* FROM event_engine.doctor_deliveries(patience) AS d
	UNION ALL
	SELECT l.* FROM event_engine.doctor_log(patience) AS l
	UNION ALL
	SELECT r.* FROM event_engine.doctor_rights() AS r) AS f
ORDER BY array_position('{critical,warning,notice}', f.severity), f.code,
	f.who
$$;
COMMENT ON FUNCTION event_engine.doctor(interval) IS
	'What is wrong, who causes it (process, transaction, slot, subscription), and the cure.';
