/*
 * trace.c
 *	  What happened because of what, as a tree.
 *
 * trace_nodes() finds what belongs to a correlation, and says of each node
 * what caused it; here these are put in the order of a tree, in linear time
 * and without recursion, however long a chain of causes is.
 *
 * Whoever publishes may claim any cause: where nodes cause one another in a
 * ring, the first of them is taken for the root.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "routing/routing_cache.h"

/* Beyond this depth the tree is not indented further. */
#define MAX_INDENTED	40
#define NO_NODE			(-1)

/* Columns of trace_nodes(). */
enum
{
	NODE_KEY = 1,
	NODE_PARENT,
	NODE_KIND,
	NODE_NAME,
	NODE_STATE,
	NODE_AT,
	NODE_DETAIL,
	NODE_ID,
	NODE_EVENT_ID,
	NODE_PAYLOAD,
	NODE_CREATED_BY,
	NODE_SEQ
};

/* Columns of trace_events(). */
enum
{
	OUT_TREE,
	OUT_STATE,
	OUT_ELAPSED,
	OUT_DETAIL,
	OUT_KIND,
	OUT_DEPTH,
	OUT_NAME,
	OUT_AT,
	OUT_ID,
	OUT_CAUSED_BY,
	OUT_EVENT_ID,
	OUT_PAYLOAD,
	OUT_CREATED_BY,
	OUT_SEQ,
	N_OUT
};

/* Nodes are known by their position among the rows. */
typedef struct TraceNode
{
	int			parent;
	int			first_child;
	int			last_child;
	int			next;			/* with the same parent */
	int			depth;
	bool		shown;
} TraceNode;

typedef struct KeyEntry
{
	char		key[NAMEDATALEN];	/* hash key */
	int			node;
} KeyEntry;

typedef struct Tree
{
	SPITupleTable *rows;
	int			n;
	TraceNode	   *nodes;
	TimestampTz begin;			/* of the first event */
	ReturnSetInfo *result;
} Tree;

/* Does a subscription want an event? */
typedef struct Asked
{
	EeSubscription *subscription;
	EeEvent    *event;
	bool		wants;
} Asked;

static void link_nodes(Tree *tree);
static HTAB *hash_keys(Tree *tree);
static char *text_at(Tree *tree, int node, int column);
static void cut(Tree *tree, int node);
static void show_below(Tree *tree, int root);
static void show_node(Tree *tree, int at);
static Datum caused_by(Tree *tree, int node, bool *isnull);
static void ask_matcher(void *arg);

PG_FUNCTION_INFO_V1(ee_sql_trace_events);
PG_FUNCTION_INFO_V1(ee_sql_event_subscriptions);

/* trace_events(correlation_id text, max_events integer, deliveries boolean) */
Datum
ee_sql_trace_events(PG_FUNCTION_ARGS)
{
	static EePlan find =
		EE_PLAN("SELECT * FROM event_engine.trace_nodes($1, $2, $3)",
				"text", "int4", "bool");
	Tree		tree = {0};
	EePlanFrame frame;
	Datum		values[3];

	for (int i = 0; i < lengthof(values); i++)
		values[i] = PG_GETARG_DATUM(i);
	if (PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	InitMaterializedSRF(fcinfo, 0);
	tree.result = (ReturnSetInfo *) fcinfo->resultinfo;

	ee_plan_begin(&frame);
	ee_plan_execute(&find, values, NULL, false, 0);
	tree.rows = SPI_tuptable;
	tree.n = SPI_processed;
	tree.nodes = palloc_extended(sizeof(TraceNode) * Max(tree.n, 1),
								 MCXT_ALLOC_HUGE);
	link_nodes(&tree);
	for (int i = 0; i < tree.n; i++)
		if (tree.nodes[i].parent == NO_NODE)
			show_below(&tree, i);
	/* what is left are rings, and what hangs on them */
	for (int i = 0; i < tree.n; i++)
		if (!tree.nodes[i].shown)
		{
			int			slow = i;
			int			fast = i;

			/* go up to the ring, and round it for its first node */
			do
			{
				slow = tree.nodes[slow].parent;
				fast = tree.nodes[tree.nodes[fast].parent].parent;
			} while (slow != fast);
			for (int at = tree.nodes[slow].parent; at != slow;
				 at = tree.nodes[at].parent)
				fast = Min(fast, at);
			cut(&tree, fast);
			show_below(&tree, fast);
		}
	ee_plan_end(&frame);
	return (Datum) 0;
}

static void
link_nodes(Tree *tree)
{
	HTAB	   *keys = hash_keys(tree);

	tree->begin = DT_NOEND;
	for (int i = 0; i < tree->n; i++)
	{
		TraceNode	   *node = &tree->nodes[i];

		node->first_child = node->last_child = node->next = NO_NODE;
		node->parent = NO_NODE;
		node->depth = 0;
		node->shown = false;
	}
	for (int i = 0; i < tree->n; i++)
	{
		TraceNode	   *node = &tree->nodes[i];
		char	   *parent = text_at(tree, i, NODE_PARENT);
		KeyEntry   *entry = NULL;
		bool		isnull;
		Datum		at = SPI_getbinval(tree->rows->vals[i],
									   tree->rows->tupdesc, NODE_AT, &isnull);

		if (!isnull)
			tree->begin = Min(tree->begin, DatumGetTimestampTz(at));
		if (parent != NULL)
			entry = hash_search(keys, parent, HASH_FIND, NULL);
		if (entry == NULL)
			continue;
		node->parent = entry->node;
		if (tree->nodes[entry->node].first_child == NO_NODE)
			tree->nodes[entry->node].first_child = i;
		else
			tree->nodes[tree->nodes[entry->node].last_child].next = i;
		tree->nodes[entry->node].last_child = i;
	}
	hash_destroy(keys);
}

static HTAB *
hash_keys(Tree *tree)
{
	HASHCTL		control = {.keysize = NAMEDATALEN,
	.entrysize = sizeof(KeyEntry), .hcxt = CurrentMemoryContext};
	HTAB	   *keys = hash_create("event_engine nodes of a trace",
								   Max(tree->n, 1), &control,
								   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);

	for (int i = 0; i < tree->n; i++)
	{
		char	   *key = text_at(tree, i, NODE_KEY);
		bool		found;
		KeyEntry   *entry;

		if (key == NULL)
			continue;
		Assert(strlen(key) < NAMEDATALEN);
		entry = hash_search(keys, key, HASH_ENTER, &found);
		if (!found)
			entry->node = i;
	}
	return keys;
}

static char *
text_at(Tree *tree, int node, int column)
{
	return SPI_getvalue(tree->rows->vals[node], tree->rows->tupdesc, column);
}

/* Take a node from under its parent. */
static void
cut(Tree *tree, int node)
{
	TraceNode  *parent = &tree->nodes[tree->nodes[node].parent];
	int		   *link = &parent->first_child;

	while (*link != node)
		link = &tree->nodes[*link].next;
	*link = tree->nodes[node].next;
	tree->nodes[node].parent = tree->nodes[node].next = NO_NODE;
}

/* Depth first, by the links alone. */
static void
show_below(Tree *tree, int root)
{
	int			at = root;

	for (;;)
	{
		TraceNode	   *node = &tree->nodes[at];

		CHECK_FOR_INTERRUPTS();
		if (!node->shown)
		{
			show_node(tree, at);
			node->shown = true;
			if (node->first_child != NO_NODE)
			{
				tree->nodes[node->first_child].depth = node->depth + 1;
				at = node->first_child;
				continue;
			}
		}
		while (at != root && tree->nodes[at].next == NO_NODE)
			at = tree->nodes[at].parent;
		if (at == root)
			return;
		tree->nodes[tree->nodes[at].next].depth = tree->nodes[at].depth;
		at = tree->nodes[at].next;
	}
}

static void
show_node(Tree *tree, int at)
{
	static const int columns[N_OUT] = {
		[OUT_STATE] = NODE_STATE,
		[OUT_DETAIL] = NODE_DETAIL,
		[OUT_KIND] = NODE_KIND,
		[OUT_NAME] = NODE_NAME,
		[OUT_AT] = NODE_AT,
		[OUT_ID] = NODE_ID,
		[OUT_EVENT_ID] = NODE_EVENT_ID,
		[OUT_PAYLOAD] = NODE_PAYLOAD,
		[OUT_CREATED_BY] = NODE_CREATED_BY,
		[OUT_SEQ] = NODE_SEQ
	};
	TraceNode	   *node = &tree->nodes[at];
	char	   *kind = text_at(tree, at, NODE_KIND);
	char	   *name = text_at(tree, at, NODE_NAME);
	const char *mark = strcmp(kind, "delivery") == 0 ? "-> " :
		strcmp(kind, "event") == 0 ? "" : psprintf("%s ", kind);
	char	   *line;
	Datum		values[N_OUT];
	bool		nulls[N_OUT] = {false};

	for (int i = 0; i < N_OUT; i++)
		if (columns[i] != 0)
			values[i] = SPI_getbinval(tree->rows->vals[at],
									  tree->rows->tupdesc, columns[i],
									  &nulls[i]);
	line = psprintf("%*s%s%s", 2 * Min(node->depth, MAX_INDENTED), "", mark,
					name);
	values[OUT_TREE] = CStringGetTextDatum(line);
	values[OUT_DEPTH] = Int32GetDatum(node->depth);
	nulls[OUT_ELAPSED] = nulls[OUT_AT];
	if (!nulls[OUT_AT])
		values[OUT_ELAPSED] =
			DirectFunctionCall2(timestamp_mi, values[OUT_AT],
								TimestampTzGetDatum(tree->begin));
	values[OUT_CAUSED_BY] = caused_by(tree, at, &nulls[OUT_CAUSED_BY]);
	tuplestore_putvalues(tree->result->setResult, tree->result->setDesc,
						 values, nulls);
	pfree(DatumGetPointer(values[OUT_TREE]));
	pfree(line);
	pfree(name);
	pfree(kind);
}

/* The id of an event or a workflow: what is above it, or above that step. */
static Datum
caused_by(Tree *tree, int node, bool *isnull)
{
	int			parent = tree->nodes[node].parent;
	char	   *key;

	while (parent != NO_NODE &&
		   strcmp(text_at(tree, parent, NODE_KIND), "step") == 0)
		parent = tree->nodes[parent].parent;
	*isnull = parent == NO_NODE;
	if (*isnull)
		return (Datum) 0;
	key = text_at(tree, parent, NODE_KEY);
	return DirectFunctionCall1(uuid_in, CStringGetDatum(key));
}

/* ---------------------------------------------------------- subscriptions */

/* event_subscriptions(event): numbers of the subscriptions that want it */
Datum
ee_sql_event_subscriptions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	EeEvent		event;
	text	   *pattern;
	ListCell   *lc;

	ee_envelope_deform(PG_GETARG_DATUM(0), &event);
	pattern = DatumGetTextPP(EE_EVENT_VALUE(&event, EE_EVENT_PATTERN));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, ee_routing_cache_candidates(&event))
	{
		EeSubscription *subscription = lfirst(lc);
		Asked		asked = {subscription, &event, false};
		Datum		number = Int32GetDatum(asked.subscription->number);
		bool		isnull = false;

		asked.wants = ee_match_pattern(subscription->matcher,
									   VARDATA_ANY(pattern),
									   VARSIZE_ANY_EXHDR(pattern));
		if (asked.wants && ee_match_needs_content(subscription->matcher))
		{
			ErrorData  *error = ee_subtransaction_run(ask_matcher, &asked);

			if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
				ReThrowError(error);
		}
		if (asked.wants)
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &number,
								 &isnull);
	}
	return (Datum) 0;
}

static void
ask_matcher(void *arg)
{
	Asked	   *asked = arg;

	asked->wants = ee_match_event(asked->subscription->matcher, asked->event);
}
