/*
 * pattern_trie.h
 *	  Many patterns, and which of them a name matches.
 *
 * The cost of a lookup depends on the name and on what matches it, not on
 * how many patterns there are.
 */
#ifndef EE_PATTERN_TRIE_H
#define EE_PATTERN_TRIE_H

#include "postgres.h"

#include "ground/pattern.h"

typedef struct EePatternTrie EePatternTrie;

/* An empty one; it lives in CurrentMemoryContext. */
extern EePatternTrie *ee_pattern_trie_create(void);

/*
 * Add a pattern of any kind but regex; the same pattern may be added with
 * several payloads.
 */
extern void ee_pattern_trie_add(EePatternTrie *trie, const EePattern *pattern,
								int payload);

/*
 * The payloads of all patterns that match a name: an array of *n, owned by
 * the trie and good until the next call.  A payload that was added with
 * several patterns that match is there several times.
 */
extern const int *ee_pattern_trie_lookup(EePatternTrie *trie,
										 const char *name, int len, int *n);

#endif							/* EE_PATTERN_TRIE_H */
