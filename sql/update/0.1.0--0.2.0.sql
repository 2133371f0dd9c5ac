/* ------------------------------------------------------------------------
 * From 0.1.0 to 0.2.0: what was there and is different, and which pieces are
 * new.  Functions, procedures and views follow by themselves, see ../README.md.
 * ------------------------------------------------------------------------ */

/*
 * All that is altered below, and what new triggers, indexes and constraints
 * are on.  The log comes first: publishers hold it the longest.
 */
SELECT event_engine.lock_for_update('{event_definitions,
	event_definition_versions,event_schemas,event_rules,subscriptions,
	subscription_cursor_moves,deliveries,delivery_counts,event_milestones,
	event_dead_letters,event_processing_log,event_replays,
	event_replay_cursors,event_responders,event_retention,event_schedules,
	event_maintenance,event_keys,workflow_definitions,
	workflow_event_triggers,workflow_steps}',
	readable => '{events,event_log_state,workflow_instances}');

-- who had a duty is granted all events: see there
\new 13_registry_grants_state.sql
\new 79_operations_rights_state.sql

-- it tells of everything besides
DROP VIEW event_engine.duties;

-- check_owner() does it for all
DROP FUNCTION event_engine.check_rule_owner(oid, event_engine.event_rules);

-- it takes how many subscriptions are told of one by one
DROP FUNCTION event_engine.metrics();

\new 61_workflow_late_state.sql
\new 63_workflow_look_state.sql
\new 64_workflow_postponed_state.sql

\new 79_operations_audit_state.sql
\new 33_store_sensitive_state.sql

/* A dump tells that the log comes from another cluster. */
CREATE FUNCTION event_engine.restore_log_state() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_restore_log_state';
CREATE TRIGGER event_engine_restore BEFORE INSERT
	ON event_engine.event_log_state
	FOR EACH ROW EXECUTE FUNCTION event_engine.restore_log_state();

/* No foreign keys between tables that are dumped: a parallel restore loads them
 * in any order.  Both tables of each are locked against everything. */
ALTER TABLE event_engine.event_definition_versions
	DROP CONSTRAINT event_definition_versions_definition_id_fkey;
ALTER TABLE event_engine.event_rules
	DROP CONSTRAINT event_rules_definition_id_fkey;
ALTER TABLE event_engine.event_replay_cursors
	DROP CONSTRAINT event_replay_cursors_replay_id_fkey;
CREATE FUNCTION event_engine.forget_versions() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_definition_versions
	WHERE definition_id = OLD.id;
	RETURN NULL;
END
$$;
CREATE TRIGGER forget_versions AFTER DELETE ON event_engine.event_definitions
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_versions();
CREATE FUNCTION event_engine.forget_rules() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_rules
	WHERE definition_id = OLD.id;
	RETURN NULL;
END
$$;
CREATE TRIGGER forget_rules AFTER DELETE ON event_engine.event_definitions
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_rules();
CREATE FUNCTION event_engine.forget_replay() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_replay_cursors
	WHERE replay_id = OLD.id;
	RETURN NULL;
END
$$;
CREATE TRIGGER forget_replay AFTER DELETE ON event_engine.event_replays
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_replay();

/* What logical replication brings is refused. */
ALTER TABLE event_engine.events ENABLE ALWAYS TRIGGER event_engine_receive;
/* A publication of all tables does not keep rows from being removed. */
/* Identifiers are the tenant's own; those before count for events without. */
ALTER TABLE event_engine.event_keys
	ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '',
	DROP CONSTRAINT event_keys_pkey,
	ADD PRIMARY KEY (event_id, tenant);

ALTER TABLE event_engine.event_milestones REPLICA IDENTITY FULL;
ALTER TABLE event_engine.delivery_counts REPLICA IDENTITY FULL;
ALTER TABLE event_engine.event_processing_log REPLICA IDENTITY FULL;
ALTER TABLE event_engine.workflow_steps REPLICA IDENTITY FULL;
ALTER TABLE event_engine.event_maintenance REPLICA IDENTITY FULL;
ALTER TABLE event_engine.subscription_cursor_moves REPLICA IDENTITY FULL;
