/*
 * schema_report_state.h
 *	  What the files of the report share: where it stands, what it has found.
 *
 * A report either makes violations or, while the branches of a choice are
 * compared, only weighs them; the walk is the same.
 */
#ifndef EE_SCHEMA_REPORT_STATE_H
#define EE_SCHEMA_REPORT_STATE_H

#include "postgres.h"

#include "validation/schema_problem.h"
#include "validation/schema_program.h"
#include "validation/schema_report.h"
#include "validation/schema_track.h"

/* how far a branch is from matching a value, so far */
typedef struct EeWeighing
{
	const EePath *value;		/* where the value of the choice is */
	int			distance;
	int			limit;			/* from here on it is too far */
	int			violations;
	int			constants;		/* what wrong ones of the value itself weigh */
} EeWeighing;

typedef struct EeReport
{
	const EeSchema *program;
	const EeScope *scope;
	List	   *violations;		/* EeViolation */
	int			count;			/* of them, in a tree at all depths */
	int			max;
	int			visits;			/* of nodes, so far */
	uint32		asked;			/* size of the container asked of last */
	int			suggestions;	/* of similar names, so far */
	bool		tree;			/* violations of a schema belong together */
	EeWeighing *weighing;		/* or NULL: violations are made */
	EeNodeId	node;			/* where the report stands, and */
	const EePath *node_path;	/* the way there */
} EeReport;

/* where the report stands: in the instance and in the schema */
typedef struct EeHere
{
	EeValue		v;
	const EePath *instance;
	const EePath *keyword;
} EeHere;

/* Is there no use in looking any further? */
static inline bool
ee_schema_report_full(const EeReport *r)
{
	return r->count >= r->max;
}

/* in schema_report.c: a schema against a value */
extern void ee_schema_report_node(EeReport *r, EeNodeId id,
								  const EeHere *here, EeTrack *track);
extern void ee_schema_report_in_place(EeReport *r, const EeEdge *edge,
									  const EeHere *here, const char *keyword,
									  int index, EeTrack *track);

/* in schema_report_scalar.c: types, constants, numbers and strings */
extern void ee_schema_report_type(EeReport *r, const EeNode *node,
								  const EeHere *here);
extern void ee_schema_report_enum(EeReport *r, const EeEnum *set,
								  const char *keyword, const EeHere *here);
extern void ee_schema_report_number(EeReport *r, const EeNumberRules *rules,
									const EeHere *here);
extern void ee_schema_report_string(EeReport *r, const EeStringRules *rules,
									const EeHere *here);

/* in schema_report_container.c: arrays and objects */
extern void ee_schema_report_array(EeReport *r, const EeArrayRules *rules,
								   const EeHere *here, EeTrack *track);
extern void ee_schema_report_object(EeReport *r, const EeNode *node,
									const EeHere *here, EeTrack *track);
extern void ee_schema_report_unevaluated(EeReport *r, const EeNode *node,
										 const EeHere *here, EeTrack *track);

/* in schema_report_group.c: schemas that see the same value */
extern void ee_schema_report_weigh(EeReport *r, const EeHere *here,
								   const char *keyword);
extern void ee_schema_report_group(EeReport *r, const EeGroup *group,
								   const EeHere *here, EeTrack *track);

#endif							/* EE_SCHEMA_REPORT_STATE_H */
