/*
 * similar.h
 *	  Which of the names known is the one that was meant?
 */
#ifndef EE_SIMILAR_H
#define EE_SIMILAR_H

#include "postgres.h"

#include "mb/pg_wchar.h"

#define EE_SIMILAR_CHARS	255 /* longer names are not compared */

typedef struct EeSimilar
{
	pg_wchar	name[EE_SIMILAR_CHARS + 1];
	int			len;			/* characters; -1: too long */
	int			edits;			/* more than that is not similar */
	const char *best;			/* NULL: none */
	uint32		best_len;		/* bytes */
} EeSimilar;

extern void ee_similar_begin(EeSimilar *similar, const char *name, uint32 len);
extern void ee_similar_offer(EeSimilar *similar, const char *name,
							 uint32 len);

#endif							/* EE_SIMILAR_H */
