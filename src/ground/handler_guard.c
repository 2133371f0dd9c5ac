/*
 * handler_guard.c
 *	  What the server leaves open to a restricted handler.
 *
 * Temporary types are looked for before those of pg_catalog.  A restricted
 * operation may make no temporary tables, but not all minor releases keep it
 * from making a domain pg_temp.text, whose CHECK the session's own
 * user would then call.  Domains, enums and ranges are the types that do not
 * come with a relation.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/handler_guard.h"
#include "ground/identity.h"

static object_access_hook_type next_hook = NULL;

static void object_access(ObjectAccessType access, Oid class_id,
						  Oid object_id, int sub_id, void *arg);
static bool is_temporary_type(Oid oid);

void
ee_handler_guard_init(void)
{
	next_hook = object_access_hook;
	object_access_hook = object_access;
}

static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id,
			  int sub_id, void *arg)
{
	if (next_hook != NULL)
		next_hook(access, class_id, object_id, sub_id, arg);
	if (access == OAT_POST_CREATE && class_id == TypeRelationId &&
		ee_identity_in_handler() && is_temporary_type(object_id))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot create a type in a temporary schema within security-restricted operation")));
}

/* Its row is not visible to the caches yet. */
static bool
is_temporary_type(Oid oid)
{
	Relation	rel = table_open(TypeRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		result = false;

	ScanKeyInit(&key, Anum_pg_type_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, TypeOidIndexId, true, SnapshotSelf, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_type type = (Form_pg_type) GETSTRUCT(tuple);

		result = (type->typtype == TYPTYPE_DOMAIN ||
				  type->typtype == TYPTYPE_ENUM ||
				  type->typtype == TYPTYPE_RANGE ||
				  type->typtype == TYPTYPE_MULTIRANGE) &&
			isAnyTempNamespace(type->typnamespace);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}
