/* ------------------------------------------------------------------------
 * Operations: who may do what.
 *
 * Roles belong to the cluster, so the extension makes none: a duty is a set
 * of privileges that grant_duty() gives to a role of yours.  90_privileges.sql
 * leaves PUBLIC with what is said there.
 * ------------------------------------------------------------------------ */

/*
 * duties: what each duty consists of, beside the rows of event_grants that say
 * of which events.
 *
 *	publisher	publishes, by function, INSERT and COPY, and by capturing the
 *				tables that it owns
 *	subscriber	subscribes, pulls, delivers to its own subscriptions
 *	reader		sees, changes nothing
 *	operator	defines events, does the upkeep, decides on dead letters,
 *				erases subjects
 *	unsealer	is shown sensitive data in events that it is shown at all
 *	admin		says who may do what, and all that the operator does
 *
 *	everything	only for whoever has the duty for all events of all tenants:
 *				it shows or counts what belongs to anybody
 */
CREATE VIEW event_engine.duties AS
	SELECT d.duty, 'EXECUTE' AS privilege,
		CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
		p.oid::regprocedure::text AS object, p.oid, p.proacl AS acl,
		d.everything
	FROM (VALUES
		('publisher', false, '{publish_event,publish_events,validate_event,
			get_event_definition,list_event_definitions,capture_changes,
			stop_capturing,query_event,await_reply,reply_event,
			query_responder,list_grants}'::text[]),
		('subscriber', false, '{subscribe,find_handler,update_subscription,
			unsubscribe,pause_subscription,resume_subscription,drain_subscription,
			seek_subscription,receive_events,await_events,ack_events,
			nack_events,extend_events,process_batch,start_event_worker,
			stop_event_worker,launch_event_worker,redrive_dead_letters,
			discard_dead_letters,event_envelope,pattern_subscribers,
			may_read,has_subscribed,get_event_definition,
			list_event_definitions,reply_event,list_grants}'),
		('reader', false, '{get_event,list_events,event_counts,
			event_time,event_tenant,may_read,has_subscribed,expand_pattern,
			event_matches,event_envelope,test_filter,
			subscription_match,validate_event,get_event_definition,
			list_event_definitions,list_grants,library_version}'),
		('reader', true, '{trace_events,explain_match,match_event,pattern_subscribers,event_subscribers,
			worker_slots,subscription_counters,
			queue_pressure,pattern_counters,epoch_lanes,
			subscription_progress,waiting_since,
			retention_of,partition_needed_by,
			passed_event,had_passed_event,delivery_state,subscription_backlog,event_deliveries,duties_of,health,
			metrics,doctor}'),
		('operator', true, '{retention_of,partition_needed_by,register_event_definition,update_event_definition,
			register_schema,schema_compatibility,
			add_event_rule,remove_event_rule,
			list_event_rules,get_event_definition,list_event_definitions,
			validate_event,run_maintenance,set_retention,reset_retention,
			expire_partition,redrive_dead_letters,
			discard_dead_letters,replay_events,process_event}'),
		('operator', true, '{delete_workflows,duties_of,list_grants,
			start_event_worker,stop_event_worker,launch_event_worker}'),
		('operator', true, '{erase_subject,scrub_subject_keys,sensitive_fields}'),
		('publisher', false, '{sensitive_fields}'),
		('subscriber', false, '{sensitive_fields}'),
		('reader', false, '{sensitive_fields}'),
		('unsealer', false, '{unseal,sensitive_fields,list_grants}'),
		('admin', true, '{grant_publish,grant_subscribe,grant_read,grant_unseal,
			revoke_publish,revoke_subscribe,revoke_read,revoke_unseal,change_grant,
			grant_duty,revoke_duty}'),
		('publisher', false, '{start_workflow}'),
		('subscriber', false, '{start_workflow,register_workflow,update_workflow,
			deprecate_workflow,find_workflow_handler,named_workflow_handler,
			cancel_workflow,resume_workflow,move_workflow,
			register_workflow_wait,cancel_workflow_wait,sleep_workflow,
			set_workflow_state,report_progress,complete_workflow,fail_workflow,get_workflow,
			list_workflows,list_workflow_definitions,delete_workflows,create_workflow_trigger,
			update_workflow_trigger,drop_workflow_trigger,
			list_workflow_triggers,retry_trigger_failures,
			discard_trigger_failures,compensate_with,start_child_workflow}'),
		('reader', true, '{list_workflow_triggers,get_workflow,list_workflows,list_workflow_definitions,
			workflow_options}'),
		-- one event at a time, and for tests
		('subscriber', false, '{register_query_responder,remove_query_responder}'),
		('reader', true, '{list_replies,event_subscriptions,trace_deliveries,
			trace_nodes}'),
		('subscriber', false, '{process_event,run_pending,make_due,pass_time,
			lock_deliveries,wait_for_delivery,undelivered_event,
			replay_events,cancel_replay}'),
		('reader', false, '{assert_published,wait_for_event,first_published}'),
		('reader', true, '{schedule_times,next_schedule_time,
			list_event_schedules}'),
		('publisher', false, '{schedule_event,pause_event_schedule,
			resume_event_schedule,unschedule_event,run_event_schedule,
			list_event_schedules,own_schedule,store_schedule,
			activate_schedule,remove_schedule,claim_schedule,note_schedule,
			check_scheduler,set_schedule_job,schedule_of_job,
			schedule_times,next_schedule_time}')
		) AS l (of_duty, everything, names)
	CROSS JOIN LATERAL (SELECT l.of_duty AS duty, l.everything
		UNION ALL SELECT 'admin', true WHERE l.of_duty = 'operator') AS d
	JOIN pg_catalog.pg_proc AS p ON p.proname = ANY (l.names)
		AND p.pronamespace = 'event_engine'::regnamespace
	UNION ALL
	SELECT d.duty, l.privilege, 'TABLE', c.oid::regclass::text, c.oid, c.relacl,
		d.everything
	FROM (VALUES
		('publisher', false, 'INSERT', '{events}'::text[]),
		('subscriber', false, 'SELECT', '{event_workers}'),
		-- what shows only what the role may read, and has subscribed to
		('subscriber', false, 'SELECT', '{event_dead_letters,deliveries,
			event_processing_log}'),
		('reader', false, 'SELECT', '{readable_events,event_definitions,
			event_definition_versions,event_schemas,event_dead_letters,
			deliveries,event_processing_log}'),
		('reader', true, 'SELECT', '{events,event_rules,held_up_keys,event_schedules,event_replays,stat_replays,subscription_list,captured_tables,
			duties,event_grants,stat_subscriptions,stat_definitions,stat_sources,stat_backlog,
			subscriptions,event_leases,event_responders,stat_workers,
			stat_partitions,stat_retention,event_retention,event_maintenance,
			event_partitions,workflow_definitions,workflow_instances,
			workflow_steps,workflow_waits,workflow_event_triggers,
			workflow_trigger_failures,workflow_compensations}'),
		('operator', true, 'SELECT', '{event_workers,event_dead_letters,duties,event_grants,
			stat_retention,event_retention,event_maintenance}')
		) AS l (of_duty, everything, privilege, names)
	CROSS JOIN LATERAL (SELECT l.of_duty AS duty, l.everything
		UNION ALL SELECT 'admin', true WHERE l.of_duty = 'operator') AS d
	JOIN pg_catalog.pg_class AS c ON c.relname = ANY (l.names)
		AND c.relnamespace = 'event_engine'::regnamespace;
COMMENT ON VIEW event_engine.duties IS
	'What each duty (publisher, subscriber, reader, unsealer, operator, admin) consists of.';

CREATE FUNCTION event_engine.check_duty(duty text, grantee regrole)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF grantee IS NULL OR grantee = 0::oid THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'role must be one, and not null';
	END IF;
	IF duty IS NULL OR duty NOT IN
		('publisher', 'subscriber', 'reader', 'unsealer', 'operator',
		 'admin') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unknown duty %s',
				COALESCE('"' || duty || '"', 'null')),
			HINT = 'A duty is one of publisher, subscriber, reader, unsealer, operator, admin.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_duty(text, regrole) IS
	'Internal: raises unless there is such a duty.';

/* Duties of which a role has been given all that they need for some events. */
CREATE FUNCTION event_engine.duties_of(grantee regrole) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE(array_agg(g.duty ORDER BY g.duty), '{}')
FROM (SELECT d.duty FROM event_engine.duties AS d
	WHERE NOT d.everything OR d.duty IN ('operator', 'admin')
	GROUP BY d.duty
	HAVING bool_and(EXISTS (SELECT FROM aclexplode(d.acl) AS a
		WHERE a.grantee = duties_of.grantee::oid
			AND a.privilege_type = d.privilege))) AS g
$$;
COMMENT ON FUNCTION event_engine.duties_of(regrole) IS
	'The duties that a role has been given, for some events or for all.';

/*
 * settle_duty: give a role what a duty needs, and take back what it does not
 * need any more, but for what its other duties need.
 *
 *	held, everything	for any events at all, and for all of them
 */
CREATE FUNCTION event_engine.settle_duty(duty text, role regrole, held boolean,
		everything boolean)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	others CONSTANT text[] := array_remove(event_engine.duties_of(role), duty);
	line record;
BEGIN
	FOR line IN
		SELECT d.privilege, d.kind, d.object,
			(held AND NOT d.everything OR everything) AS needed
		FROM event_engine.duties AS d
		WHERE d.duty = duty
			AND ((held AND NOT d.everything OR everything)
				OR EXISTS (SELECT FROM aclexplode(d.acl) AS a
					WHERE a.grantee = role::oid
						AND a.privilege_type = d.privilege)
				AND NOT EXISTS (SELECT FROM event_engine.duties AS o
					WHERE o.duty = ANY (others) AND o.oid = d.oid
						AND o.privilege = d.privilege
						AND (NOT o.everything OR o.duty IN ('operator', 'admin')
							OR event_engine.has_grant(
								event_engine.privilege_of_duty(o.duty), role,
								true))))
	LOOP
		IF line.needed THEN
			EXECUTE format('GRANT %s ON %s %s TO %s', line.privilege,
				line.kind, line.object, role);
		ELSE
			EXECUTE format('REVOKE %s ON %s %s FROM %s', line.privilege,
				line.kind, line.object, role);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.settle_duty(text, regrole, boolean, boolean) IS
	'Internal: gives a role the privileges that a duty needs, and takes back the others.';

/*
 * grant_duty: give a role what a duty needs; publisher, subscriber, reader and
 * unsealer for all events of all tenants.  For the extension's owner, superusers and
 * admins, who cannot make others admins; again after an update of the
 * extension.
 */
CREATE FUNCTION event_engine.grant_duty_as(caller oid, duty text, role regrole)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	PERFORM event_engine.check_granter(caller, duty = 'admin');
	IF duty IN ('operator', 'admin') THEN
		PERFORM event_engine.settle_duty(duty, role, true, true);
		PERFORM event_engine.audit('system.access.granted',
			'role:' || role::text,
			jsonb_build_object('role', role::text, 'duty', duty));
	ELSE
		PERFORM event_engine.change_grant_as(caller, true,
			event_engine.privilege_of_duty(duty), '#', role, NULL, NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.grant_duty_as(oid, text, regrole) IS
	'Does the work of grant_duty() for the given role.';

CREATE PROCEDURE event_engine.grant_duty(duty text, role regrole)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON PROCEDURE event_engine.grant_duty(text, regrole) IS
	'Gives a role the duty publisher, subscriber, reader or unsealer for all events, operator or admin.';

/* revoke_duty: take it back, whatever the events it was given for. */
CREATE FUNCTION event_engine.revoke_duty_as(caller oid, duty text, role regrole)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	PERFORM event_engine.check_granter(caller, duty = 'admin');
	DELETE FROM event_engine.event_grants AS g
		WHERE g.grantee = role
			AND g.privilege = event_engine.privilege_of_duty(duty);
	PERFORM event_engine.settle_duty(duty, role, false, false);
	IF duty IN ('operator', 'admin') THEN
		PERFORM event_engine.audit('system.access.revoked',
			'role:' || role::text,
			jsonb_build_object('role', role::text, 'duty', duty));
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.revoke_duty_as(oid, text, regrole) IS
	'Does the work of revoke_duty() for the given role.';

CREATE PROCEDURE event_engine.revoke_duty(duty text, role regrole)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON PROCEDURE event_engine.revoke_duty(text, regrole) IS
	'Takes a duty back from a role, for all events, but for what its other duties need.';
