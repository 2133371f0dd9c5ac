/*
 * registry_row.h
 *	  Rows of the registry's tables, read as the server reads its catalogs.
 */
#ifndef EE_REGISTRY_ROW_H
#define EE_REGISTRY_ROW_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

#include "ground/extension.h"

/* columns, as in sql/10_registry_state.sql */
typedef enum EeDefinitionAttr
{
	EE_DEFINITION_ID = 1,
	EE_DEFINITION_EVENT_ID,
	EE_DEFINITION_NAME,
	EE_DEFINITION_DESCRIPTION,
	EE_DEFINITION_PATTERN,
	EE_DEFINITION_VERSION,
	EE_DEFINITION_SOURCE_TYPES,
	EE_DEFINITION_PAYLOAD_SCHEMA,
	EE_DEFINITION_EXAMPLES,
	EE_DEFINITION_UI_METADATA,
	EE_DEFINITION_STATUS,
	EE_DEFINITION_OPTIONS
} EeDefinitionAttr;

typedef enum EeVersionAttr
{
	EE_VERSION_DEFINITION_ID = 1,
	EE_VERSION_VERSION,
	EE_VERSION_SOURCE_TYPES,
	EE_VERSION_PAYLOAD_SCHEMA,
	EE_VERSION_EXAMPLES,
	EE_VERSION_STATUS,
	EE_VERSION_OPTIONS
} EeVersionAttr;

typedef enum EeSchemaAttr
{
	EE_SCHEMA_URI = 1,
	EE_SCHEMA_DOCUMENT
} EeSchemaAttr;

typedef enum EeRuleAttr
{
	EE_RULE_DEFINITION_ID = 1,
	EE_RULE_NAME,
	EE_RULE_SORT_ORDER,
	EE_RULE_PATH,
	EE_RULE_FUNCTION,
	EE_RULE_OWNER,
	EE_RULE_MESSAGE,
	EE_RULE_ENABLED
} EeRuleAttr;

/* Which version of a row was read: no two versions have the same. */
typedef struct EeRowIdentity
{
	TransactionId xmin;
	ItemPointerData tid;
} EeRowIdentity;

typedef struct EeRowScan
{
	Relation	relation;
	SysScanDesc scan;
} EeRowScan;

#define EE_ROW_MAX_KEYS 2

/*
 * Begin to read a table, through a unique index (its name) where keys are
 * given.  Rows stay valid, and can be detoasted, until the next one and until
 * the end.  Sees what is committed now and what this transaction did,
 * whatever its isolation level; needs no privilege.
 */
extern void ee_registry_row_begin(EeRowScan *scan, EeRelation relation,
								  const char *index, int nkeys,
								  const AttrNumber *attrs,
								  const Datum *values);
extern HeapTuple ee_registry_row_next(EeRowScan *scan);
extern void ee_registry_row_end(EeRowScan *scan);

extern Datum ee_registry_row_get(EeRowScan *scan, HeapTuple tuple,
								 AttrNumber attr, bool *isnull);
extern EeRowIdentity ee_registry_row_identity(HeapTuple tuple);
extern bool ee_registry_row_same(EeRowIdentity a, EeRowIdentity b);

#endif							/* EE_REGISTRY_ROW_H */
