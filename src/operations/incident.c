/*
 * incident.c
 *	  Publish what processes have met: denied access, failed workers, ...
 *
 * Whoever is denied something cannot publish it, as his transaction is rolled
 * back.  All such errors pass the server's log, ours and those of its own
 * checks, so they are noticed there: those whose statement, message or
 * context speaks of event_engine.  An error that somebody has caught is not
 * seen there.  Of a statement nothing is kept, for it may hold secrets.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/shared_incident.h"
#include "operations/incident.h"
#include "store/engine_event.h"

static const char *const patterns[EE_N_INCIDENT_KINDS] = {
	[EE_INCIDENT_DENIED] = "system.access.denied",
	[EE_INCIDENT_WORKER_FAILED] = "system.worker.failed",
	[EE_INCIDENT_CIRCUIT_OPENED] = "system.circuit.opened",
	[EE_INCIDENT_CIRCUIT_CLOSED] = "system.circuit.closed",
	[EE_INCIDENT_QUEUE_HIGH] = "system.queue.high",
	[EE_INCIDENT_QUEUE_NORMAL] = "system.queue.normal"
};

static emit_log_hook_type next_hook = NULL;

static void notice(ErrorData *error);
static bool is_ours(const ErrorData *error);
static bool speaks_of_us(const char *text);
static void publish(const EeIncident *incident, uint32 missed);
static Jsonb *payload_of(const EeIncident *incident, uint32 missed);
static void publish_service(const EeUnit *unit, const char *pattern);
static Jsonb *ask(EePlan *plan, Datum *values, const char *nulls);

void
ee_incident_init(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = notice;
}

/* ------------------------------------------------------------------ noticing */

static void
notice(ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE &&
		error->elevel >= ERROR && is_ours(error))
		ee_shared_incident_note(EE_INCIDENT_DENIED, error->message, 0);
	if (next_hook != NULL)
		next_hook(error);
}

static bool
is_ours(const ErrorData *error)
{
	return speaks_of_us(error->context) || speaks_of_us(error->message) ||
		speaks_of_us(error->detail) || speaks_of_us(debug_query_string);
}

static bool
speaks_of_us(const char *text)
{
	return text != NULL && strstr(text, "event_engine") != NULL;
}

/* ---------------------------------------------------------------- publishing */

/* One transaction for all that is there. */
void
ee_incident_publish(const EeUnit *unit)
{
	EeIncident	incident;
	uint32		missed;

	if (!ee_shared_incident_take(&incident))
		return;
	missed = ee_shared_incident_missed();
	unit->begin();
	do
	{
		CHECK_FOR_INTERRUPTS();
		publish(&incident, missed);
		missed = 0;
	} while (ee_shared_incident_take(&incident));
	unit->commit();
}

static void
publish(const EeIncident *incident, uint32 missed)
{
	const char *pattern = patterns[incident->kind];

	if (ee_engine_event_wanted(pattern))
		ee_engine_event_publish(pattern, payload_of(incident, missed), NULL,
								NULL);
}

static Jsonb *
payload_of(const EeIncident *incident, uint32 missed)
{
	static EePlan denied =
		EE_PLAN("SELECT jsonb_build_object('message', $1, 'count', $2, 'at', $3, "
				"'by', jsonb_strip_nulls(jsonb_build_object("
				"'sessionUser', pg_get_userbyid($4), "
				"'role', pg_get_userbyid($5), 'application', NULLIF($6, ''), "
				"'client', NULLIF($7, ''), 'pid', $8))) || "
				"CASE WHEN $9 > 0 THEN jsonb_build_object('missed', $9) "
				"ELSE '{}' END",
				"text", "int4", "timestamptz", "oid", "oid", "text", "text",
				"int4", "int4");
	static EePlan failed =
		EE_PLAN("SELECT jsonb_build_object('role', pg_get_userbyid($1), "
				"'pid', $2, 'count', $3, 'at', $4)",
				"oid", "int4", "int4", "timestamptz");
	static EePlan queue =
		EE_PLAN("SELECT jsonb_strip_nulls(jsonb_build_object("
				"'subscriber', NULLIF($1, ''), 'depth', $2, 'at', $3))",
				"text", "int8", "timestamptz");
	static EePlan circuit =
		EE_PLAN("SELECT jsonb_build_object('subscriber', $1, 'at', $2)",
				"text", "timestamptz");
	Datum		values[9];

	switch (incident->kind)
	{
		case EE_INCIDENT_DENIED:
			values[0] = CStringGetTextDatum(incident->text);
			values[1] = Int32GetDatum(incident->count);
			values[2] = TimestampTzGetDatum(incident->at);
			values[3] = ObjectIdGetDatum(incident->session);
			values[4] = ObjectIdGetDatum(incident->role);
			values[5] = CStringGetTextDatum(incident->application);
			values[6] = CStringGetTextDatum(incident->client);
			values[7] = Int32GetDatum(incident->pid);
			values[8] = Int32GetDatum((int32) Min(missed, PG_INT32_MAX));
			return ask(&denied, values, NULL);
		case EE_INCIDENT_WORKER_FAILED:
			values[0] = ObjectIdGetDatum(incident->session);
			values[1] = Int32GetDatum(incident->pid);
			values[2] = Int32GetDatum(incident->count);
			values[3] = TimestampTzGetDatum(incident->at);
			return ask(&failed, values, NULL);
		case EE_INCIDENT_QUEUE_HIGH:
		case EE_INCIDENT_QUEUE_NORMAL:
			values[0] = CStringGetTextDatum(incident->text);
			values[1] = Int64GetDatum(incident->number);
			values[2] = TimestampTzGetDatum(incident->at);
			return ask(&queue, values, NULL);
		default:
			values[0] = CStringGetTextDatum(incident->text);
			values[1] = TimestampTzGetDatum(incident->at);
			return ask(&circuit, values, NULL);
	}
}

/* In CurrentMemoryContext. */
static Jsonb *
ask(EePlan *plan, Datum *values, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	MemoryContext old;
	Jsonb	   *result;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(plan, values, nulls, true, 1);
	old = MemoryContextSwitchTo(context);
	result = DatumGetJsonbPCopy(ee_plan_value(0, 1, &isnull));
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return result;
}

void
ee_incident_started(const EeUnit *unit)
{
	publish_service(unit, "system.service.started");
}

void
ee_incident_stopped(const EeUnit *unit)
{
	publish_service(unit, "system.service.stopped");
}

static void
publish_service(const EeUnit *unit, const char *pattern)
{
	static EePlan service =
		EE_PLAN("SELECT jsonb_build_object('version', $1, "
				"'pid', pg_backend_pid(), 'database', current_database(), "
				"'serverStartedAt', pg_postmaster_start_time())", "text");
	Datum		value;

	unit->begin();
	if (ee_engine_event_wanted(pattern))
	{
		value = CStringGetTextDatum(EE_VERSION);
		ee_engine_event_publish(pattern, ask(&service, &value, NULL), NULL,
								NULL);
	}
	unit->commit();
}
