/*
 * event_right.c
 *	  Whether a role has a right to one event, and the SQL faces of that.
 *
 * Asked once per row by views and policies, hence what is known of a pattern
 * is looked up and not worked out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "store/event_right.h"
#include "store/metadata_tag.h"

static bool is_granted(FunctionCallInfo fcinfo, Oid role,
					   EePrivilege privilege, int first, bool any_tenant);

PG_FUNCTION_INFO_V1(ee_sql_may_read);
PG_FUNCTION_INFO_V1(ee_sql_may_subscribe);

bool
ee_event_right(Oid role, EePrivilege privilege, const char *pattern, int len,
			   Jsonb *metadata)
{
	const EeGranted *granted = ee_event_grant_lookup(role, privilege, pattern,
													 len);
	int			tenant_len = 0;
	const char *tenant;

	if (granted->all || granted->n_tenants == 0)
		return granted->all;
	tenant = ee_metadata_tag(metadata, EE_TAG_TENANT, &tenant_len);
	return ee_event_grant_includes(granted, tenant, tenant_len);
}

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
	const EeGranted *granted;
	text	   *pattern;
	const char *name;
	int			len;

	if (PG_ARGISNULL(first))
		return false;
	pattern = PG_GETARG_TEXT_PP(first);
	name = VARDATA_ANY(pattern);
	len = VARSIZE_ANY_EXHDR(pattern);
	if (!PG_ARGISNULL(first + 1))
		return ee_event_right(role, privilege, name, len,
							  PG_GETARG_JSONB_P(first + 1));
	granted = ee_event_grant_lookup(role, privilege, name, len);
	return granted->all || (any_tenant && granted->n_tenants > 0);
}
