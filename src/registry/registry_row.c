/*
 * registry_row.c
 *	  Rows of the registry's tables, read as the server reads its catalogs.
 *
 * Promises the newest committed state, and the own changes: a cache filled
 * with the old snapshot of a REPEATABLE READ transaction would never be told
 * that there is something newer, since it was told already.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "storage/lockdefs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "registry/registry_row.h"

void
ee_registry_row_begin(EeRowScan *scan, EeRelation relation,
					  const char *index, int nkeys,
					  const AttrNumber *attrs, const Datum *values)
{
	Relation	rel = table_open(ee_extension_relid(relation), AccessShareLock);
	ScanKeyData keys[EE_ROW_MAX_KEYS];
	Oid			index_oid = InvalidOid;
	int			i;

	Assert(nkeys <= EE_ROW_MAX_KEYS);

	for (i = 0; i < nkeys; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), attrs[i] - 1);

		ScanKeyEntryInitialize(&keys[i], 0, attrs[i], BTEqualStrategyNumber,
							   InvalidOid, attr->attcollation,
							   attr->atttypid == UUIDOID ? F_UUID_EQ : F_TEXTEQ,
							   values[i]);
	}
	if (index != NULL)
		index_oid = get_relname_relid(index, RelationGetNamespace(rel));

	scan->relation = rel;
	scan->scan = systable_beginscan(rel, index_oid, OidIsValid(index_oid),
									NULL, nkeys, keys);
}

HeapTuple
ee_registry_row_next(EeRowScan *scan)
{
	return systable_getnext(scan->scan);
}

void
ee_registry_row_end(EeRowScan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->relation, AccessShareLock);
}

Datum
ee_registry_row_get(EeRowScan *scan, HeapTuple tuple, AttrNumber attr,
					bool *isnull)
{
	return heap_getattr(tuple, attr, RelationGetDescr(scan->relation), isnull);
}

EeRowIdentity
ee_registry_row_identity(HeapTuple tuple)
{
	EeRowIdentity identity;

	identity.xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	identity.tid = tuple->t_self;

	return identity;
}

bool
ee_registry_row_same(EeRowIdentity a, EeRowIdentity b)
{
	return a.xmin == b.xmin && ItemPointerEquals(&a.tid, &b.tid);
}
