/*
 * jsonb_writer.h
 *	  Jsonb whose shape is known beforehand, written from front to end.
 */
#ifndef EE_JSONB_WRITER_H
#define EE_JSONB_WRITER_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* an array or object that is being written */
typedef struct EeJsonbPart
{
	int			start;			/* of its bytes in the buffer */
	int			entries;		/* of its JEntry array */
	uint32		next;			/* the entry that comes next */
	uint32		size;			/* of what the entries so far say */
} EeJsonbPart;

extern void ee_jsonb_writer_begin(StringInfo buf);
extern Jsonb *ee_jsonb_writer_end(StringInfo buf);
extern void ee_jsonb_writer_object(StringInfo buf, EeJsonbPart *object,
								   const char *const *keys, int nkeys);
extern void ee_jsonb_writer_array(StringInfo buf, EeJsonbPart *array,
								  int nitems);
extern void ee_jsonb_writer_close(StringInfo buf, EeJsonbPart *part,
								  EeJsonbPart *parent);
extern void ee_jsonb_writer_string(StringInfo buf, EeJsonbPart *parent,
								   const char *data, int len);
extern void ee_jsonb_writer_bool(StringInfo buf, EeJsonbPart *parent,
								 bool value);
extern void ee_jsonb_writer_null(StringInfo buf, EeJsonbPart *parent);
extern void ee_jsonb_writer_numeric(StringInfo buf, EeJsonbPart *parent,
									Numeric value);
extern void ee_jsonb_writer_container(StringInfo buf, EeJsonbPart *parent,
									  const void *data, int len);

#endif							/* EE_JSONB_WRITER_H */
