/*
 * broken.c
 *	  Subscriptions that cannot be delivered until a person has mended them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "delivery/broken.h"
#include "ground/compat.h"
#include "ground/identity.h"
#include "ground/plan.h"

void
ee_broken_mark(const EeSubscription *subscription, const char *reason)
{
	static EePlan update =
		EE_PLAN("UPDATE event_engine.subscriptions SET status = 'broken', "
				"status_reason = $2, updated_at = pg_catalog.clock_timestamp() "
				"WHERE number = $1 AND status = 'active'", "int4", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];

	ereport(LOG,
			(errmsg("subscription \"%s\" is broken: %s",
					subscription->subscriber, reason),
			 errhint("Mend it, then call event_engine.resume_subscription().")));
	values[0] = Int32GetDatum(subscription->number);
	values[1] = CStringGetTextDatum(reason);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&update, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

const char *
ee_broken_owner(const EeSubscription *subscription)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID,
										ObjectIdGetDatum(subscription->owner));
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
		return "its owner does not exist any more";
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!can_login && !EE_NOLOGIN_WORKERS)
		return "its owner may not log in, which handlers need before PostgreSQL 17";
	return NULL;
}
