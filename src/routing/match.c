/*
 * match.c
 *	  Does a subscription want an event?
 *
 * An event is wanted when one of the patterns matches its name and the
 * filters of that pattern hold, and the filters of the whole subscription
 * hold as well.  What a name says is worked out once and remembered: per
 * event of a running subscription the patterns cost one hash look-up.
 *
 * A subscription's matcher lets nothing pass that its owner may not subscribe
 * to.  That is worked out with the rest, so it costs nothing per event but
 * where a grant is for one tenant.
 *
 * A matcher is for one user at a time: it has scratch memory, which is given
 * back after each event.  Knows no tables; of rights, event_grant.c does.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "ground/errors.h"
#include "registry/event_grant.h"
#include "routing/equality.h"
#include "routing/filter.h"
#include "routing/filter_path.h"
#include "routing/match.h"
#include "store/metadata_tag.h"

#define MAX_ENTRIES			10000
#define MAX_REMEMBERED		4096	/* names */

typedef struct Entry
{
	EePattern	pattern;
	EeFilter   *filter;			/* or NULL */
} Entry;

typedef struct NameKey
{
	const char *text;
	int			len;
} NameKey;

/* What is known of a name: which entries match, as far as it matters. */
typedef struct KnownName
{
	NameKey		key;
	uint32		hash;
	char		status;
	EeGranted  *granted;		/* NULL: whatever the tenant */
	bool		refused;		/* it matches, and is not granted */
	int			plain;			/* one that matches without a filter, or -1 */
	int			n_filtered;
	int		   *filtered;		/* else those with a filter that match */
} KnownName;

#define NAME_HASH(k) \
	hash_bytes((const unsigned char *) (k).text, (k).len)
#define NAME_EQUAL(a, b) \
	((a).len == (b).len && memcmp((a).text, (b).text, (a).len) == 0)

#define SH_PREFIX			names
#define SH_ELEMENT_TYPE		KnownName
#define SH_KEY_TYPE			NameKey
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	NAME_HASH(k)
#define SH_EQUAL(tb, a, b)	NAME_EQUAL(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, e)	((e)->hash)
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct EeMatcher
{
	MemoryContext context;
	MemoryContext memory;		/* of names and trie; NULL: none yet */
	MemoryContext scratch;		/* of one event */
	int			n_entries;
	Entry	   *entries;
	EePatternTrie *trie;		/* all but regular expressions; NULL: not yet */
	bool		has_regex;
	bool		needs_content;
	EeFilterPath *path;			/* or NULL */
	EeFilter   *filter;			/* or NULL */
	Oid			owner;			/* whose right to subscribe counts, or 0 */
	uint64		rights;			/* by which what is known of names holds */
	bool		by_tenant;		/* of some name, not those of every tenant */
	bool		orphaned;		/* the owner is gone, and not asked for */
	names_hash *names;
};

static void compile_entry(Entry *entry, JsonbValue *object, int index);
static KnownName *remember(EeMatcher *matcher, const char *pattern, int len);
static KnownName *work_out(EeMatcher *matcher, NameKey key);
static void forget_names(EeMatcher *matcher);
static EeGranted *ask_right(EeMatcher *matcher, NameKey key);
static bool is_granted(const KnownName *name, const EeEvent *event);
static bool content_matches(EeMatcher *matcher, const KnownName *name,
							EeFilterView *view);
static void pattern_of(const EeEvent *event, const char **pattern, int *len);
static bool explain(EeMatcher *matcher, const KnownName *name, EeFilterView *view,
					StringInfo reason);

EeMatcher *
ee_match_compile(Jsonb *match, const char *filter_path, Jsonb *filters)
{
	EeMatcher  *matcher = palloc0(sizeof(EeMatcher));
	int			n;
	int			i;

	if (!JB_ROOT_IS_ARRAY(match) || JB_ROOT_IS_SCALAR(match))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("nothing to match"),
				 errdetail("A match is an array of at least one object with type and value.")));
	n = JB_ROOT_COUNT(match);
	if (n > MAX_ENTRIES)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("%d patterns are more than the %d allowed",
						n, MAX_ENTRIES)));

	matcher->context = CurrentMemoryContext;
	matcher->n_entries = n;
	matcher->entries = palloc0(sizeof(Entry) * n);
	for (i = 0; i < n; i++)
	{
		Entry	   *entry = &matcher->entries[i];
		JsonbValue *object;

		object = getIthJsonbValueFromContainer(&match->root, i);
		compile_entry(entry, object, i);
		pfree(object);
		matcher->has_regex |= entry->pattern.kind == EE_PATTERN_REGEX;
		matcher->needs_content |= entry->filter != NULL;
	}
	if (filter_path != NULL)
		matcher->path = ee_filter_path_compile(filter_path);
	if (filters != NULL)
		matcher->filter = ee_filter_compile(&filters->root);
	matcher->needs_content |= matcher->path != NULL ||
		matcher->filter != NULL;

	return matcher;
}

void
ee_match_restrict(EeMatcher *matcher, Oid owner)
{
	matcher->owner = owner;
}

bool
ee_match_pattern(EeMatcher *matcher, const char *pattern, int len)
{
	KnownName  *name = remember(matcher, pattern, len);

	return name->plain >= 0 || name->n_filtered > 0;
}

bool
ee_match_includes(const EeMatcher *matcher, const char *pattern)
{
	for (int i = 0; i < matcher->n_entries; i++)
	{
		const EePattern *own = &matcher->entries[i].pattern;

		if ((own->kind == EE_PATTERN_EXACT ||
			 own->kind == EE_PATTERN_WILDCARD) &&
			(strcmp(own->value, pattern) == 0 || strcmp(own->value, "#") == 0))
			return true;
	}
	return false;
}

bool
ee_match_needs_content(const EeMatcher *matcher)
{
	return matcher->needs_content || matcher->by_tenant;
}

bool
ee_match_event(EeMatcher *matcher, const EeEvent *event)
{
	const char *pattern;
	int			len;
	KnownName  *name;
	EeFilterView view;
	MemoryContext old;
	bool		result;

	pattern_of(event, &pattern, &len);
	name = remember(matcher, pattern, len);
	if ((name->plain < 0 && name->n_filtered == 0) ||
		!is_granted(name, event))
		return false;
	if (!matcher->needs_content)
		return true;

	if (matcher->scratch == NULL)
		matcher->scratch = AllocSetContextCreate(matcher->context,
												 "event_engine matcher",
												 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(matcher->scratch);
	ee_filter_field_view(&view, event);
	result = content_matches(matcher, name, &view);
	MemoryContextSwitchTo(old);
	MemoryContextReset(matcher->scratch);

	return result;
}

bool
ee_match_explain(EeMatcher *matcher, const EeEvent *event, StringInfo reason)
{
	const char *pattern;
	int			len;
	EeFilterView view;
	KnownName  *name;

	pattern_of(event, &pattern, &len);
	name = remember(matcher, pattern, len);
	ee_filter_field_view(&view, event);
	if (!explain(matcher, name, &view, reason))
		return false;
	if (is_granted(name, event))
		return true;
	resetStringInfo(reason);
	appendStringInfo(reason, "the owner may subscribe to the event of %s alone",
					 ee_event_grant_tenants(name->granted));
	return false;
}

bool
ee_match_index(const EeMatcher *matcher, EePatternTrie *trie, int payload)
{
	bool		all = true;
	int			i;

	for (i = 0; i < matcher->n_entries; i++)
	{
		const EePattern *pattern = &matcher->entries[i].pattern;

		if (pattern->kind == EE_PATTERN_REGEX)
			all = false;
		else
			ee_pattern_trie_add(trie, pattern, payload < 0 ? i : payload);
	}
	return all;
}

void
ee_match_forget(EeMatcher *matcher)
{
	if (matcher->memory != NULL)
		MemoryContextDelete(matcher->memory);
	if (matcher->scratch != NULL)
		MemoryContextDelete(matcher->scratch);
	matcher->memory = matcher->scratch = NULL;
	matcher->names = NULL;
	matcher->trie = NULL;
}

bool
ee_match_permits(EeMatcher *matcher, const EeEvent *event)
{
	const char *pattern;
	int			len;
	KnownName  *name;

	pattern_of(event, &pattern, &len);
	name = remember(matcher, pattern, len);
	return is_granted(name, event);
}

bool
ee_match_orphaned(const EeMatcher *matcher)
{
	return matcher->orphaned;
}

int
ee_match_n_patterns(const EeMatcher *matcher)
{
	return matcher->n_entries;
}

const EePattern *
ee_match_nth_pattern(const EeMatcher *matcher, int n)
{
	return &matcher->entries[n].pattern;
}

List *
ee_match_terms(const EeMatcher *matcher, int n)
{
	List	   *terms = NIL;

	if (matcher->entries[n].filter != NULL)
		terms = ee_equality_of_filter(matcher->entries[n].filter);
	if (matcher->path != NULL)
		terms = list_concat(terms,
							ee_equality_of_path(ee_filter_path_predicate(matcher->path),
												NULL));
	if (matcher->filter != NULL)
		terms = list_concat(terms, ee_equality_of_filter(matcher->filter));
	return terms;
}

static void
compile_entry(Entry *entry, JsonbValue *object, int index)
{
	JsonbContainer *container;
	JsonbValue	value;

	if (object->type != jbvBinary ||
		!JsonContainerIsObject(object->val.binary.data))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("invalid match at index %d", index),
				 errdetail("A match is an object with type, value and optionally filters.")));
	container = object->val.binary.data;
	ee_pattern_compile(&entry->pattern, container, index);

	if (getKeyJsonValueFromContainer(container, "filters", 7, &value) != NULL)
	{
		if (value.type != jbvBinary ||
			!JsonContainerIsArray(value.val.binary.data))
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_FILTER),
					 errmsg("invalid match at index %d", index),
					 errdetail("Member \"filters\" is not an array.")));
		if (JsonContainerSize(value.val.binary.data) > 0)
			entry->filter = ee_filter_compile(value.val.binary.data);
	}
}

/* What is known of a name, worked out if it is the first time. */
static KnownName *
remember(EeMatcher *matcher, const char *pattern, int len)
{
	NameKey		key;
	KnownName  *name;

	key.text = pattern;
	key.len = len;
	if (OidIsValid(matcher->owner) &&
		unlikely(matcher->rights != ee_event_grant_generation()))
		forget_names(matcher);
	if (likely(matcher->names != NULL))
	{
		name = names_lookup(matcher->names, key);
		if (likely(name != NULL))
			return name;
	}
	return work_out(matcher, key);
}

static KnownName *
work_out(EeMatcher *matcher, NameKey key)
{
	MemoryContext old;
	const int  *matches;
	int			n_matches;
	int			plain = -1;
	int		   *filtered;
	int			n_filtered = 0;
	EeGranted  *granted;
	bool		refused;
	KnownName  *name;
	bool		found;
	char	   *copy;
	int			i;

	/* forget everything rather than grow without bound */
	if (matcher->names != NULL &&
		matcher->names->members >= MAX_REMEMBERED)
		forget_names(matcher);
	if (matcher->names == NULL)
	{
		if (matcher->memory == NULL)
			matcher->memory = AllocSetContextCreate(matcher->context,
													"event_engine pattern names",
													ALLOCSET_SMALL_SIZES);
		matcher->names = names_create(matcher->memory, 16, NULL);
	}

	/* made when first asked: most matchers of a cache never are */
	if (matcher->trie == NULL)
	{
		EePatternTrie *trie;

		old = MemoryContextSwitchTo(matcher->memory);
		trie = ee_pattern_trie_create();
		(void) ee_match_index(matcher, trie, -1);
		matcher->trie = trie;
		MemoryContextSwitchTo(old);
	}

	old = MemoryContextSwitchTo(matcher->memory);
	matches = ee_pattern_trie_lookup(matcher->trie, key.text, key.len,
									 &n_matches);
	filtered = palloc(sizeof(int) * matcher->n_entries);
	for (i = 0; i < n_matches; i++)
	{
		if (matcher->entries[matches[i]].filter == NULL)
			plain = matches[i];
		else
			filtered[n_filtered++] = matches[i];
	}
	for (i = 0; matcher->has_regex && i < matcher->n_entries; i++)
	{
		const Entry *entry = &matcher->entries[i];

		if (entry->pattern.kind != EE_PATTERN_REGEX ||
			!ee_pattern_regex_matches(&entry->pattern, key.text, key.len))
			continue;
		if (entry->filter == NULL)
			plain = i;
		else
			filtered[n_filtered++] = i;
	}

	granted = ask_right(matcher, key);
	refused = granted != NULL && granted->n_tenants == 0;
	matcher->by_tenant |= granted != NULL && !refused;

	/* entered last: a regular expression may be interrupted */
	copy = palloc(Max(key.len, 1));
	memcpy(copy, key.text, key.len);
	key.text = copy;
	name = names_insert(matcher->names, key, &found);
	Assert(!found);
	name->plain = plain;
	name->n_filtered = plain >= 0 ? 0 : n_filtered;
	name->filtered = filtered;
	if (name->n_filtered == 0)
	{
		pfree(filtered);
		name->filtered = NULL;
	}
	name->granted = granted;
	name->refused = false;
	if (refused)
	{
		name->refused = name->plain >= 0 || name->n_filtered > 0;
		name->plain = -1;
		name->n_filtered = 0;
	}
	MemoryContextSwitchTo(old);

	return name;
}

/* With the trie, which is made again as easily. */
static void
forget_names(EeMatcher *matcher)
{
	matcher->names = NULL;
	matcher->trie = NULL;
	matcher->by_tenant = false;
	matcher->orphaned = false;
	if (matcher->memory != NULL)
		MemoryContextReset(matcher->memory);
	matcher->rights = ee_event_grant_generation();
}

/*
 * What the owner may have of events of this name: NULL, all of them; else
 * those of some tenants, maybe of none.  In matcher->memory.  Who has been
 * dropped has no rights, but what is left behind is not to be passed over: it
 * waits for whoever inherits the subscription.
 */
static EeGranted *
ask_right(EeMatcher *matcher, NameKey key)
{
	const EeGranted *granted;
	EeGranted  *result;

	if (!OidIsValid(matcher->owner))
		return NULL;
	granted = ee_event_grant_lookup(matcher->owner, EE_PRIVILEGE_SUBSCRIBE,
									key.text, key.len);
	matcher->orphaned =
		!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(matcher->owner));
	if (granted->all || matcher->orphaned)
		return NULL;
	result = palloc(sizeof(EeGranted));
	*result = *granted;
	result->tenants = palloc(sizeof(char *) * Max(granted->n_tenants, 1));
	for (int i = 0; i < granted->n_tenants; i++)
		result->tenants[i] = pstrdup(granted->tenants[i]);
	return result;
}

static bool
is_granted(const KnownName *name, const EeEvent *event)
{
	const char *tenant;
	int			len = 0;

	if (likely(name->granted == NULL))
		return true;
	tenant = ee_metadata_tag(DatumGetJsonbP(EE_EVENT_VALUE(event,
														   EE_EVENT_METADATA)),
							 EE_TAG_TENANT, &len);
	return ee_event_grant_includes(name->granted, tenant, len);
}

/* The cheap filters first: an envelope is built only if they hold. */
static bool
content_matches(EeMatcher *matcher, const KnownName *name, EeFilterView *view)
{
	bool		wanted = name->plain >= 0;
	int			i;

	for (i = 0; !wanted && i < name->n_filtered; i++)
		wanted = ee_filter_match(matcher->entries[name->filtered[i]].filter,
								 view, NULL);

	return wanted &&
		(matcher->filter == NULL ||
		 ee_filter_match(matcher->filter, view, NULL)) &&
		(matcher->path == NULL ||
		 ee_filter_path_match(matcher->path, view));
}

static void
pattern_of(const EeEvent *event, const char **pattern, int *len)
{
	struct varlena *text;

	Assert(!EE_EVENT_IS_NULL(event, EE_EVENT_PATTERN));
	text = PG_DETOAST_DATUM_PACKED(EE_EVENT_VALUE(event, EE_EVENT_PATTERN));
	*pattern = VARDATA_ANY(text);
	*len = VARSIZE_ANY_EXHDR(text);
}

/* In the order of content_matches(). */
static bool
explain(EeMatcher *matcher, const KnownName *name, EeFilterView *view,
		StringInfo reason)
{
	bool		wanted = name->plain >= 0;
	int			matching = name->plain;
	int			i;

	if (name->refused)
	{
		appendStringInfoString(reason,
							   "a pattern matches, but the owner may not subscribe to the event");
		return false;
	}
	if (name->plain < 0 && name->n_filtered == 0)
	{
		appendStringInfoString(reason, "no pattern matches: ");
		for (i = 0; i < matcher->n_entries && i < 5; i++)
		{
			if (i > 0)
				appendStringInfoString(reason, ", ");
			ee_pattern_append(reason, &matcher->entries[i].pattern);
		}
		if (matcher->n_entries > 5)
			appendStringInfo(reason, " and %d more", matcher->n_entries - 5);
		return false;
	}

	for (i = 0; !wanted && i < name->n_filtered; i++)
	{
		const Entry *entry = &matcher->entries[name->filtered[i]];
		int			start = reason->len;

		if (start > 0)
			appendStringInfoString(reason, "; ");
		ee_pattern_append(reason, &entry->pattern);
		appendStringInfoString(reason, " matches, but ");
		wanted = ee_filter_match(entry->filter, view, reason);
		matching = name->filtered[i];
	}
	if (!wanted)
		return false;
	resetStringInfo(reason);

	if (matcher->filter != NULL &&
		!ee_filter_match(matcher->filter, view, reason))
		return false;
	if (matcher->path != NULL && !ee_filter_path_match(matcher->path, view))
	{
		appendStringInfo(reason, "filter path does not hold: %s",
						 ee_filter_path_text(matcher->path));
		return false;
	}
	appendStringInfoString(reason, "matches ");
	ee_pattern_append(reason, &matcher->entries[matching].pattern);
	return true;
}
