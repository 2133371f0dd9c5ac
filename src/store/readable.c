/*
 * readable.c
 *	  May the current user read an event?
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

PG_FUNCTION_INFO_V1(ee_sql_may_read);

/* may_read(pattern text, metadata jsonb) RETURNS boolean; metadata null: {} */
Datum
ee_sql_may_read(PG_FUNCTION_ARGS)
{
	text	   *pattern;
	const EeGranted *granted;
	const char *tenant = NULL;
	int			len = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	pattern = PG_GETARG_TEXT_PP(0);
	granted = ee_event_grant_lookup(GetUserId(), EE_PRIVILEGE_READ,
									VARDATA_ANY(pattern),
									VARSIZE_ANY_EXHDR(pattern));
	if (granted->all || granted->n_tenants == 0)
		PG_RETURN_BOOL(granted->all);
	if (!PG_ARGISNULL(1))
		tenant = ee_metadata_tag(PG_GETARG_JSONB_P(1), EE_TAG_TENANT, &len);
	PG_RETURN_BOOL(ee_event_grant_includes(granted, tenant, len));
}
