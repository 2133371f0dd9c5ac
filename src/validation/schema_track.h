/*
 * schema_track.h
 *	  What an evaluation remembers of its way: resources entered, and which
 *	  children of an instance have been evaluated.
 */
#ifndef EE_SCHEMA_TRACK_H
#define EE_SCHEMA_TRACK_H

#include "postgres.h"

#include "utils/memutils.h"

#include "validation/schema_program.h"

/* the resources entered on the way, innermost first */
typedef struct EeScope
{
	const struct EeScope *outer;
	int			resource;
} EeScope;

/* which children of one instance have been evaluated: a bit each */
#define EE_TRACK_WORDS		4

typedef struct EeTrack
{
	uint32		nwords;
	uint64	   *bits;
	uint64		local[EE_TRACK_WORDS];
} EeTrack;

static inline void
ee_track_set(EeTrack *track, uint32 i)
{
	track->bits[i / 64] |= UINT64CONST(1) << (i % 64);
}

static inline bool
ee_track_is_set(const EeTrack *track, uint32 i)
{
	return (track->bits[i / 64] >> (i % 64)) & 1;
}

static inline void
ee_track_begin(EeTrack *track, EeValue v)
{
	track->nwords = EE_VALUE_COUNT(v) / 64 + 1;
	track->bits = track->local;
	if (track->nwords > EE_TRACK_WORDS)
		track->bits = MemoryContextAllocHuge(CurrentMemoryContext,
											 track->nwords * sizeof(uint64));
	memset(track->bits, 0, track->nwords * sizeof(uint64));
}

static inline void
ee_track_end(EeTrack *track)
{
	if (track->bits != track->local)
		pfree(track->bits);
}

static inline void
ee_track_merge(EeTrack *into, const EeTrack *from)
{
	uint32		i;

	for (i = 0; i < into->nwords; i++)
		into->bits[i] |= from->bits[i];
}

static inline void
ee_track_all(EeTrack *track)
{
	memset(track->bits, 0xFF, track->nwords * sizeof(uint64));
}

/* In schema_eval.c: one node on one value, on a way already gone. */
extern bool ee_schema_eval_node(const EeSchema *program, EeNodeId id,
								EeValue v, const EeScope *scope,
								EeTrack *track);
extern bool ee_schema_eval_depends(const EeDependency *dependency,
								   EeValue object);
extern EeNodeId ee_schema_eval_dynamic(const EeSchema *program,
									   const EeGroup *group,
									   const EeScope *scope);

#endif							/* EE_SCHEMA_TRACK_H */
