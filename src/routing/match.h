/*
 * match.h
 *	  Does a subscription want an event?
 *
 * A matcher is compiled from the columns match, filter_path and filters of a
 * subscription and knows no tables.
 */
#ifndef EE_MATCH_H
#define EE_MATCH_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ground/envelope.h"
#include "ground/pattern_trie.h"

typedef struct EeMatcher EeMatcher;

/* Compile into CurrentMemoryContext; raises INVALID_PATTERN, INVALID_FILTER. */
extern EeMatcher *ee_match_compile(Jsonb *match, const char *filter_path,
								   Jsonb *filters);

/* From now on for this role: what it may not subscribe to is not wanted. */
extern void ee_match_restrict(EeMatcher *matcher, Oid owner);

/* Could an event of this pattern be wanted?  Looks at the name only. */
extern bool ee_match_pattern(EeMatcher *matcher, const char *pattern, int len);

/* Is this pattern, a name or a wildcard, one of the matcher's, or are all? */
extern bool ee_match_includes(const EeMatcher *matcher, const char *pattern);

/*
 * Is a wanted pattern enough, or must the event be looked at?  Asked after
 * the pattern: it may be granted for some tenants alone.
 */
extern bool ee_match_needs_content(const EeMatcher *matcher);

/*
 * Is this event wanted?  A filter that raises an error raises it here: the
 * caller counts it as an error of the subscription.
 */
extern bool ee_match_event(EeMatcher *matcher, const EeEvent *event);

/* May its role have this event, wanted or not? */
extern bool ee_match_permits(EeMatcher *matcher, const EeEvent *event);

/*
 * Has the owner been dropped?  Known once something was matched since; then
 * everything matches, which keeps it for who inherits the subscription, and
 * nothing is to be handed out.
 */
extern bool ee_match_orphaned(const EeMatcher *matcher);

/* The same as ee_match_event(), slower, and says what matched or what did not. */
extern bool ee_match_explain(EeMatcher *matcher, const EeEvent *event,
							 StringInfo reason);

/*
 * Put the patterns of a matcher into a trie of many, all under this payload,
 * or each under its position where payload is negative.  True if all of them
 * could be: a regular expression cannot, whoever has one is asked by
 * ee_match_pattern().
 */
extern bool ee_match_index(const EeMatcher *matcher, EePatternTrie *trie,
						   int payload);

/* Give back what it has worked out; it will do so again when it is asked. */
extern void ee_match_forget(EeMatcher *matcher);

/*
 * Its patterns, and what an event of one must have equal to a value to be
 * wanted (List of EeEqualityTerm *, which point into the matcher).
 */
extern int	ee_match_n_patterns(const EeMatcher *matcher);
extern const EePattern *ee_match_nth_pattern(const EeMatcher *matcher, int n);
extern List *ee_match_terms(const EeMatcher *matcher, int n);

#endif							/* EE_MATCH_H */
