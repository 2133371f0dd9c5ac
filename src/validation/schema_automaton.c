/*
 * schema_automaton.c
 *	  A regular expression as a deterministic automaton over bytes.
 *
 * The tree becomes a nondeterministic automaton over the bytes of the
 * database's encoding (UTF-8, or one byte for each character), and that a
 * table: a row for each state, a column for each class of bytes that no
 * transition tells apart.  A match costs one look-up for each byte and stops
 * as soon as the answer is certain; it allocates nothing.
 *
 * Construction gives up, and the server's engine takes over, when the table
 * or the work for it would be large.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "validation/schema_automaton.h"

#define MAX_NFA_STATES	8000
#define MAX_STATES		8000
#define NBUCKETS		(4 * MAX_STATES)
#define MAX_TABLE		(128 * 1024)	/* bytes */
#define MAX_WORK		20000000		/* visits of states */

/* the first two states of every table */
#define DEAD			0		/* nothing can match any more */
#define ACCEPTED		1		/* whatever follows */
#define START			2

struct EeAutomaton
{
	uint8		classes[256];	/* of each byte */
	int			nclasses;
	int			nstates;
	bool	   *accepts;		/* if the text ends here */
	uint16	   *next;			/* by state and class */
};

typedef enum NfaKind
{
	NFA_BYTE,					/* a byte from low to high, then out */
	NFA_SPLIT,					/* out or other */
	NFA_BEGIN,					/* out, at the begin of the text */
	NFA_END,					/* out, at its end */
	NFA_MATCH,
} NfaKind;

typedef struct NfaState
{
	NfaKind		kind;
	uint8		low;
	uint8		high;
	int			out;
	int			other;
	uint32		mark;			/* of the closure that visited it last */
} NfaState;

/* a state of the table in the making: a set of states */
typedef struct StateSet
{
	int			n;
	int		   *members;
	uint32		hash;
} StateSet;

/* characters of n bytes, from low to high in each byte */
typedef struct Sequence
{
	int			n;
	uint8		low[4];
	uint8		high[4];
} Sequence;

typedef struct Builder
{
	NfaState   *states;
	int			nstates;
	bool		failed;
	bool		utf8;
	Sequence   *sequences;		/* of the set in the making */
	int			nsequences;
	int			max_sequences;
	uint32		mark;
	int64		work;
	int		   *stack;
	int		   *found;			/* members of the set in the making */
	int			nfound;
	bool		match;			/* it holds the end of the pattern */
	StateSet   *sets;
	int			nsets;
	int		   *buckets;
	int			start;
} Builder;

static int	add_state(Builder *b, NfaKind kind, int out, int other);
static int	build(Builder *b, const EeRegexNode *node, int next);
static int	build_children(Builder *b, const EeRegexNode *child, int next);
static int	build_repeat(Builder *b, const EeRegexNode *node, int next);
static int	build_set(Builder *b, const EeCharSet *set, int next);
static void add_range(Builder *b, pg_wchar low, pg_wchar high);
static void add_sequence(Builder *b, int n, pg_wchar low, pg_wchar high,
						 bool whole);
static int	build_sequences(Builder *b, const Sequence *sequences, int n,
							int depth, int next);
static void find_classes(Builder *b, EeAutomaton *a);
static void begin_set(Builder *b);
static void close_over(Builder *b, int state, bool begin, bool end);
static int	end_set(Builder *b);
static bool accepts_at_end(Builder *b, int set, bool begin);
static bool make_table(Builder *b, EeAutomaton *a, MemoryContext context);
static int	compare_ints(const void *a, const void *b);

/*
 * Makes the automaton of a regular tree in a context; its scratch memory is
 * taken from the current one.  NULL if it would be too large.
 */
EeAutomaton *
ee_schema_automaton_make(const EeRegexTree *tree, MemoryContext context)
{
	Builder		b = {0};
	EeAutomaton *a;
	int			match;

	b.utf8 = GetDatabaseEncoding() == PG_UTF8;
	if (!b.utf8 && pg_database_encoding_max_length() > 1)
		return NULL;
	b.states = palloc(MAX_NFA_STATES * sizeof(NfaState));
	match = add_state(&b, NFA_MATCH, 0, 0);
	b.start = build(&b, tree->root, match);
	if (b.failed)
		return NULL;
	a = MemoryContextAllocZero(context, sizeof(EeAutomaton));
	find_classes(&b, a);
	if (!make_table(&b, a, context))
	{
		pfree(a);
		return NULL;
	}
	return a;
}

/* Does the pattern match anywhere in the text? */
bool
ee_schema_automaton_match(const EeAutomaton *a, const char *text, uint32 len)
{
	const uint8 *p = (const uint8 *) text;
	const uint8 *end = p + len;
	const uint16 *next = a->next;
	int			nclasses = a->nclasses;
	uint32		state = START;

	for (; p < end; p++)
	{
		state = next[state * nclasses + a->classes[*p]];
		if (state <= ACCEPTED)
			return state == ACCEPTED;
	}
	return a->accepts[state];
}

static int
add_state(Builder *b, NfaKind kind, int out, int other)
{
	NfaState   *state;

	if (b->nstates >= MAX_NFA_STATES)
	{
		b->failed = true;
		return 0;
	}
	state = &b->states[b->nstates];
	memset(state, 0, sizeof(NfaState));
	state->kind = kind;
	state->out = out;
	state->other = other;
	return b->nstates++;
}

/* The state from which a node leads to next. */
static int
build(Builder *b, const EeRegexNode *node, int next)
{
	const EeRegexNode *child;
	int			state = 0;

	check_stack_depth();
	if (b->failed)
		return 0;
	switch (node->kind)
	{
		case EE_REGEX_SET:
			return build_set(b, node->set, next);
		case EE_REGEX_SEQUENCE:
			return build_children(b, node->child, next);
		case EE_REGEX_CHOICE:
			for (child = node->child; child != NULL; child = child->next)
			{
				int			branch = build(b, child, next);

				state = child == node->child ? branch :
					add_state(b, NFA_SPLIT, state, branch);
			}
			return state;
		case EE_REGEX_REPEAT:
			return build_repeat(b, node, next);
		case EE_REGEX_GROUP:
			return build(b, node->child, next);
		case EE_REGEX_BEGIN:
			return add_state(b, NFA_BEGIN, next, 0);
		case EE_REGEX_END:
			return add_state(b, NFA_END, next, 0);
		case EE_REGEX_EMPTY:
			return next;
		default:
			b->failed = true;	/* not regular */
			return 0;
	}
}

/* From the last to the first, since each leads to what is there already. */
static int
build_children(Builder *b, const EeRegexNode *child, int next)
{
	const EeRegexNode **children;
	const EeRegexNode *c;
	int			n = 0;

	for (c = child; c != NULL; c = c->next)
		n++;
	children = palloc(Max(n, 1) * sizeof(EeRegexNode *));
	for (n = 0, c = child; c != NULL; c = c->next)
		children[n++] = c;
	while (n > 0 && !b->failed)
		next = build(b, children[--n], next);
	pfree(children);
	return next;
}

static int
build_repeat(Builder *b, const EeRegexNode *node, int next)
{
	int			state = next;
	int			i;

	if (node->max == EE_REGEX_INFINITE)
	{
		state = add_state(b, NFA_SPLIT, 0, next);
		if (!b->failed)
		{
			int			body = build(b, node->child, state);

			b->states[state].out = body;
		}
	}
	for (i = node->min; i < node->max && !b->failed; i++)
		state = add_state(b, NFA_SPLIT, build(b, node->child, state), next);
	for (i = 0; i < node->min && !b->failed; i++)
		state = build(b, node->child, state);
	return state;
}

static int
build_set(Builder *b, const EeCharSet *set, int next)
{
	int			state;
	int			i;

	b->nsequences = 0;
	for (i = 0; i < set->nranges; i++)
		add_range(b, set->ranges[i].low, set->ranges[i].high);
	if (b->nsequences > 0)
		return build_sequences(b, b->sequences, b->nsequences, 0, next);

	/* the empty set: a byte that there is none of */
	state = add_state(b, NFA_BYTE, next, 0);
	if (!b->failed)
		b->states[state].low = 1;
	return state;
}

/*
 * The bytes of a range of characters.  In UTF-8 it is cut where sequences
 * change their length, then so that in each piece every byte has a range of
 * its own.
 */
static void
add_range(Builder *b, pg_wchar low, pg_wchar high)
{
	static const pg_wchar first[] = {0, 0x80, 0x800, 0x10000};
	static const pg_wchar last[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
	int			n;

	if (!b->utf8)
	{
		if (low <= 0xFF)
			add_sequence(b, 1, low, Min(high, 0xFF), false);
		return;
	}
	for (n = 1; n <= 4; n++)
	{
		pg_wchar	begin = Max(low, first[n - 1]);
		pg_wchar	end = Min(high, last[n - 1]);

		while (begin <= end)
		{
			bool		whole = begin == first[n - 1] && end == last[n - 1];
			pg_wchar	stop = end;
			int			i;

			for (i = 1; i < n && !whole; i++)
			{
				pg_wchar	mask = (1 << (6 * i)) - 1;

				if ((begin & ~mask) == (stop & ~mask))
					continue;
				if (begin & mask)
					stop = begin | mask;
				else if ((stop & mask) != mask)
					stop = (stop & ~mask) - 1;
			}
			add_sequence(b, n, begin, stop, whole);
			begin = stop + 1;
		}
	}
}

/*
 * Characters of n bytes each, where every byte has a range of its own; or the
 * whole of that length, which needs no care since the text is valid.
 */
static void
add_sequence(Builder *b, int n, pg_wchar low, pg_wchar high, bool whole)
{
	static const uint8 lead[] = {0, 0xC0, 0xE0, 0xF0};
	Sequence   *sequence;
	int			i;

	if (b->nsequences == b->max_sequences)
	{
		b->max_sequences = Max(64, b->max_sequences * 2);
		b->sequences = b->sequences == NULL ?
			palloc(b->max_sequences * sizeof(Sequence)) :
			repalloc(b->sequences, b->max_sequences * sizeof(Sequence));
	}
	sequence = &b->sequences[b->nsequences++];
	sequence->n = n;
	for (i = n - 1; i > 0; i--)
	{
		sequence->low[i] = whole ? 0x80 : 0x80 | (low & 0x3F);
		sequence->high[i] = whole ? 0xBF : 0x80 | (high & 0x3F);
		low >>= 6;
		high >>= 6;
	}
	sequence->low[0] = lead[n - 1] | low;
	sequence->high[0] = lead[n - 1] | high;
}

/* Sequences that begin with the same byte share its state. */
static int
build_sequences(Builder *b, const Sequence *sequences, int n, int depth,
				int next)
{
	int			result = -1;
	int			i,
				j;

	for (i = 0; i < n && !b->failed; i = j)
	{
		const Sequence *one = &sequences[i];
		int			state = next;

		for (j = i + 1; j < n; j++)
		{
			if (depth + 1 == one->n || sequences[j].n != one->n ||
				sequences[j].low[depth] != one->low[depth] ||
				sequences[j].high[depth] != one->high[depth])
				break;
		}
		if (depth + 1 < one->n)
			state = build_sequences(b, one, j - i, depth + 1, next);
		state = add_state(b, NFA_BYTE, state, 0);
		if (b->failed)
			return 0;
		b->states[state].low = one->low[depth];
		b->states[state].high = one->high[depth];
		result = result < 0 ? state : add_state(b, NFA_SPLIT, state, result);
	}
	return result;
}

/* Bytes that no transition tells apart share a column. */
static void
find_classes(Builder *b, EeAutomaton *a)
{
	bool		border[257] = {false};
	int			i,
				class = 0;

	for (i = 0; i < b->nstates; i++)
	{
		if (b->states[i].kind == NFA_BYTE &&
			b->states[i].low <= b->states[i].high)
		{
			border[b->states[i].low] = true;
			border[b->states[i].high + 1] = true;
		}
	}
	for (i = 0; i < 256; i++)
	{
		if (i > 0 && border[i])
			class++;
		a->classes[i] = class;
	}
	a->nclasses = class + 1;
}

/*
 * The table, by the usual construction: sets of states that the same text
 * leads to.  Since a match may begin anywhere, the start is added to each.
 */
static bool
make_table(Builder *b, EeAutomaton *a, MemoryContext context)
{
	int			limit = Min(MAX_STATES,
							MAX_TABLE / (a->nclasses * (int) sizeof(uint16)));
	uint16	   *next = palloc0((limit + 1) * a->nclasses * sizeof(uint16));
	uint8		sample[256];
	int			i,
				j,
				c;

	b->stack = palloc((2 * b->nstates + 2) * sizeof(int));
	b->found = palloc(b->nstates * sizeof(int));
	b->sets = palloc0((limit + 2) * sizeof(StateSet));
	b->buckets = palloc0(NBUCKETS * sizeof(int));
	for (i = 255; i >= 0; i--)
		sample[a->classes[i]] = i;

	b->nsets = START;
	begin_set(b);
	close_over(b, b->start, true, false);
	if (b->match)
	{
		/* the empty pattern, say: everything matches */
		b->sets[START].n = 0;
		b->nsets = START + 1;
		for (c = 0; c < a->nclasses; c++)
			next[START * a->nclasses + c] = ACCEPTED;
	}
	else
	{
		/* none of the later sets is the same: the begin of the text is past */
		end_set(b);
		memset(b->buckets, 0, NBUCKETS * sizeof(int));
	}
	for (i = START; i < b->nsets && !b->match; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (c = 0; c < a->nclasses; c++)
		{
			int			target;

			begin_set(b);
			for (j = 0; j < b->sets[i].n; j++)
			{
				const NfaState *state = &b->states[b->sets[i].members[j]];

				if (state->kind == NFA_BYTE && sample[c] >= state->low &&
					sample[c] <= state->high)
					close_over(b, state->out, false, false);
			}
			close_over(b, b->start, false, false);
			if (b->match)
				target = ACCEPTED;
			else if (b->nfound == 0)
				target = DEAD;
			else
				target = end_set(b);
			b->match = false;
			b->work += b->sets[i].n;
			if (b->nsets > limit || b->work > MAX_WORK)
				return false;
			next[i * a->nclasses + c] = target;
		}
	}
	a->nstates = b->nsets;
	a->accepts = MemoryContextAllocZero(context, a->nstates * sizeof(bool));
	a->accepts[ACCEPTED] = true;
	for (i = START; i < a->nstates; i++)
		a->accepts[i] = b->match || accepts_at_end(b, i, i == START);
	a->next = MemoryContextAlloc(context, a->nstates * a->nclasses *
								 sizeof(uint16));
	memcpy(a->next, next, a->nstates * a->nclasses * sizeof(uint16));
	return true;
}

static void
begin_set(Builder *b)
{
	b->mark++;
	b->nfound = 0;
	b->match = false;
}

/* Adds a state and what can be reached from it without a byte. */
static void
close_over(Builder *b, int state, bool begin, bool end)
{
	int			depth = 0;

	b->stack[depth++] = state;
	while (depth > 0)
	{
		NfaState   *s;

		state = b->stack[--depth];
		s = &b->states[state];
		if (s->mark == b->mark)
			continue;
		s->mark = b->mark;
		b->work++;
		switch (s->kind)
		{
			case NFA_BYTE:
				b->found[b->nfound++] = state;
				break;
			case NFA_SPLIT:
				b->stack[depth++] = s->out;
				b->stack[depth++] = s->other;
				break;
			case NFA_BEGIN:
				if (begin)
					b->stack[depth++] = s->out;
				break;
			case NFA_END:
				if (end)
					b->stack[depth++] = s->out;
				else
					b->found[b->nfound++] = state;
				break;
			case NFA_MATCH:
				b->match = true;
				break;
		}
	}
}

/* The number of the set just made, an old one if it is the same. */
static int
end_set(Builder *b)
{
	uint32		hash = 0;
	int			bucket;
	int			i;

	qsort(b->found, b->nfound, sizeof(int), compare_ints);
	for (i = 0; i < b->nfound; i++)
		hash = (hash ^ b->found[i]) * 0x9E3779B1 + (hash >> 15);
	bucket = hash % NBUCKETS;
	for (; b->buckets[bucket] != 0; bucket = (bucket + 1) % NBUCKETS)
	{
		StateSet   *set = &b->sets[b->buckets[bucket]];

		if (set->hash == hash && set->n == b->nfound &&
			memcmp(set->members, b->found, b->nfound * sizeof(int)) == 0)
			return b->buckets[bucket];
	}
	b->buckets[bucket] = b->nsets;
	b->sets[b->nsets].hash = hash;
	b->sets[b->nsets].n = b->nfound;
	b->sets[b->nsets].members = palloc(Max(b->nfound, 1) * sizeof(int));
	memcpy(b->sets[b->nsets].members, b->found, b->nfound * sizeof(int));
	return b->nsets++;
}

/* Would the text match if it ended in that state? */
static bool
accepts_at_end(Builder *b, int set, bool begin)
{
	bool		match;
	int			i;

	begin_set(b);
	for (i = 0; i < b->sets[set].n; i++)
	{
		int			state = b->sets[set].members[i];

		if (b->states[state].kind == NFA_END)
			close_over(b, b->states[state].out, begin, true);
	}
	match = b->match;
	b->match = false;
	return match;
}

static int
compare_ints(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return x < y ? -1 : x > y;
}
