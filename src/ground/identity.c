/*
 * identity.c
 *	  Act as somebody else for a while.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "ground/extension.h"
#include "ground/identity.h"

/* What the server has where nobody has set anything. */
#define DEFAULT_SEARCH_PATH "\"$user\", public"

/* Who has called a function that acts in his name; InvalidOid: not known. */
static Oid	caller = InvalidOid;

/*
 * Owner of the handler that runs in a session of somebody else.  An error may
 * leave it behind: it counts as long as operations are restricted.
 */
static Oid	handler_owner = InvalidOid;

static char *path_setting(Oid database, Oid role);
static bool names_pg_temp(const char *path);
static void become(EeIdentity *saved, Oid userid, int sec_context);

void
ee_identity_engine(EeIdentity *saved)
{
	become(saved, ee_identity_engine_role(), SECURITY_LOCAL_USERID_CHANGE);
}

Oid
ee_identity_engine_role(void)
{
	Oid			relid = ee_extension_relid(EE_REL_SUBSCRIPTIONS);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	/* nothing is locked yet, and where it was may have been remembered */
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("extension \"event_engine\" has been dropped")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

void
ee_identity_handler(EeIdentity *saved, Oid owner)
{
	become(saved, owner,
		   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	saved->guc_level = NewGUCNestLevel();
	handler_owner = owner;
	caller = InvalidOid;
}

bool
ee_identity_in_handler(void)
{
	return InSecurityRestrictedOperation() && OidIsValid(handler_owner);
}

Oid
ee_identity_set_caller(Oid role)
{
	Oid			before = caller;

	caller = role;
	return before;
}

Oid
ee_identity_caller(void)
{
	if (OidIsValid(caller))
		return caller;
	if (ee_identity_in_handler())
		return handler_owner;
	return GetOuterUserId();
}

static void
become(EeIdentity *saved, Oid userid, int sec_context)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	saved->guc_level = 0;
	saved->handler = handler_owner;
	saved->caller = caller;
	SetUserIdAndSecContext(userid, saved->sec_context | sec_context);
}

/*
 * By what ALTER ROLE and ALTER DATABASE have set; what postgresql.conf says
 * cannot be told from here, where the session's own user has another.
 */
void
ee_identity_search_path(Oid role)
{
	const Oid	scopes[][2] = {{MyDatabaseId, role}, {InvalidOid, role},
	{MyDatabaseId, InvalidOid}, {InvalidOid, InvalidOid}};
	char	   *path = NULL;

	for (int i = 0; path == NULL && i < lengthof(scopes); i++)
		path = path_setting(scopes[i][0], scopes[i][1]);
	if (path == NULL)
		path = DEFAULT_SEARCH_PATH;
	if (!names_pg_temp(path))
		path = path[0] == '\0' ? "pg_temp" : psprintf("%s, pg_temp", path);
	(void) set_config_option("search_path", path, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static char *
path_setting(Oid database, Oid role)
{
	static const char name[] = "search_path=";
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;
	char	   *path = NULL;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL,
							  2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		config = heap_getattr(tuple,
										  Anum_pg_db_role_setting_setconfig,
										  RelationGetDescr(rel), &isnull);
		Datum	   *settings;
		int			n = 0;

		if (!isnull)
			deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false,
							  TYPALIGN_INT, &settings, NULL, &n);
		for (int i = 0; i < n; i++)
		{
			char	   *setting = TextDatumGetCString(settings[i]);

			if (strncmp(setting, name, sizeof(name) - 1) == 0)
				path = setting + sizeof(name) - 1;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return path;
}

static bool
names_pg_temp(const char *path)
{
	List	   *names = NIL;
	ListCell   *lc;
	bool		found = false;

	/* one that cannot be parsed is refused where it is set */
	if (!SplitIdentifierString(pstrdup(path), ',', &names))
		return true;
	foreach(lc, names)
		found |= strcmp(lfirst(lc), "pg_temp") == 0;
	return found;
}

void
ee_identity_restore(const EeIdentity *saved)
{
	if (saved->guc_level != 0)
	{
		AtEOXact_GUC(false, saved->guc_level);
		handler_owner = saved->handler;
		caller = saved->caller;
	}
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}
