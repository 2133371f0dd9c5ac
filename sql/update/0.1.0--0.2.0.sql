/* ------------------------------------------------------------------------
 * From 0.1.0 to 0.2.0: what was there and is different, and which pieces are
 * new.  Functions, procedures and views follow by themselves, see ../README.md.
 * ------------------------------------------------------------------------ */

/*
 * All that is altered below, and what new triggers and constraints are on.
 * Publishers wait meanwhile, since they look up definitions.
 */
SELECT event_engine.lock_for_update('{event_definitions,
	event_definition_versions,event_schemas,event_rules,subscriptions,
	deliveries,event_dead_letters,event_processing_log,event_replays,
	event_replay_cursors,event_responders,event_retention,event_schedules,
	event_maintenance,workflow_definitions,workflow_event_triggers}');

-- who had a duty is granted all events: see there
\new 13_registry_grants_state.sql
\new 79_operations_rights_state.sql

-- it tells of everything besides
DROP VIEW event_engine.duties;

\new 61_workflow_late_state.sql
\new 63_workflow_look_state.sql
\new 64_workflow_postponed_state.sql

\new 79_operations_audit_state.sql
\new 33_store_sensitive_state.sql
