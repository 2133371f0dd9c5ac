/*
 * schema_automaton.h
 *	  A regular expression as a deterministic automaton over bytes.
 */
#ifndef EE_SCHEMA_AUTOMATON_H
#define EE_SCHEMA_AUTOMATON_H

#include "postgres.h"

#include "validation/schema_regex_parse.h"

typedef struct EeAutomaton EeAutomaton;

extern EeAutomaton *ee_schema_automaton_make(const EeRegexTree *tree,
											 MemoryContext context);
extern bool ee_schema_automaton_match(const EeAutomaton *automaton,
									  const char *text, uint32 len);

#endif							/* EE_SCHEMA_AUTOMATON_H */
