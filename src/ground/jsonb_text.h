/*
 * jsonb_text.h
 *	  Jsonb as text, the same as its output function makes.
 */
#ifndef EE_JSONB_TEXT_H
#define EE_JSONB_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

extern void ee_jsonb_text_append(StringInfo out, JsonbContainer *container);

#endif							/* EE_JSONB_TEXT_H */
