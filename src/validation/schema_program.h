/*
 * schema_program.h
 *	  The compiled form of a JSON Schema: an array of nodes, one for each
 *	  schema object that can be reached.
 *
 * A node keeps its assertions sorted by the type of instance that they speak
 * of, so that a string never meets a keyword for objects.  Subschemas are
 * numbers of nodes.  An edge holds two: where the schema text points (the
 * report walks that, to give the path as written) and where that leads in the
 * end once references that say nothing else are followed (the boolean
 * evaluation walks that).
 */
#ifndef EE_SCHEMA_PROGRAM_H
#define EE_SCHEMA_PROGRAM_H

#include "postgres.h"

#include "utils/numeric.h"

#include "validation/schema_format.h"
#include "validation/schema_regex.h"
#include "validation/schema_value.h"

typedef uint32 EeNodeId;

#define EE_NODE_TRUE	((EeNodeId) 0)
#define EE_NODE_FALSE	((EeNodeId) 1)
#define EE_NODE_NONE	PG_UINT32_MAX

#define EE_NO_LIMIT		PG_UINT32_MAX

typedef struct EeEdge
{
	EeNodeId	node;			/* as written */
	EeNodeId	fast;			/* with bare references followed */
} EeEdge;

typedef struct EeName
{
	const char *data;
	uint32		len;
} EeName;

/* a bound on numbers, exact and as an integer where it is one */
typedef enum EeBoundKind
{
	EE_BOUND_MINIMUM,
	EE_BOUND_EXCLUSIVE_MINIMUM,
	EE_BOUND_MAXIMUM,
	EE_BOUND_EXCLUSIVE_MAXIMUM,
	EE_BOUND_MULTIPLE_OF,
} EeBoundKind;

typedef struct EeBound
{
	EeBoundKind kind;
	bool		whole;			/* integer says all there is */
	int64		integer;
	Numeric		value;
	const char *keyword;		/* draft 4 spells exclusive bounds otherwise */
} EeBound;

typedef struct EeNumberRules
{
	int			nbounds;
	EeBound    *bounds;
} EeNumberRules;

typedef struct EeStringRules
{
	uint32		min_length;
	uint32		max_length;
	EeRegex    *pattern;
	EeFormatCheck format;		/* NULL where it is only an annotation */
	const char *format_name;
	const char *content_encoding;	/* where it is asserted */
	const char *content_media_type;
} EeStringRules;

typedef struct EeArrayRules
{
	uint32		min_items;
	uint32		max_items;
	uint32		min_contains;
	uint32		max_contains;
	bool		unique;
	bool		tuple;			/* items was an array: old spelling */
	int			nprefix;
	EeEdge	   *prefix;
	EeEdge		rest;
	EeEdge		contains;
	EeEdge		unevaluated;
	bool		contains_evaluates; /* 2020-12: contains marks items */
} EeArrayRules;

typedef struct EeProperty
{
	const char *name;
	uint32		len;
	uint16		types;			/* of the edge's node: the cheap test */
	bool		leaf;			/* and there is no other */
	bool		required;
	bool		declared;		/* named in properties */
	EeEdge		edge;
} EeProperty;

typedef struct EePatternProperty
{
	EeRegex    *regex;
	EeEdge		edge;
} EePatternProperty;

typedef struct EeDependency
{
	EeName		name;
	const char *keyword;
	int			nrequired;
	EeName	   *required;
	bool		has_value;		/* only where the property is the string value */
	EeName		value;
	EeEdge		edge;			/* EE_NODE_NONE where names are listed */
} EeDependency;

typedef struct EeObjectRules
{
	uint32		min_properties;
	uint32		max_properties;
	uint32		nrequired;
	uint32		nproperties;
	EeProperty *properties;		/* sorted as jsonb sorts keys */
	int			npatterns;
	EePatternProperty *patterns;
	int			ndependencies;
	EeDependency *dependencies;
	EeEdge		additional;
	EeEdge		names;
	EeEdge		unevaluated;
} EeObjectRules;

typedef struct EeHashed
{
	uint32		hash;
	EeValue		value;
} EeHashed;

/* the values of enum, or the one of const */
typedef struct EeEnum
{
	uint16		types;			/* types that occur */
	int			nstrings;
	EeName	   *strings;		/* sorted by (length, bytes) */
	int			nothers;
	EeHashed   *others;			/* numbers, arrays, objects; by hash */
	const char *text;			/* the keyword's value, shortened */
} EeEnum;

/* in-place applicators */
typedef enum EeGroupKind
{
	EE_GROUP_REF,
	EE_GROUP_DYNAMIC_REF,
	EE_GROUP_ALL_OF,
	EE_GROUP_ANY_OF,
	EE_GROUP_ONE_OF,
	EE_GROUP_NOT,
	EE_GROUP_IF,				/* edges: if, then, else */
} EeGroupKind;

typedef struct EeGroup
{
	EeGroupKind kind;
	int			nedges;
	EeEdge	   *edges;
	int			anchor;			/* of a dynamic reference */
	const char *keyword;
} EeGroup;

#define EE_NODE_STRICT_INTEGER	0x01	/* draft 4: 1.0 is not an integer */
#define EE_NODE_LEAF			0x02	/* nothing but types */
#define EE_NODE_UNEVALUATED		0x04	/* has unevaluated* */

typedef struct EeNode
{
	uint16		types;
	uint8		flags;
	int			resource;
	const EeNumberRules *number;
	const EeStringRules *string;
	const EeArrayRules *array;
	const EeObjectRules *object;
	const EeEnum *constant;
	const EeEnum *enumeration;
	int			ngroups;
	const EeGroup *groups;
} EeNode;

/* a dynamic anchor of a resource: where a dynamic reference may lead */
typedef struct EeDynamicAnchor
{
	int			resource;
	int			anchor;
	EeNodeId	node;
} EeDynamicAnchor;

/* a keyword that asserts nothing, or not only: an annotation */
typedef struct EeNote
{
	const char *keyword;
	bool		strings;		/* it speaks of strings alone */
	EeValue		value;
} EeNote;

/* what an output tells of a schema, beside what the schema demands */
typedef struct EeDescription
{
	const char *location;		/* URI, NULL if it has none */
	int			nnotes;
	EeNote	   *notes;
} EeDescription;

struct EeSchema
{
	MemoryContext context;
	uint32		nnodes;
	EeNode	   *nodes;
	EeEdge		root;
	bool		dynamic;		/* has dynamic references */
	int			nanchors;
	EeDynamicAnchor *anchors;
	EeDescription *descriptions;	/* of each node; NULL unless asked for */
};

/* called for each edge of a node; in_place: it sees the same instance */
typedef void (*EeEdgeVisitor) (EeEdge *edge, bool in_place, void *arg);

extern void ee_schema_program_visit(const EeNode *node,
									EeEdgeVisitor visitor, void *arg);

#endif							/* EE_SCHEMA_PROGRAM_H */
