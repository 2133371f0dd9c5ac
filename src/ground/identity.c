/*
 * identity.c
 *	  Act as somebody else for a while.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "catalog/pg_class.h"

#include "ground/extension.h"
#include "ground/identity.h"

static void become(EeIdentity *saved, Oid userid, int sec_context);

void
ee_identity_engine(EeIdentity *saved)
{
	Oid			relid = ee_extension_relid(EE_REL_SUBSCRIPTIONS);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	become(saved, owner, SECURITY_LOCAL_USERID_CHANGE);
}

void
ee_identity_handler(EeIdentity *saved, Oid owner)
{
	become(saved, owner,
		   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	saved->guc_level = NewGUCNestLevel();
}

static void
become(EeIdentity *saved, Oid userid, int sec_context)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	saved->guc_level = 0;
	SetUserIdAndSecContext(userid, saved->sec_context | sec_context);
}

void
ee_identity_restore(const EeIdentity *saved)
{
	if (saved->guc_level != 0)
		AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}
