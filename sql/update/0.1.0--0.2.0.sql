/* ------------------------------------------------------------------------
 * From 0.1.0 to 0.2.0: what was there and is different, and which pieces are
 * new.  Functions, procedures and views follow by themselves, see ../README.md.
 * ------------------------------------------------------------------------ */

-- who had a duty is granted all events: see there
\new 13_registry_grants_state.sql
\new 79_operations_rights_state.sql

-- it tells of everything besides
DROP VIEW event_engine.duties;

\new 61_workflow_late_state.sql
\new 63_workflow_look_state.sql
\new 64_workflow_postponed_state.sql

/* Audit.  Its triggers need those who write to these tables to wait. */
SELECT event_engine.lock_for_update('{event_dead_letters,event_definitions,event_maintenance,event_replays,
	event_responders,event_retention,event_rules,event_schedules,
	event_schemas,subscriptions,workflow_definitions,workflow_event_triggers}',
	'SHARE ROW EXCLUSIVE');
\new 79_operations_audit_state.sql
\new 33_store_sensitive_state.sql
