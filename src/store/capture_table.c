/*
 * capture_table.c
 *	  What is captured of a table, resolved and remembered.
 *
 * The trigger's one argument says it, written by capture_changes():
 *
 *	{"prefix": "shop.orders", "table": 16433,
 *	 "columns": ["id", "total"], "columnNumbers": [1, 4],
 *	 "key": ["id"], "keyNumbers": [1]}
 *
 * Without columns all are captured, those added later too; without key it is
 * the primary key, or else the replica identity's index.  Names are what
 * counts, since they survive a dump; where a name is gone and the table is
 * still the one of that OID, its column has been renamed and the number leads
 * to it.  A column that was dropped is captured no more.
 *
 * Callbacks only mark what is remembered as outdated.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ground/jsonb_push.h"
#include "store/capture_table.h"

static HTAB *tables = NULL;

static void init(void);
static void resolve(EeCaptureTable *table, const TriggerData *trigger);
static Oid	root_of(const Trigger *trigger, Oid relid);
static Oid	owner_of(Oid relid);
static void set_names(EeCaptureTable *table, Jsonb *argument);
static void set_columns(EeCaptureTable *table, Relation rel, Jsonb *argument);
static int	named_columns(EeCaptureTable *table, Relation rel,
						  Jsonb *argument, const char *names,
						  const char *numbers, EeCaptureColumn **columns);
static AttrNumber find_column(TupleDesc desc, const char *name);
static void key_of_index(EeCaptureTable *table, Relation rel);
static void set_column(EeCaptureColumn *column, TupleDesc desc,
					   AttrNumber attnum);
static Jsonb *argument_of(const TriggerData *trigger);
static JsonbValue *member(Jsonb *object, const char *key, JsonbValue *value);
static void relation_changed(Datum arg, Oid relid);
static void namespace_changed(Datum arg, int cacheid, uint32 hashvalue);
static void bad_argument(const TriggerData *trigger);

const EeCaptureTable *
ee_capture_table_lookup(const TriggerData *trigger)
{
	Oid			oid = trigger->tg_trigger->tgoid;
	EeCaptureTable *table;
	bool		found;

	if (unlikely(tables == NULL))
		init();
	table = hash_search(tables, &oid, HASH_FIND, NULL);
	if (likely(table != NULL && table->complete && table->valid &&
			   table->relid == RelationGetRelid(trigger->tg_relation)))
		return table;

	table = hash_search(tables, &oid, HASH_ENTER, &found);
	/* a call further up the stack may be using what it points to */
	if (found && table->context != NULL)
		MemoryContextSetParent(table->context, TopTransactionContext);
	memset(table, 0, sizeof(*table));
	table->trigger = oid;
	table->context = AllocSetContextCreate(CacheMemoryContext,
										   "event_engine captured table",
										   ALLOCSET_SMALL_SIZES);
	resolve(table, trigger);
	return table;
}

static void
init(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(EeCaptureTable),
		.hcxt = CacheMemoryContext
	};

	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, namespace_changed, (Datum) 0);
	tables = hash_create("event_engine captured tables", 64, &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	EeCaptureTable *table;

	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || table->relid == relid ||
			table->root == relid)
			table->valid = false;
}

static void
namespace_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed((Datum) 0, InvalidOid);
}

/*
 * Fill in the entry.  It is marked valid first, so that a change that is
 * noticed while we look takes the mark away again, and complete last, in case
 * of an error.
 */
static void
resolve(EeCaptureTable *table, const TriggerData *trigger)
{
	Relation	rel = trigger->tg_relation;
	MemoryContext old = MemoryContextSwitchTo(table->context);
	Jsonb	   *argument = argument_of(trigger);

	table->relid = RelationGetRelid(rel);
	table->root = table->relid;
	table->valid = true;
	if (trigger->tg_trigger->tgisclone)
		table->root = root_of(trigger->tg_trigger, table->relid);
	table->owner = owner_of(table->root);
	set_names(table, argument);
	set_columns(table, rel, argument);
	table->complete = true;
	MemoryContextSwitchTo(old);
}

/* The table that the trigger was made on, for that of a partition. */
static Oid
root_of(const Trigger *trigger, Oid relid)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	Oid			oid = trigger->tgoid;

	while (OidIsValid(oid))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(oid));
		scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1,
								  &key);
		tuple = systable_getnext(scan);
		oid = InvalidOid;
		if (HeapTupleIsValid(tuple))
		{
			relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
			oid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid;
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return relid;
}

/* ALTER TABLE OWNER is noticed like any other change of the table. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
set_names(EeCaptureTable *table, Jsonb *argument)
{
	static const char *const operations[] = {
		"inserted", "updated", "deleted", "truncated"
	};
	char	   *schema = get_namespace_name(get_rel_namespace(table->root));
	char	   *relname = get_rel_name(table->root);
	char	   *id;
	JsonbParseState *state = NULL;
	JsonbValue	prefix;

	if (schema == NULL || relname == NULL)
		elog(ERROR, "cache lookup failed for relation %u", table->root);
	id = psprintf("%s.%s", schema, relname);
	table->name = strcmp(schema, "public") == 0 ? relname : id;

	(void) member(argument, "prefix", &prefix);
	for (int i = 0; i < EE_CAPTURE_NOPERATIONS; i++)
		table->patterns[i] = psprintf("%.*s.%s", prefix.val.string.len,
									  prefix.val.string.val, operations[i]);

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "type", "integration");
	ee_jsonb_push_text(&state, "id", id);
	table->source = ee_jsonb_push_end(&state);
}

static void
set_columns(EeCaptureTable *table, Relation rel, Jsonb *argument)
{
	TupleDesc	desc = RelationGetDescr(rel);
	JsonbValue	value;

	if (member(argument, "columns", &value) != NULL)
		table->n_columns = named_columns(table, rel, argument, "columns",
										 "columnNumbers", &table->columns);
	else
	{
		table->columns = palloc0(sizeof(EeCaptureColumn) * desc->natts);
		table->n_columns = 0;
		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(desc, i);

			/* a virtual generated column is not in the row */
			if (!attribute->attisdropped && attribute->attgenerated != 'v')
				set_column(&table->columns[table->n_columns++], desc, i + 1);
		}
	}

	if (member(argument, "key", &value) != NULL)
		table->n_keys = named_columns(table, rel, argument, "key",
									  "keyNumbers", &table->keys);
	else
		key_of_index(table, rel);
}

static int
named_columns(EeCaptureTable *table, Relation rel, Jsonb *argument,
			  const char *names, const char *numbers,
			  EeCaptureColumn **columns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	JsonbValue	list;
	JsonbValue	number_list;
	JsonbValue	value;
	bool		same_table;
	int			n_names;
	int			n = 0;

	same_table = member(argument, "table", &value) != NULL &&
		value.type == jbvNumeric &&
		DatumGetInt64(DirectFunctionCall1(numeric_int8,
										  NumericGetDatum(value.val.numeric))) ==
		(int64) table->root &&
		member(argument, numbers, &number_list) != NULL &&
		number_list.type == jbvBinary;

	(void) member(argument, names, &list);
	n_names = JsonContainerSize(list.val.binary.data);
	*columns = palloc0(sizeof(EeCaptureColumn) * Max(n_names, 1));
	for (int i = 0; i < n_names; i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(list.val.binary.data,
														 i);
		AttrNumber	attnum = find_column(desc,
										 pnstrdup(name->val.string.val,
												  name->val.string.len));

		if (attnum == InvalidAttrNumber && same_table)
		{
			JsonbValue *number =
				getIthJsonbValueFromContainer(number_list.val.binary.data, i);
			char	   *current = NULL;

			if (number != NULL && number->type == jbvNumeric)
				current = get_attname(table->root,
									  DatumGetInt32(DirectFunctionCall1(numeric_int4,
																		NumericGetDatum(number->val.numeric))),
									  true);
			if (current != NULL)
				attnum = find_column(desc, current);
		}
		if (attnum != InvalidAttrNumber)
			set_column(&(*columns)[n++], desc, attnum);
	}
	return n;
}

static AttrNumber
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped &&
			strcmp(NameStr(attribute->attname), name) == 0)
			return i + 1;
	}
	return InvalidAttrNumber;
}

/* The primary key, or what identifies rows to replicas; else nothing does. */
static void
key_of_index(EeCaptureTable *table, Relation rel)
{
	Oid			index_oid;
	Relation	index;

	table->n_keys = 0;
	list_free(RelationGetIndexList(rel));	/* for what it finds out */
	index_oid = OidIsValid(rel->rd_pkindex) ? rel->rd_pkindex :
		rel->rd_replidindex;
	if (!OidIsValid(index_oid))
		return;
	index = index_open(index_oid, AccessShareLock);
	table->keys = palloc0(sizeof(EeCaptureColumn) *
						  index->rd_index->indnkeyatts);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		if (index->rd_index->indkey.values[i] > 0)
			set_column(&table->keys[table->n_keys++], RelationGetDescr(rel),
					   index->rd_index->indkey.values[i]);
	index_close(index, AccessShareLock);
}

static void
set_column(EeCaptureColumn *column, TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, attnum - 1);

	column->attnum = attnum;
	column->name = pstrdup(NameStr(attribute->attname));
	column->byval = attribute->attbyval;
	column->typlen = attribute->attlen;
	switch (getBaseType(attribute->atttypid))
	{
		case BOOLOID:
			column->kind = EE_CAPTURE_BOOL;
			break;
		case INT2OID:
			column->kind = EE_CAPTURE_INT2;
			break;
		case INT4OID:
			column->kind = EE_CAPTURE_INT4;
			break;
		case INT8OID:
			column->kind = EE_CAPTURE_INT8;
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			column->kind = EE_CAPTURE_TEXT;
			break;
		case JSONBOID:
			column->kind = EE_CAPTURE_JSONB;
			break;
		default:
			column->kind = EE_CAPTURE_OTHER;
			fmgr_info_cxt(F_TO_JSONB, &column->to_jsonb,
						  CurrentMemoryContext);
			fmgr_info_set_expr((Node *)
							   makeFuncExpr(F_TO_JSONB, JSONBOID,
											list_make1(makeNullConst(attribute->atttypid,
																	 -1,
																	 InvalidOid)),
											InvalidOid, InvalidOid,
											COERCE_EXPLICIT_CALL),
							   &column->to_jsonb);
			break;
	}
}

/* The argument, known to have the shape that we rely on. */
static Jsonb *
argument_of(const TriggerData *trigger)
{
	static const char *const lists[] = {"columns", "key"};
	const Trigger *t = trigger->tg_trigger;
	Jsonb	   *argument;
	JsonbValue	value;

	if (t->tgnargs != 1)
		bad_argument(trigger);
	argument = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												  CStringGetDatum(t->tgargs[0])));
	if (!JB_ROOT_IS_OBJECT(argument) ||
		member(argument, "prefix", &value) == NULL || value.type != jbvString)
		bad_argument(trigger);
	for (int i = 0; i < lengthof(lists); i++)
	{
		if (member(argument, lists[i], &value) == NULL)
			continue;
		if (value.type != jbvBinary ||
			!JsonContainerIsArray(value.val.binary.data))
			bad_argument(trigger);
		for (int n = 0; n < JsonContainerSize(value.val.binary.data); n++)
			if (getIthJsonbValueFromContainer(value.val.binary.data,
											  n)->type != jbvString)
				bad_argument(trigger);
	}
	return argument;
}

/* A member of an object; NULL when it is absent or null. */
static JsonbValue *
member(Jsonb *object, const char *key, JsonbValue *value)
{
	JsonbValue *found = getKeyJsonValueFromContainer(&object->root, key,
													 strlen(key), value);

	return found == NULL || found->type == jbvNull ? NULL : found;
}

static void
bad_argument(const TriggerData *trigger)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" on table \"%s\" has no valid argument for capture_row",
					trigger->tg_trigger->tgname,
					RelationGetRelationName(trigger->tg_relation)),
			 errhint("Let event_engine.capture_changes() make the trigger.")));
}
