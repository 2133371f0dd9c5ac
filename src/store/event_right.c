/*
 * event_right.c
 *	  The SQL faces of rights to events.
 *
 * Asked once per row by views and policies, hence what is known of a pattern
 * is looked up and not worked out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "registry/event_grant.h"
#include "store/metadata_tag.h"

static bool is_granted(FunctionCallInfo fcinfo, Oid role,
					   EePrivilege privilege, int first, bool any_tenant);

PG_FUNCTION_INFO_V1(ee_sql_may_read);
PG_FUNCTION_INFO_V1(ee_sql_may_subscribe);

/* may_read(pattern text, metadata jsonb) RETURNS boolean; metadata null: {} */
Datum
ee_sql_may_read(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_granted(fcinfo, GetUserId(), EE_PRIVILEGE_READ, 0,
							  false));
}

/*
 * may_subscribe(role oid, pattern text, metadata jsonb) RETURNS boolean;
 * metadata null: of any tenant at all
 */
Datum
ee_sql_may_subscribe(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!PG_ARGISNULL(0) &&
				   is_granted(fcinfo, PG_GETARG_OID(0),
							  EE_PRIVILEGE_SUBSCRIBE, 1, true));
}

/* Of the arguments pattern and metadata, from the first on. */
static bool
is_granted(FunctionCallInfo fcinfo, Oid role, EePrivilege privilege,
		   int first, bool any_tenant)
{
	text	   *pattern;
	const EeGranted *granted;
	const char *tenant = NULL;
	int			len = 0;

	if (PG_ARGISNULL(first))
		return false;
	pattern = PG_GETARG_TEXT_PP(first);
	granted = ee_event_grant_lookup(role, privilege, VARDATA_ANY(pattern),
									VARSIZE_ANY_EXHDR(pattern));
	if (granted->all || granted->n_tenants == 0)
		return granted->all;
	if (PG_ARGISNULL(first + 1))
		return any_tenant;
	tenant = ee_metadata_tag(PG_GETARG_JSONB_P(first + 1), EE_TAG_TENANT,
							 &len);
	return ee_event_grant_includes(granted, tenant, len);
}
