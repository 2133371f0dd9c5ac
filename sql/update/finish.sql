/* Those that had a duty have what it needs now. */
SELECT event_engine.grant_duty_again(d.duty, d.role)
FROM jsonb_to_recordset(current_setting('event_engine_update.duties')::jsonb)
	AS d (role oid, duty text);

SELECT event_engine.announce_update();
SELECT set_config('role', current_setting('event_engine_update.role'), true);
