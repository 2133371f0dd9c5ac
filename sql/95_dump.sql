/* ------------------------------------------------------------------------
 * Dump: tables and sequences whose rows belong to the user.  Partitions of the
 * log are dumped like any other table, and are not named here.
 *
 * The row of event_log_state is told of where it is restored, not stored; see
 * the trigger there.  Left out are executor_starts, which counts processes of a
 * server that is not the one restored to, event_maintenance, which tells what
 * that server has done, and event_subject_keys, without which what is sensitive
 * cannot be read; and grants of roles that were dropped, which would be dumped by
 * a number that may be another role's elsewhere.
 * ------------------------------------------------------------------------ */

SELECT pg_extension_config_dump('event_engine.deliveries', '');
SELECT pg_extension_config_dump('event_engine.delivery_counts', '');
SELECT pg_extension_config_dump('event_engine.delivery_keys', '');
SELECT pg_extension_config_dump('event_engine.event_dead_letters', '');
SELECT pg_extension_config_dump('event_engine.event_definition_versions', '');
SELECT pg_extension_config_dump('event_engine.event_definitions', '');
SELECT pg_extension_config_dump('event_engine.event_grants',
	'WHERE grantee::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)');
SELECT pg_extension_config_dump('event_engine.event_keys', '');
SELECT pg_extension_config_dump('event_engine.event_leases', '');
SELECT pg_extension_config_dump('event_engine.event_log_state', '');
SELECT pg_extension_config_dump('event_engine.event_milestones', '');
SELECT pg_extension_config_dump('event_engine.event_partitions', '');
SELECT pg_extension_config_dump('event_engine.event_processing_log', '');
SELECT pg_extension_config_dump('event_engine.event_schemas', '');
SELECT pg_extension_config_dump('event_engine.event_replay_cursors', '');
SELECT pg_extension_config_dump('event_engine.event_replays', '');
SELECT pg_extension_config_dump('event_engine.event_responders', '');
SELECT pg_extension_config_dump('event_engine.event_retention', '');
SELECT pg_extension_config_dump('event_engine.event_rules', '');
SELECT pg_extension_config_dump('event_engine.event_schedules', '');
SELECT pg_extension_config_dump('event_engine.event_seq', '');
SELECT pg_extension_config_dump('event_engine.events_default', '');
SELECT pg_extension_config_dump('event_engine.subscription_cursor_moves', '');
SELECT pg_extension_config_dump('event_engine.subscription_cursors', '');
SELECT pg_extension_config_dump('event_engine.subscriptions', '');
SELECT pg_extension_config_dump('event_engine.subscriptions_number_seq', '');
SELECT pg_extension_config_dump('event_engine.workflow_definitions', '');
SELECT pg_extension_config_dump('event_engine.workflow_instances', '');
SELECT pg_extension_config_dump('event_engine.workflow_postponed', '');
SELECT pg_extension_config_dump('event_engine.workflow_late', '');
SELECT pg_extension_config_dump('event_engine.workflow_postponed_triggers', '');
SELECT pg_extension_config_dump('event_engine.workflow_postponed_triggers_nr_seq', '');
SELECT pg_extension_config_dump('event_engine.workflow_steps', '');
SELECT pg_extension_config_dump('event_engine.workflow_wait_keys', '');
SELECT pg_extension_config_dump('event_engine.workflow_waits', '');
SELECT pg_extension_config_dump('event_engine.workflow_event_triggers', '');
SELECT pg_extension_config_dump('event_engine.workflow_trigger_failures', '');
SELECT pg_extension_config_dump('event_engine.workflow_compensations', '');
