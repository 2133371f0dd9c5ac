/*
 * pull.c
 *	  A client that pulls, in C, so that what is measured is the queue and not
 *	  the language of the client.
 *
 *		pull DATABASE FORMAT COUNTED STATEMENT...
 *
 * The statements are run in order, again and again, until the first gives no
 * row or null.  What it gives in the first column of the first row is $1 of
 * the others.  Rows are those of the statement of number COUNTED (from 0),
 * each of whose values is looked at, in text (FORMAT 0) or binary (1).
 * Prints the rows, the seconds, the bytes received and the CPU seconds of the
 * client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#define MAX_STATEMENTS	4

static double
now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static PGresult *
checked(PGconn *connection, PGresult *result, ExecStatusType status)
{
	if (PQresultStatus(result) != status)
	{
		fprintf(stderr, "%s", PQerrorMessage(connection));
		exit(1);
	}
	return result;
}

int
main(int argc, char **argv)
{
	const char *keywords[] = {"dbname", NULL};
	const char *values[] = {argc > 1 ? argv[1] : NULL, NULL};
	int			n_statements = argc - 4;
	char		given[128] = "";
	long		rows = 0;
	long		bytes = 0;
	volatile char look = 0;
	int			format;
	int			counted;
	double		began;
	PGconn	   *connection;

	if (n_statements < 1 || n_statements > MAX_STATEMENTS)
		return 2;
	format = atoi(argv[2]);
	counted = atoi(argv[3]);
	connection = PQconnectdbParams(keywords, values, 0);
	for (int i = 0; i < n_statements; i++)
	{
		char		name[2] = {(char) ('a' + i), 0};

		PQclear(checked(connection,
						PQprepare(connection, name, argv[4 + i], 0, NULL),
						PGRES_COMMAND_OK));
	}
	began = now(CLOCK_MONOTONIC);
	for (;;)
	{
		for (int i = 0; i < n_statements; i++)
		{
			char		name[2] = {(char) ('a' + i), 0};
			const char *params[] = {given};
			PGresult   *result;

			/* the first is small, or its first column is text */
			result = checked(connection,
							 PQexecPrepared(connection, name, i > 0, params,
											NULL, NULL,
											i == counted ? format : 0),
							 PGRES_TUPLES_OK);
			if (i == 0)
			{
				if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
				{
					printf("%ld %.6f %ld %.6f\n", rows,
						   now(CLOCK_MONOTONIC) - began, bytes,
						   now(CLOCK_PROCESS_CPUTIME_ID));
					return 0;
				}
				snprintf(given, sizeof(given), "%s", PQgetvalue(result, 0, 0));
			}
			if (i == counted)
				for (int row = 0; row < PQntuples(result); row++)
				{
					for (int column = 0; column < PQnfields(result); column++)
					{
						look ^= *PQgetvalue(result, row, column);
						bytes += PQgetlength(result, row, column);
					}
					rows++;
				}
			PQclear(result);
		}
	}
}
