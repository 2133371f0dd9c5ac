/*
 * schema_compat_state.h
 *	  What the files of the comparison of schemas share.
 *
 * The question is always: is each value of which something is known (it is
 * valid under some nodes of one program) valid under a node of the other?
 */
#ifndef EE_SCHEMA_COMPAT_STATE_H
#define EE_SCHEMA_COMPAT_STATE_H

#include "postgres.h"

#include "validation/schema_compat.h"
#include "validation/schema_problem.h"
#include "validation/schema_program.h"

/* What is known of a value: each of these nodes holds, none of nots does. */
typedef struct EeKnown
{
	const EeSchema *program;
	uint16		types;			/* that it may have; 0: there is no such value */
	int			n;
	int			nnots;
	int			nsplits;
	int			max;			/* room in each of the three */
	EeNodeId   *nodes;			/* $ref and allOf followed */
	EeNodeId   *nots;
	const EeGroup **splits;		/* anyOf, oneOf of which a branch is in nodes */
} EeKnown;

/* The node that is to be shown to hold. */
typedef struct EeGoal
{
	const EeSchema *program;
	EeNodeId	id;
	const EePath *path;
} EeGoal;

typedef struct EeCompatMemo EeCompatMemo;

typedef struct EeCompat
{
	const EeSchema *old_schema;
	EeCompatDirection direction;
	MemoryContext result;		/* of breaks */
	List	   *breaks;
	int			quiet;			/* above 0: only asking */
	int			steps;
	int			depth;			/* of properties, while looking for a difference */
	EeCompatMemo *memo;
} EeCompat;

/* in schema_compat.c */
extern bool ee_compat_holds(EeCompat *cx, const EeKnown *known,
							const EeGoal *goal);
extern bool ee_compat_holds_quietly(EeCompat *cx, const EeKnown *known,
									const EeGoal *goal);
extern bool ee_compat_disjoint(EeCompat *cx, const EeKnown *known,
							   const EeSchema *program, EeNodeId id);

/* in schema_compat_known.c */
extern EeKnown *ee_compat_known(const EeSchema *program);
extern EeKnown *ee_compat_known_copy(const EeKnown *known);
extern void ee_compat_known_add(EeKnown *known, EeNodeId id);
extern void ee_compat_known_not(EeKnown *known, EeNodeId id);
extern void ee_compat_known_split(EeKnown *known, const EeGroup *group);
extern bool ee_compat_known_values(const EeKnown *known, EeValue **values,
								   int *n, const char **text);
extern bool ee_compat_known_requires(const EeKnown *known, const char *name,
									 uint32 len);
extern EeKnown *ee_compat_known_property(const EeKnown *known,
										 const char *name, uint32 len);
extern bool ee_compat_known_forbids(const EeKnown *known, const char *name,
									uint32 len);

/* in schema_compat_scalar.c and schema_compat_container.c */
extern bool ee_compat_type(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal);
extern bool ee_compat_number(EeCompat *cx, const EeKnown *known,
							 const EeGoal *goal);
extern bool ee_compat_string(EeCompat *cx, const EeKnown *known,
							 const EeGoal *goal);
extern bool ee_compat_array(EeCompat *cx, const EeKnown *known,
							const EeGoal *goal);
extern bool ee_compat_object(EeCompat *cx, const EeKnown *known,
							 const EeGoal *goal);

/* in schema_compat_report.c; false, so that it can end a test */
extern bool ee_compat_break(EeCompat *cx, const EeKnown *known,
							const EePath *path, const char *keyword,
							const char *known_text, const char *goal_text,
							const char *why);
extern bool ee_compat_unproven(EeCompat *cx, const EeKnown *known,
							   const EeGoal *goal, const char *keyword,
							   const char *what);
extern char *ee_compat_types(uint16 types);
extern char *ee_compat_limit(uint32 limit, uint32 none);
extern char *ee_compat_describe(const EeSchema *program, EeNodeId id);
extern char *ee_compat_describe_known(const EeKnown *known);
extern EeGoal ee_compat_goal(const EeGoal *goal, const EeEdge *edge,
							 const char *keyword, const char *name,
							 int len);

static inline const EeNode *
ee_compat_node(const EeGoal *goal)
{
	return &goal->program->nodes[goal->id];
}

#endif							/* EE_SCHEMA_COMPAT_STATE_H */
