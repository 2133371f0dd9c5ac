/*
 * capture_table.h
 *	  What is captured of a table, resolved and remembered.
 */
#ifndef EE_CAPTURE_TABLE_H
#define EE_CAPTURE_TABLE_H

#include "postgres.h"

#include "commands/trigger.h"
#include "utils/jsonb.h"

typedef enum EeCaptureOperation
{
	EE_CAPTURE_INSERTED,
	EE_CAPTURE_UPDATED,
	EE_CAPTURE_DELETED,
	EE_CAPTURE_TRUNCATED
} EeCaptureOperation;

#define EE_CAPTURE_NOPERATIONS	(EE_CAPTURE_TRUNCATED + 1)

/* How a value becomes JSON; all else goes through to_jsonb(). */
typedef enum EeCaptureKind
{
	EE_CAPTURE_BOOL,
	EE_CAPTURE_INT2,
	EE_CAPTURE_INT4,
	EE_CAPTURE_INT8,
	EE_CAPTURE_TEXT,
	EE_CAPTURE_JSONB,
	EE_CAPTURE_OTHER
} EeCaptureKind;

typedef struct EeCaptureColumn
{
	AttrNumber	attnum;			/* in the table whose row it is */
	char	   *name;
	bool		byval;
	int16		typlen;
	EeCaptureKind kind;
	FmgrInfo	to_jsonb;		/* of kind OTHER */
} EeCaptureColumn;

typedef struct EeCaptureTable
{
	Oid			trigger;		/* hash key */
	bool		complete;		/* filled in */
	bool		valid;			/* and nothing has changed since */
	MemoryContext context;		/* of all that follows */
	Oid			relid;			/* whose row it is: maybe a partition */
	Oid			root;			/* whose changes are captured */
	Oid			owner;			/* of root, who publishes them */
	char	   *name;			/* of root; without schema when that is public */
	Jsonb	   *source;
	char	   *patterns[EE_CAPTURE_NOPERATIONS];
	EeCaptureColumn *columns;
	int			n_columns;
	EeCaptureColumn *keys;
	int			n_keys;
} EeCaptureTable;

/*
 * What the trigger captures.  Stays as it is until the end of the
 * transaction, whatever happens to the table.
 */
extern const EeCaptureTable *ee_capture_table_lookup(const TriggerData *trigger);

#endif							/* EE_CAPTURE_TABLE_H */
