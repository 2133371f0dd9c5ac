/*
 * error_text.h
 *	  The texts of errors that are kept in rows.
 */
#ifndef EE_ERROR_TEXT_H
#define EE_ERROR_TEXT_H

#include "postgres.h"

#include "utils/elog.h"

/* What is kept of each text of an error, in bytes. */
#define EE_ERROR_TEXT_MAX	(64 * 1024)

/*
 * The error that is being dealt with, as CopyErrorData() gives it, with what
 * can be kept of its texts.
 */
extern ErrorData *ee_error_text_copy(void);

/* The text, or so much of it as is kept; NULL stays NULL. */
extern char *ee_error_text_clip(char *text);

#endif							/* EE_ERROR_TEXT_H */
