/*
 * pattern_trie.c
 *	  Many patterns, and which of them a name matches.
 *
 * Segments of names and of wildcard patterns are separated by '.' or ':',
 * which count the same; `*` stands for exactly one segment, `#` for any
 * number of them, none included.
 *
 * All edges of the trie are in one hash table under (node, text).  Exact
 * names hang as a whole below the node NAMES, prefixes as a whole below
 * PREFIXES (tried once for each length that occurs), wildcard patterns
 * segment by segment below WILDCARDS.
 *
 * A lookup follows all ways at once, a set of nodes for each segment of the
 * name, so that several '#' cost no backtracking: a set never holds a node
 * twice.  The node behind a '#' edge keeps itself in the set for every
 * further segment, and is entered along with its parent, since '#' may stand
 * for nothing.
 *
 * Pure: knows no tables, no settings, and nothing of subscriptions.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "nodes/bitmapset.h"

#include "ground/pattern_trie.h"

/* nodes that are there from the start */
#define NO_NODE		0
#define NAMES		1
#define PREFIXES	2
#define WILDCARDS	3
#define FIRST_FREE	4

typedef struct EdgeKey
{
	uint32		parent;
	int			len;
	const char *text;
} EdgeKey;

typedef struct TrieEdge
{
	EdgeKey		key;
	uint32		child;
	uint32		hash;
	char		status;
} TrieEdge;

static inline uint32 edge_hash(EdgeKey key);
static inline bool edge_equal(EdgeKey a, EdgeKey b);

#define SH_PREFIX			edges
#define SH_ELEMENT_TYPE		TrieEdge
#define SH_KEY_TYPE			EdgeKey
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	edge_hash(k)
#define SH_EQUAL(tb, a, b)	edge_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, e)	((e)->hash)
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct TrieNode
{
	uint32		star;			/* child for any one segment */
	uint32		hash;			/* child for any number of segments */
	bool		is_hash;		/* is such a child itself */
	uint32		stamp;			/* of the set it was last put into */
	int			first_cell;		/* payloads of the patterns ending here, or -1 */
} TrieNode;

typedef struct TrieCell
{
	int			payload;
	int			next;
} TrieCell;

/* growable arrays of numbers */
typedef struct Numbers
{
	uint32	   *items;
	int			n;
	int			size;
} Numbers;

struct EePatternTrie
{
	MemoryContext context;
	edges_hash *edges;
	TrieNode	   *nodes;
	int			n_nodes;
	int			size_nodes;
	TrieCell	   *cells;
	int			n_cells;
	int			size_cells;
	Bitmapset  *prefix_lengths;
	uint32		stamp;
	Numbers		current;		/* where the lookup stands */
	Numbers		next;
	Numbers		found;			/* payloads */
};

static uint32 new_node(EePatternTrie *trie);
static uint32 child_node(EePatternTrie *trie, uint32 parent,
						 const char *text, int len);
static uint32 wildcard_node(EePatternTrie *trie, const char *value, int len);
static uint32 find_child(EePatternTrie *trie, uint32 parent,
						 const char *text, int len);
static void lookup_wildcards(EePatternTrie *trie, const char *name, int len);
static void new_set(EePatternTrie *trie, Numbers *set);
static void enter(EePatternTrie *trie, Numbers *set, uint32 node);
static void collect(EePatternTrie *trie, uint32 node);
static void append_number(EePatternTrie *trie, Numbers *array, uint32 item);
static int	segment_end(const char *text, int len, int start);

EePatternTrie *
ee_pattern_trie_create(void)
{
	EePatternTrie *trie = palloc0(sizeof(EePatternTrie));

	trie->context = CurrentMemoryContext;
	trie->edges = edges_create(trie->context, 16, NULL);
	while (trie->n_nodes < FIRST_FREE)
		new_node(trie);
	return trie;
}

void
ee_pattern_trie_add(EePatternTrie *trie, const EePattern *pattern,
					int payload)
{
	const char *value = pattern->value;
	int			len = pattern->len;
	MemoryContext old = MemoryContextSwitchTo(trie->context);
	uint32		node = NO_NODE;
	TrieCell	   *cell;

	switch (pattern->kind)
	{
		case EE_PATTERN_EXACT:
			node = child_node(trie, NAMES, value, len);
			break;
		case EE_PATTERN_PREFIX:
			node = child_node(trie, PREFIXES, value, len);
			trie->prefix_lengths = bms_add_member(trie->prefix_lengths, len);
			break;
		case EE_PATTERN_WILDCARD:
			node = wildcard_node(trie, value, len);
			break;
		case EE_PATTERN_REGEX:
			elog(ERROR, "a regular expression does not fit into a trie");
	}

	if (trie->n_cells == trie->size_cells)
	{
		trie->size_cells = Max(8, trie->size_cells * 2);
		trie->cells = trie->cells == NULL ?
			palloc(sizeof(TrieCell) * trie->size_cells) :
			repalloc_huge(trie->cells, sizeof(TrieCell) * trie->size_cells);
	}
	cell = &trie->cells[trie->n_cells];
	cell->payload = payload;
	cell->next = trie->nodes[node].first_cell;
	trie->nodes[node].first_cell = trie->n_cells++;

	MemoryContextSwitchTo(old);
}

const int *
ee_pattern_trie_lookup(EePatternTrie *trie, const char *name, int len, int *n)
{
	int			prefix_len = -1;

	trie->found.n = 0;
	collect(trie, find_child(trie, NAMES, name, len));

	while ((prefix_len = bms_next_member(trie->prefix_lengths,
										 prefix_len)) >= 0 &&
		   prefix_len <= len)
		collect(trie, find_child(trie, PREFIXES, name, prefix_len));

	lookup_wildcards(trie, name, len);

	*n = trie->found.n;
	return (const int *) trie->found.items;
}

static uint32
new_node(EePatternTrie *trie)
{
	TrieNode	   *node;

	if (trie->n_nodes == trie->size_nodes)
	{
		trie->size_nodes = Max(16, trie->size_nodes * 2);
		trie->nodes = trie->nodes == NULL ?
			palloc(sizeof(TrieNode) * trie->size_nodes) :
			repalloc_huge(trie->nodes, sizeof(TrieNode) * trie->size_nodes);
	}
	node = &trie->nodes[trie->n_nodes];
	memset(node, 0, sizeof(TrieNode));
	node->first_cell = -1;
	return trie->n_nodes++;
}

/* The child along an edge, made if it is not there. */
static uint32
child_node(EePatternTrie *trie, uint32 parent, const char *text, int len)
{
	EdgeKey		key;
	TrieEdge	   *edge;
	bool		found;

	key.parent = parent;
	key.len = len;
	key.text = text;
	edge = edges_insert(trie->edges, key, &found);
	if (!found)
	{
		char	   *copy = palloc(Max(len, 1));

		memcpy(copy, text, len);
		edge->key.text = copy;
		edge->child = new_node(trie);
	}
	return edge->child;
}

static uint32
wildcard_node(EePatternTrie *trie, const char *value, int len)
{
	uint32		node = WILDCARDS;
	uint32		child;
	int			start;
	int			end;

	for (start = 0; start <= len && len > 0; start = end + 1)
	{
		end = segment_end(value, len, start);
		if (end - start == 1 && value[start] == '*')
		{
			child = trie->nodes[node].star;
			if (child == NO_NODE)
			{
				child = new_node(trie);
				trie->nodes[node].star = child;
			}
			node = child;
		}
		else if (end - start == 1 && value[start] == '#')
		{
			/* '#.#' says no more than '#' */
			if (trie->nodes[node].is_hash)
				continue;
			child = trie->nodes[node].hash;
			if (child == NO_NODE)
			{
				child = new_node(trie);
				trie->nodes[child].is_hash = true;
				trie->nodes[node].hash = child;
			}
			node = child;
		}
		else
			node = child_node(trie, node, value + start, end - start);
	}
	return node;
}

static uint32
find_child(EePatternTrie *trie, uint32 parent, const char *text, int len)
{
	EdgeKey		key;
	TrieEdge	   *edge;

	key.parent = parent;
	key.len = len;
	key.text = text;
	edge = edges_lookup(trie->edges, key);
	return edge == NULL ? NO_NODE : edge->child;
}

static void
lookup_wildcards(EePatternTrie *trie, const char *name, int len)
{
	Numbers    *current = &trie->current;
	Numbers    *next = &trie->next;
	Numbers    *swap;
	int			start;
	int			end;
	int			i;

	new_set(trie, current);
	enter(trie, current, WILDCARDS);

	for (start = 0; start <= len && len > 0 && current->n > 0;
		 start = end + 1)
	{
		end = segment_end(name, len, start);
		new_set(trie, next);
		for (i = 0; i < current->n; i++)
		{
			uint32		node = current->items[i];

			if (trie->nodes[node].is_hash)
				enter(trie, next, node);
			enter(trie, next, trie->nodes[node].star);
			enter(trie, next, find_child(trie, node, name + start,
										 end - start));
		}
		swap = current;
		current = next;
		next = swap;
	}

	for (i = 0; i < current->n; i++)
		collect(trie, current->items[i]);
}

/* Begin an empty set: no node carries the new stamp. */
static void
new_set(EePatternTrie *trie, Numbers *set)
{
	int			i;

	set->n = 0;
	if (++trie->stamp == 0)
	{
		for (i = 0; i < trie->n_nodes; i++)
			trie->nodes[i].stamp = 0;
		trie->stamp = 1;
	}
}

/* Put a node into the set, and with it the '#' that may stand for nothing. */
static void
enter(EePatternTrie *trie, Numbers *set, uint32 node)
{
	while (node != NO_NODE && trie->nodes[node].stamp != trie->stamp)
	{
		trie->nodes[node].stamp = trie->stamp;
		append_number(trie, set, node);
		node = trie->nodes[node].hash;
	}
}

static void
collect(EePatternTrie *trie, uint32 node)
{
	int			cell;

	if (node == NO_NODE)
		return;
	for (cell = trie->nodes[node].first_cell; cell >= 0;
		 cell = trie->cells[cell].next)
		append_number(trie, &trie->found, trie->cells[cell].payload);
}

static void
append_number(EePatternTrie *trie, Numbers *array, uint32 item)
{
	if (array->n == array->size)
	{
		array->size = Max(16, array->size * 2);
		array->items = array->items == NULL ?
			MemoryContextAlloc(trie->context, sizeof(uint32) * array->size) :
			repalloc_huge(array->items, sizeof(uint32) * array->size);
	}
	array->items[array->n++] = item;
}

static int
segment_end(const char *text, int len, int start)
{
	while (start < len && text[start] != '.' && text[start] != ':')
		start++;
	return start;
}

static inline uint32
edge_hash(EdgeKey key)
{
	return hash_combine(murmurhash32(key.parent),
						hash_bytes((const unsigned char *) key.text, key.len));
}

static inline bool
edge_equal(EdgeKey a, EdgeKey b)
{
	return a.parent == b.parent && a.len == b.len &&
		memcmp(a.text, b.text, a.len) == 0;
}
