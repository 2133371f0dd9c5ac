/*
 * workflow_definition.c
 *	  Definitions of workflows, ready for use.
 *
 * All of them are read at first use, and again after any change.  The handler
 * of a definition is looked up once and kept, with what its language has
 * prepared for it, until the catalogs change.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/option.h"
#include "registry/definition_version.h"
#include "workflow/workflow_definition.h"

/* The columns of event_engine.workflow_definitions. */
typedef enum DefinitionAttr
{
	ATTR_ID = 1,
	ATTR_NAME,
	ATTR_VERSION,
	ATTR_OWNER,
	ATTR_NUMBER,
	ATTR_HANDLER,
	ATTR_DESCRIPTION,
	ATTR_OPTIONS,
	ATTR_STATUS
} DefinitionAttr;

typedef struct DefinitionEntry
{
	pg_uuid_t	id;				/* the key */
	EeWorkflow *workflow;
} DefinitionEntry;

static void refresh(void);
static void retire(void);
static HTAB *load(MemoryContext context);
static EeWorkflow *from_slot(TupleTableSlot *slot);
static char *text_of(TupleTableSlot *slot, DefinitionAttr attr);
static bool takes_steps(Oid function, bool *answers);

static MemoryContext cache_context = NULL;
static HTAB *cache = NULL;
static uint64 cache_generation = 0;

/* of which a workflow was found last, to be started by its name alone */
static EeWorkflow *latest = NULL;

/*
 * What a step that is being taken may still use, while the cache is a newer
 * one, until the end of the transaction that has retired it.
 */
static List *retired = NIL;
static TimestampTz retired_in = 0;

EeWorkflow *
ee_workflow_definition_by_id(const pg_uuid_t *id)
{
	DefinitionEntry *entry;

	refresh();
	entry = hash_search(cache, id, HASH_FIND, NULL);
	return entry == NULL ? NULL : entry->workflow;
}

EeWorkflow *
ee_workflow_definition_find(const char *name, const char *version)
{
	HASH_SEQ_STATUS status;
	DefinitionEntry *entry;
	EeWorkflow *best = NULL;

	refresh();
	if (version == NULL && latest != NULL && strcmp(latest->name, name) == 0)
		return latest;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		EeWorkflow *workflow = entry->workflow;

		if (strcmp(workflow->name, name) != 0)
			continue;
		if (version != NULL ? strcmp(workflow->version, version) == 0 :
			workflow->active &&
			(best == NULL ||
			 ee_definition_version_compare(workflow->version,
										   strlen(workflow->version),
										   best->version,
										   strlen(best->version)) > 0))
			best = workflow;
	}
	if (version == NULL)
		latest = best;
	return best;
}

static void
refresh(void)
{
	uint64		generation = ee_invalidate_watch(EE_REL_WORKFLOW_DEFINITIONS);
	MemoryContext context;

	if (cache != NULL && cache_generation == generation)
		return;
	retire();
	context = AllocSetContextCreate(CacheMemoryContext,
									"event_engine workflows",
									ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		cache = load(context);
	}
	PG_CATCH();
	{
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	cache_context = context;
	cache_generation = generation;
}

/* The handler of a step may change the definition that it is called by. */
static void
retire(void)
{
	MemoryContext old = MemoryContextSwitchTo(CacheMemoryContext);
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	ListCell   *lc;

	if (retired_in != now)
	{
		foreach(lc, retired)
			MemoryContextDelete(lfirst(lc));
		list_free(retired);
		retired = NIL;
	}
	retired_in = now;
	if (cache_context != NULL)
		retired = lappend(retired, cache_context);
	cache_context = NULL;
	cache = NULL;
	latest = NULL;
	MemoryContextSwitchTo(old);
}

static HTAB *
load(MemoryContext context)
{
	HASHCTL		info = {.keysize = sizeof(pg_uuid_t),.entrysize = sizeof(DefinitionEntry)};
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel;
	TableScanDesc scan;
	TupleTableSlot *slot;
	HTAB	   *result;

	info.hcxt = context;
	result = hash_create("event_engine workflows", 64, &info,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_DEFINITIONS),
					 AccessShareLock);
	slot = table_slot_create(rel, NULL);
	PushActiveSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		EeWorkflow *workflow = from_slot(slot);
		DefinitionEntry *entry = hash_search(result, &workflow->id, HASH_ENTER,
											 NULL);

		entry->workflow = workflow;
		workflow->handler_name.context = context;
	}
	table_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(old);
	return result;
}

/* The defaults are those of event_engine.workflow_options(). */
static EeWorkflow *
from_slot(TupleTableSlot *slot)
{
	EeWorkflow *workflow = palloc0(sizeof(EeWorkflow));
	Jsonb	   *options;

	slot_getallattrs(slot);
	workflow->id = *DatumGetUUIDP(slot->tts_values[ATTR_ID - 1]);
	workflow->name = text_of(slot, ATTR_NAME);
	workflow->version = text_of(slot, ATTR_VERSION);
	workflow->owner = DatumGetObjectId(slot->tts_values[ATTR_OWNER - 1]);
	workflow->number = DatumGetInt32(slot->tts_values[ATTR_NUMBER - 1]);
	workflow->handler = text_of(slot, ATTR_HANDLER);
	workflow->active = strcmp(text_of(slot, ATTR_STATUS), "active") == 0;
	options = DatumGetJsonbP(slot->tts_values[ATTR_OPTIONS - 1]);
	workflow->max_attempts =
		(int) ee_option_number(options, "max_attempts", 5);
	ee_backoff_read(&workflow->backoff, options);
	workflow->timeout_ms =
		(int) ee_option_number(options, "timeout_ms", 30000);
	workflow->instance_timeout_ms =
		ee_option_number(options, "instance_timeout_ms", 0);
	return workflow;
}

static char *
text_of(TupleTableSlot *slot, DefinitionAttr attr)
{
	if (slot->tts_isnull[attr - 1])
		return NULL;
	return TextDatumGetCString(slot->tts_values[attr - 1]);
}

/* ----------------------------------------------------------------- handler */

void
ee_workflow_definition_prepare(EeWorkflow *workflow)
{
	uint64		before = workflow->handler_name.generation;
	Oid			oid = ee_handler_find(workflow->handler,
									  &workflow->handler_name);

	if (OidIsValid(workflow->function.fn_oid) &&
		workflow->function.fn_oid == oid &&
		workflow->handler_name.generation == before)
		return;
	workflow->function.fn_oid = InvalidOid;
	if (!takes_steps(oid, &workflow->answers))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("function %s cannot take the steps of a workflow",
						workflow->handler),
				 errhint("It takes event_engine.workflow_instance and event_engine.workflow_resumption, and returns jsonb or void, or is a procedure.")));
	/* one that is running may be called further up the stack */
	if (workflow->function_context == NULL || ee_handler_running())
		workflow->function_context =
			AllocSetContextCreate(workflow->handler_name.context,
								  "event_engine step function",
								  ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(workflow->function_context);
	fmgr_info_cxt(oid, &workflow->function, workflow->function_context);
}

static bool
takes_steps(Oid function, bool *answers)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	*answers = proc->prorettype == JSONBOID;
	result = (proc->prokind == PROKIND_FUNCTION ||
			  proc->prokind == PROKIND_PROCEDURE) &&
		!proc->proretset && proc->pronargs == 2 &&
		proc->proargtypes.values[0] == ee_extension_workflow_instance_type() &&
		proc->proargtypes.values[1] == ee_extension_workflow_resumption_type() &&
		(*answers || proc->prorettype == VOIDOID);
	ReleaseSysCache(tuple);
	return result;
}
