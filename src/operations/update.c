/*
 * update.c
 *	  What ALTER EXTENSION UPDATE does that SQL cannot.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "ground/invalidate.h"
#include "ground/plan.h"
#include "ground/shared.h"

PG_FUNCTION_INFO_V1(ee_sql_announce_update);
PG_FUNCTION_INFO_V1(ee_sql_grant_duty_again);

/* announce_update() RETURNS void */
Datum
ee_sql_announce_update(PG_FUNCTION_ARGS)
{
	ee_invalidate_announce_extension();
	ee_shared_note_changed();
	PG_RETURN_VOID();
}

/*
 * grant_duty_again(duty text, role regrole) RETURNS void
 *
 * What a script of an extension grants becomes part of the initial privileges
 * of the object, together with all others that it has, and a dump leaves
 * those out.
 */
Datum
ee_sql_grant_duty_again(PG_FUNCTION_ARGS)
{
	static EePlan grant =
		EE_PLAN("SELECT event_engine.settle_duty($1, $2, true, "
				"$1 IN ('operator', 'admin') OR event_engine.has_grant("
				"event_engine.privilege_of_duty($1), $2, true))",
				"text", "regrole");
	const bool	creating = creating_extension;
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	EePlanFrame frame;

	creating_extension = false;
	PG_TRY();
	{
		ee_plan_begin(&frame);
		ee_plan_execute(&grant, values, NULL, false, 0);
		ee_plan_end(&frame);
	}
	PG_FINALLY();
	{
		creating_extension = creating;
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}
