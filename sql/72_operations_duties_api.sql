/* ------------------------------------------------------------------------
 * Operations: who may do what.
 *
 * Roles belong to the cluster, so the extension makes none: a duty is a set
 * of privileges that grant_duty() gives to a role of yours.  90_privileges.sql
 * leaves PUBLIC with what is said there.
 * ------------------------------------------------------------------------ */

/*
 * duties: what each duty consists of.
 *
 *	publisher	publishes, by function, INSERT and COPY, and by capturing the
 *				tables that it owns
 *	subscriber	subscribes, pulls, delivers to its own subscriptions
 *	reader		sees everything, changes nothing
 *	operator	defines events, does the upkeep, decides on dead letters
 */
CREATE VIEW event_engine.duties AS
	SELECT d.duty, 'EXECUTE' AS privilege,
		CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
		p.oid::regprocedure::text AS object, p.oid, p.proacl AS acl
	FROM (VALUES
		('publisher', '{publish_event,publish_events,validate_event,
			get_event_definition,list_event_definitions,capture_changes,
			stop_capturing,query_event,await_reply,reply_event,
			query_responder}'::text[]),
		('subscriber', '{subscribe,find_handler,update_subscription,
			unsubscribe,pause_subscription,resume_subscription,drain_subscription,
			seek_subscription,receive_events,await_events,ack_events,
			nack_events,extend_events,process_batch,redrive_dead_letters,
			discard_dead_letters,event_envelope,pattern_subscribers,
			get_event_definition,list_event_definitions}'),
		('reader', '{get_event,list_events,trace_events,event_counts,
			event_time,expand_pattern,event_matches,event_envelope,
			explain_match,match_event,pattern_subscribers,event_subscribers,test_filter,
			subscription_match,validate_event,get_event_definition,
			list_event_definitions,worker_slots,subscription_counters,
			queue_pressure,pattern_counters,epoch_lanes,
			retention_of,partition_needed_by,
			passed_event,delivery_state,subscription_backlog,event_deliveries,duties_of,health,
			metrics,doctor,library_version}'),
		('operator', '{retention_of,partition_needed_by,register_event_definition,update_event_definition,
			register_schema,schema_compatibility,
			add_event_rule,remove_event_rule,
			list_event_rules,get_event_definition,list_event_definitions,
			validate_event,run_maintenance,set_retention,reset_retention,
			expire_partition,redrive_dead_letters,
			discard_dead_letters,replay_events,process_event}'),
		('operator', '{delete_workflows}'),
		('publisher', '{start_workflow}'),
		('subscriber', '{start_workflow,register_workflow,update_workflow,
			deprecate_workflow,find_workflow_handler,named_workflow_handler,
			cancel_workflow,resume_workflow,move_workflow,
			register_workflow_wait,cancel_workflow_wait,sleep_workflow,
			set_workflow_state,complete_workflow,fail_workflow,get_workflow,
			list_workflows,list_workflow_definitions,delete_workflows,create_workflow_trigger,
			update_workflow_trigger,drop_workflow_trigger,
			list_workflow_triggers,retry_trigger_failures,
			discard_trigger_failures,compensate_with,start_child_workflow}'),
		('reader', '{list_workflow_triggers,get_workflow,list_workflows,list_workflow_definitions,
			workflow_options}'),
		-- one event at a time, and for tests
		('subscriber', '{register_query_responder,remove_query_responder}'),
		('reader', '{list_replies,event_subscriptions,trace_deliveries,
			trace_nodes}'),
		('subscriber', '{process_event,run_pending,make_due,
			lock_deliveries,wait_for_delivery,undelivered_event,
			replay_events,cancel_replay}'),
		('reader', '{assert_published,wait_for_event,first_published,
			schedule_times,next_schedule_time,list_event_schedules}'),
		('publisher', '{schedule_event,pause_event_schedule,
			resume_event_schedule,unschedule_event,run_event_schedule,
			list_event_schedules,own_schedule,store_schedule,
			activate_schedule,remove_schedule,claim_schedule,note_schedule,
			check_scheduler,set_schedule_job,schedule_of_job,
			schedule_times,next_schedule_time}')
		) AS d (duty, names)
	JOIN pg_catalog.pg_proc AS p ON p.proname = ANY (d.names)
		AND p.pronamespace = 'event_engine'::regnamespace
	UNION ALL
	SELECT d.duty, d.privilege, 'TABLE', c.oid::regclass::text, c.oid, c.relacl
	FROM (VALUES
		('publisher', 'INSERT', '{events}'::text[]),
		('reader', 'SELECT', '{events,event_definitions,
			event_definition_versions,event_schemas,event_rules,event_dead_letters,
			event_processing_log,deliveries,held_up_keys,event_schedules,event_replays,stat_replays,subscription_list,captured_tables,
			duties,stat_subscriptions,stat_definitions,stat_sources,stat_backlog,
			subscriptions,event_leases,event_responders,stat_workers,
			stat_partitions,stat_retention,event_retention,event_maintenance,
			event_partitions,workflow_definitions,workflow_instances,
			workflow_steps,workflow_waits,workflow_event_triggers,
			workflow_trigger_failures,workflow_compensations}'),
		('operator', 'SELECT', '{event_dead_letters,duties,stat_retention,
			event_retention,event_maintenance}')
		) AS d (duty, privilege, names)
	JOIN pg_catalog.pg_class AS c ON c.relname = ANY (d.names)
		AND c.relnamespace = 'event_engine'::regnamespace;
COMMENT ON VIEW event_engine.duties IS
	'What each duty (publisher, subscriber, reader, operator) consists of.';

CREATE FUNCTION event_engine.check_duty(duty text, grantee regrole)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF grantee IS NULL OR grantee = 0::oid THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'role must be one, and not null';
	END IF;
	IF duty IS NULL OR duty NOT IN
		('publisher', 'subscriber', 'reader', 'operator') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unknown duty %s',
				COALESCE('"' || duty || '"', 'null')),
			HINT = 'A duty is one of publisher, subscriber, reader, operator.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_duty(text, regrole) IS
	'Internal: raises unless there is such a duty.';

/* Duties of which a role has been given all. */
CREATE FUNCTION event_engine.duties_of(grantee regrole) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE(array_agg(g.duty ORDER BY g.duty), '{}')
FROM (SELECT d.duty FROM event_engine.duties AS d
	GROUP BY d.duty
	HAVING bool_and(EXISTS (SELECT FROM aclexplode(d.acl) AS a
		WHERE a.grantee = duties_of.grantee::oid
			AND a.privilege_type = d.privilege))) AS g
$$;
COMMENT ON FUNCTION event_engine.duties_of(regrole) IS
	'The duties that a role has been given.';

/*
 * grant_duty: give a role what a duty needs.  To be run by the extension's
 * owner or a superuser, again after an update of the extension.
 */
CREATE PROCEDURE event_engine.grant_duty(duty text, role regrole)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	needed record;
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	FOR needed IN
		SELECT d.privilege, d.kind, d.object FROM event_engine.duties AS d
		WHERE d.duty = grant_duty.duty
	LOOP
		EXECUTE format('GRANT %s ON %s %s TO %s', needed.privilege,
			needed.kind, needed.object, role);
	END LOOP;
END
$$;
COMMENT ON PROCEDURE event_engine.grant_duty(text, regrole) IS
	'Gives a role what the duty publisher, subscriber, reader or operator needs.';

/* revoke_duty: take it back, but for what the role's other duties need. */
CREATE PROCEDURE event_engine.revoke_duty(duty text, role regrole)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kept CONSTANT text[] := array_remove(event_engine.duties_of(role), duty);
	needed record;
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	FOR needed IN
		SELECT d.privilege, d.kind, d.object FROM event_engine.duties AS d
		WHERE d.duty = revoke_duty.duty
			AND NOT EXISTS (SELECT FROM event_engine.duties AS o
				WHERE o.duty = ANY (kept) AND o.oid = d.oid
					AND o.privilege = d.privilege)
	LOOP
		EXECUTE format('REVOKE %s ON %s %s FROM %s', needed.privilege,
			needed.kind, needed.object, role);
	END LOOP;
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_duty(text, regrole) IS
	'Takes a duty back from a role, but for what its other duties need.';
