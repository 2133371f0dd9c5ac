/*
 * error_text.c
 *	  The texts of errors that are kept in rows.
 *
 * Whoever raises an error says what he likes, up to a gigabyte.  To write it
 * down must not fail: a row, a jsonb string and an event hold less.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "ground/error_text.h"

ErrorData *
ee_error_text_copy(void)
{
	ErrorData  *error = CopyErrorData();

	error->message = ee_error_text_clip(error->message);
	error->detail = ee_error_text_clip(error->detail);
	error->hint = ee_error_text_clip(error->hint);
	error->context = ee_error_text_clip(error->context);
	return error;
}

char *
ee_error_text_clip(char *text)
{
	size_t		len = text == NULL ? 0 : strlen(text);

	if (len <= EE_ERROR_TEXT_MAX)
		return text;
	return pnstrdup(text, pg_mbcliplen(text, len, EE_ERROR_TEXT_MAX));
}
