/* ------------------------------------------------------------------------
 * Operations: what administrators do and what befalls the engine, as events.
 *
 * Triggers tell of it, on the tables that hold what is configured: so no way
 * to change it is forgotten.  They do nothing until enable_audit() has made
 * the definitions of the events.  See src/store/engine_event.c.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.audits(pattern text) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_audits';
COMMENT ON FUNCTION event_engine.audits(text) IS
	'Internal: are events of this pattern about the engine itself to be published?';

CREATE FUNCTION event_engine.acting_role() RETURNS regrole
	LANGUAGE c STABLE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_acting_role';
COMMENT ON FUNCTION event_engine.acting_role() IS
	'Internal: in whose name a function with more rights acts.';

CREATE FUNCTION event_engine.publish_engine_event(pattern text, payload jsonb,
		partition_key text, metadata jsonb)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_publish_engine_event';
COMMENT ON FUNCTION event_engine.publish_engine_event(text, jsonb, text, jsonb) IS
	'Internal: publishes an event about the engine, if it is wanted.';

/*
 * audit: something was done by somebody.
 *
 *	what	system.config.changed, ...
 *	object	its name, the key of the event's order
 */
CREATE FUNCTION event_engine.audit(what text, object text, payload jsonb)
	RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT event_engine.publish_engine_event(what,
	payload || jsonb_build_object('by', jsonb_strip_nulls(jsonb_build_object(
		'sessionUser', session_user, 'role', event_engine.acting_role()::text,
		'application', NULLIF(current_setting('application_name'), ''),
		'client', host(inet_client_addr()), 'pid', pg_backend_pid()))),
	left(object, 255),
	jsonb_build_object('userId', event_engine.acting_role()::text))
WHERE event_engine.audits(what)
$$;
COMMENT ON FUNCTION event_engine.audit(text, text, jsonb) IS
	'Internal: publishes what an administrator has done, and who that was.';

/* audit_action: the same of something that changes no configured row. */
CREATE FUNCTION event_engine.audit_action(action text, type text, name text,
		details jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT event_engine.audit('system.config.changed', type || ':' || name,
	jsonb_strip_nulls(jsonb_build_object('action', action,
		'object', jsonb_build_object('type', type, 'name', name),
		'details', details)))
$$;
COMMENT ON FUNCTION event_engine.audit_action(text, text, text, jsonb) IS
	'Internal: publishes what an administrator has done to something.';

/*
 * Trigger, with the arguments: type of the object, column of its name, columns
 * that are no configuration, columns whose values are not told.
 *
 * Rows that are older than the transaction are brought by a restore or by
 * replication, and no change.
 */
CREATE FUNCTION event_engine.audit_change() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	type CONSTANT text := TG_ARGV[0];
	secret CONSTANT text[] := TG_ARGV[3];
	old_row jsonb;
	new_row jsonb;
	name text;
	changed text[];
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		old_row := to_jsonb(OLD);
	END IF;
	IF TG_OP IN ('INSERT', 'UPDATE') THEN
		new_row := to_jsonb(NEW);
	END IF;
	IF TG_OP = 'INSERT' AND COALESCE(new_row ->> 'created_at',
			new_row ->> 'set_at')::timestamptz < transaction_timestamp() THEN
		RETURN NULL;
	END IF;
	name := COALESCE(COALESCE(new_row, old_row) ->> TG_ARGV[1], '*');
	old_row := old_row - TG_ARGV[2]::text[];
	new_row := new_row - TG_ARGV[2]::text[];
	IF TG_OP = 'UPDATE' THEN
		SELECT array_agg(n.key ORDER BY n.key) INTO changed
			FROM jsonb_each(new_row) AS n
			WHERE n.value IS DISTINCT FROM old_row -> n.key;
		IF changed IS NULL THEN
			RETURN NULL;
		END IF;
		SELECT jsonb_object_agg(c.name, old_row -> c.name),
				jsonb_object_agg(c.name, new_row -> c.name)
			INTO old_row, new_row
			FROM unnest(changed) AS c (name);
	END IF;
	PERFORM event_engine.audit('system.config.changed', type || ':' || name,
		jsonb_build_object(
			'action', CASE TG_OP WHEN 'INSERT' THEN 'created'
				WHEN 'UPDATE' THEN 'changed' WHEN 'DELETE' THEN 'removed'
				ELSE 'truncated' END,
			'object', jsonb_build_object('type', type, 'name', name))
		|| CASE WHEN changed IS NULL THEN '{}'
			ELSE jsonb_build_object('changed', changed) END
		|| jsonb_strip_nulls(jsonb_build_object(
			'old', jsonb_strip_nulls(old_row - secret),
			'new', jsonb_strip_nulls(new_row - secret))));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.audit_change() IS
	'Trigger: publishes system.config.changed.';

/* ---- What is configured ---- */

CREATE TRIGGER audit_change AFTER INSERT OR DELETE
	ON event_engine.event_definitions FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('definition', 'pattern',
		'{id,schema_uris,revision,created_at,updated_at}', '{examples}');
CREATE TRIGGER audit_update AFTER UPDATE
	ON event_engine.event_definitions FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('definition', 'pattern',
		'{id,schema_uris,revision,created_at,updated_at}', '{examples}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_definitions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('definition', 'pattern', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_schemas FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('schema', 'uri',
		'{created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_schemas FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('schema', 'uri', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_rules FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('rule', 'name',
		'{created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_rules FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('rule', 'name', '{}', '{}');

/*
 * Of subscriptions the epochs are no configuration but follow from it; what a
 * dispatcher matches follows from the waits of its workflows; and that one is
 * found to be broken is told by system.subscription.broken.
 */
CREATE TRIGGER audit_change AFTER INSERT OR DELETE
	ON event_engine.subscriptions FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('subscription', 'subscriber',
		'{id,number,match,epoch,epochs,created_at,updated_at}', '{}');
CREATE TRIGGER audit_update AFTER UPDATE OF subscriber, owner, kind, patterns,
	match, filter_path, filters, handler, channel, options, status, status_reason
	ON event_engine.subscriptions FOR EACH ROW
	WHEN ((NEW.kind <> 'workflow' OR NEW.match = OLD.match)
		AND (NEW.status <> 'broken' OR OLD.status = 'broken')
		AND event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('subscription', 'subscriber',
		'{id,number,epoch,epochs,created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.subscriptions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('subscription', 'subscriber', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_retention FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('retention', 'pattern',
		'{match,set_at,set_by}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_retention FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('retention', 'pattern', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_responders FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('responder', 'pattern',
		'{created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_responders FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('responder', 'pattern', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR DELETE OR UPDATE OF name, owner,
	schedule, time_zone, pattern, payload, metadata, source, partition_key,
	priority, active
	ON event_engine.event_schedules FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('schedule', 'name',
		'{created_at,checked_at,published_at,event_id}', '{payload,metadata}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.event_schedules FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('schedule', 'name', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT
	ON event_engine.event_replays FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('replay', 'subscriber',
		'{subscription_number,created_by,match,low_snapshot,low_seq,low_base_seq,high_snapshot,high_seq,high_base_seq,seq,replayed,epoch,concurrency,ordered,finished_at,created_at}',
		'{}');
CREATE TRIGGER audit_update AFTER UPDATE OF status
	ON event_engine.event_replays FOR EACH ROW
	WHEN (NEW.status = 'cancelled' AND event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('replay', 'subscriber',
		'{finished_at,seq,replayed}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_definitions FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('workflow', 'name',
		'{id,number,created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.workflow_definitions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('workflow', 'name', '{}', '{}');

CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_event_triggers FOR EACH ROW
	WHEN (event_engine.audits('system.config.changed'))
	EXECUTE FUNCTION event_engine.audit_change('trigger', 'workflow',
		'{workflow_definition_id,number,since,since_seq,created_at,updated_at}', '{}');
CREATE TRIGGER audit_truncate AFTER TRUNCATE
	ON event_engine.workflow_event_triggers FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.audit_change('trigger', 'workflow', '{}', '{}');

/* ---- Who may do what ---- */

CREATE FUNCTION event_engine.audit_grant() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	changed event_engine.event_grants;
BEGIN
	IF TG_OP = 'DELETE' THEN
		changed := OLD;
	ELSE
		changed := NEW;
		IF NEW.granted_at < transaction_timestamp() THEN
			RETURN NULL;
		END IF;
	END IF;
	PERFORM event_engine.audit(CASE TG_OP WHEN 'DELETE'
			THEN 'system.access.revoked' ELSE 'system.access.granted' END,
		'role:' || changed.grantee::text,
		jsonb_strip_nulls(jsonb_build_object(
			'role', changed.grantee::text, 'privilege', changed.privilege,
			'pattern', changed.pattern, 'kind', changed.match -> 'type',
			'tenant', changed.tenant)));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.audit_grant() IS
	'Trigger: publishes system.access.granted and system.access.revoked.';
CREATE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_grants FOR EACH ROW
	WHEN (event_engine.audits('system.access.granted')
		OR event_engine.audits('system.access.revoked'))
	EXECUTE FUNCTION event_engine.audit_grant();

/* ---- What befalls the engine ---- */

CREATE FUNCTION event_engine.tell_broken() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.publish_engine_event('system.subscription.broken',
		jsonb_build_object('subscriber', NEW.subscriber,
			'owner', NEW.owner::text, 'reason', NEW.status_reason),
		'subscription:' || NEW.subscriber, NULL);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.tell_broken() IS
	'Trigger: publishes system.subscription.broken.';
CREATE TRIGGER tell_broken AFTER UPDATE OF status
	ON event_engine.subscriptions FOR EACH ROW
	WHEN (NEW.status = 'broken' AND OLD.status <> 'broken'
		AND event_engine.audits('system.subscription.broken'))
	EXECUTE FUNCTION event_engine.tell_broken();

/*
 * What fails about events of the engine is not told as one of them, or a
 * handler that fails would feed itself.  The others hand on their hops.
 */
CREATE FUNCTION event_engine.tell_dead_letter() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	hops CONSTANT integer := COALESCE(
		(NEW.envelope #>> '{metadata,hops}')::integer, 0) + 1;
BEGIN
	IF NEW.created_at >= transaction_timestamp()
		AND hops <= current_setting('event_engine.store_hop_limit')::integer THEN
		PERFORM event_engine.publish_engine_event('system.dead_letter.created',
			jsonb_build_object('id', NEW.id, 'subscriber', NEW.subscriber,
				'eventId', NEW.event_id, 'pattern', NEW.event_type,
				'error', NEW.error_message, 'attempts', NEW.retry_count),
			'subscription:' || NEW.subscriber,
			jsonb_strip_nulls(jsonb_build_object('hops', hops,
				'correlationId', NEW.envelope #> '{metadata,correlationId}',
				'causationId', NEW.envelope -> 'id')));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.tell_dead_letter() IS
	'Trigger: publishes system.dead_letter.created.';
CREATE TRIGGER tell_dead_letter AFTER INSERT
	ON event_engine.event_dead_letters FOR EACH ROW
	WHEN (NEW.event_type NOT LIKE 'system.%'
		AND event_engine.audits('system.dead_letter.created'))
	EXECUTE FUNCTION event_engine.tell_dead_letter();

CREATE FUNCTION event_engine.tell_upkeep() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.publish_engine_event('system.upkeep.' || NEW.outcome,
		jsonb_strip_nulls(jsonb_build_object('task', NEW.task,
			'object', NEW.object, 'detail', NEW.detail, 'events', NEW.events)),
		'upkeep:' || NEW.object, NULL);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.tell_upkeep() IS
	'Trigger: publishes system.upkeep.held, .failed and .forced.';
CREATE TRIGGER tell_upkeep AFTER INSERT
	ON event_engine.event_maintenance FOR EACH ROW
	WHEN (NEW.outcome IN ('held', 'failed', 'forced')
		AND event_engine.audits('system.upkeep.' || NEW.outcome))
	EXECUTE FUNCTION event_engine.tell_upkeep();
