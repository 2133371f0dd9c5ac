/*
 * jsonb_push.h
 *	  An object of jsonb, made member by member.
 *
 *		JsonbParseState *state = NULL;
 *
 *		ee_jsonb_push_begin(&state);
 *		ee_jsonb_push_text(&state, "name", name);
 *		result = ee_jsonb_push_end(&state);
 *
 * For what is made seldom; jsonb_writer.h is for what is made for each event.
 */
#ifndef EE_JSONB_PUSH_H
#define EE_JSONB_PUSH_H

#include "postgres.h"

#include "utils/jsonb.h"

extern void ee_jsonb_push_begin(JsonbParseState **state);
extern Jsonb *ee_jsonb_push_end(JsonbParseState **state);
extern void ee_jsonb_push_key(JsonbParseState **state, const char *key);

/* A member; NULL: none. */
extern void ee_jsonb_push_text(JsonbParseState **state, const char *key,
							   const char *text);
extern void ee_jsonb_push_jsonb(JsonbParseState **state, const char *key,
								Jsonb *jsonb);

extern void ee_jsonb_push_chars(JsonbParseState **state, const char *key,
								const char *chars, int len);
extern void ee_jsonb_push_number(JsonbParseState **state, const char *key,
								 int64 number);

#endif							/* EE_JSONB_PUSH_H */
