/*
 * schema_regex_parse.c
 *	  The syntax tree of a regular expression of ECMA-262.
 *
 * The syntax is that of ECMA-262 with the flag u, as JSON Schema recommends
 * [Core 2020-12, 6.4], and lenient where real schemas are: punctuation may
 * always be escaped, and braces and brackets that begin nothing stand for
 * themselves.  An escaped letter without meaning stays an error.
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "validation/schema_regex_parse.h"
#include "validation/schema_unicode.h"

#define MAX_REPEAT	100000
#define MAX_GROUPS	1000
#define NAME_BYTES	64

typedef struct GroupName
{
	char		name[NAME_BYTES];
	int			group;
	struct GroupName *next;
} GroupName;

typedef struct Parser
{
	const pg_wchar *start;
	const pg_wchar *at;
	const pg_wchar *end;
	EeRegexTree *tree;
	char	   *problem;
	GroupName  *names;
	int			max_reference;
	int			nopen;			/* groups that were opened so far */
} Parser;

static EeRegexNode *parse_choice(Parser *p);
static EeRegexNode *parse_sequence(Parser *p);
static EeRegexNode *parse_term(Parser *p);
static EeRegexNode *parse_group(Parser *p);
static EeRegexNode *parse_escape(Parser *p);
static EeRegexNode *parse_class(Parser *p);
static bool parse_class_atom(Parser *p, EeCharSet *set, pg_wchar *c);
static bool parse_quantifier(Parser *p, int *min, int *max);
static bool parse_number(Parser *p, const pg_wchar **at, int *value);
static bool parse_char_escape(Parser *p, pg_wchar *c);
static bool parse_class_escape(Parser *p, pg_wchar letter, EeCharSet *set);
static void parse_property(Parser *p, EeCharSet *set);
static void add_to_set(void *arg, pg_wchar low, pg_wchar high);
static bool parse_name(Parser *p, char *name);
static void scan_names(Parser *p);
static int	hex(Parser *p, int digits);
static EeRegexNode *make_node(EeRegexKind kind);
static EeRegexNode *make_char(pg_wchar c);
static void fail(Parser *p, const char *problem);

/*
 * Parses a pattern; false with *problem (where wanted) if it is none.  The
 * tree lives in the current context.
 */
bool
ee_schema_regex_parse(const pg_wchar *pattern, int len, EeRegexTree *tree,
					  char **problem)
{
	Parser		p = {pattern, pattern, pattern + len, tree};

	memset(tree, 0, sizeof(EeRegexTree));
	tree->regular = true;
	scan_names(&p);
	tree->root = parse_choice(&p);
	if (p.problem == NULL && p.at < p.end)
		fail(&p, "parenthesis that closes nothing");
	if (p.problem == NULL && p.max_reference > tree->ngroups)
		fail(&p, "reference to a group that does not exist");
	if (p.problem != NULL && problem != NULL)
		*problem = p.problem;
	return p.problem == NULL;
}

/* Named groups may be referred to before they come. */
static void
scan_names(Parser *p)
{
	bool		in_class = false;
	int			group = 0;

	for (; p->at < p->end; p->at++)
	{
		if (*p->at == '\\')
			p->at++;
		else if (in_class)
			in_class = *p->at != ']';
		else if (*p->at == '[')
			in_class = true;
		else if (*p->at == '(')
		{
			if (p->at + 1 >= p->end || p->at[1] != '?')
				group++;
			else if (p->at + 3 < p->end && p->at[2] == '<' &&
					 p->at[3] != '=' && p->at[3] != '!')
			{
				GroupName  *name = palloc0(sizeof(GroupName));
				const pg_wchar *here = p->at;

				p->at += 3;
				if (parse_name(p, name->name))
				{
					name->group = ++group;
					name->next = p->names;
					p->names = name;
				}
				p->at = here;
			}
		}
	}
	p->tree->ngroups = group;
	p->at = p->start;
}

static EeRegexNode *
parse_choice(Parser *p)
{
	EeRegexNode *first;
	EeRegexNode *choice;
	EeRegexNode *last;

	check_stack_depth();
	first = last = parse_sequence(p);
	if (p->problem != NULL || p->at >= p->end || *p->at != '|')
		return first;
	while (p->problem == NULL && p->at < p->end && *p->at == '|')
	{
		p->at++;
		last = last->next = parse_sequence(p);
	}
	choice = make_node(EE_REGEX_CHOICE);
	choice->child = first;
	return choice;
}

static EeRegexNode *
parse_sequence(Parser *p)
{
	EeRegexNode *sequence = make_node(EE_REGEX_SEQUENCE);
	EeRegexNode **next = &sequence->child;

	while (p->problem == NULL && p->at < p->end &&
		   *p->at != '|' && *p->at != ')')
	{
		EeRegexNode *term = parse_term(p);
		int			min,
					max;

		if (p->problem == NULL && parse_quantifier(p, &min, &max))
		{
			EeRegexNode *repeat = make_node(EE_REGEX_REPEAT);

			if (term->kind == EE_REGEX_BEGIN || term->kind == EE_REGEX_END ||
				term->kind == EE_REGEX_WORD_EDGE ||
				term->kind == EE_REGEX_NO_WORD_EDGE)
				fail(p, "nothing to repeat");
			repeat->min = min;
			repeat->max = max;
			repeat->child = term;
			if (p->at < p->end && *p->at == '?')
			{
				repeat->lazy = true;
				p->at++;
			}
			term = repeat;
		}
		*next = term;
		next = &term->next;
	}
	return sequence;
}

static EeRegexNode *
parse_term(Parser *p)
{
	pg_wchar	c = *p->at++;
	EeRegexNode *node;

	switch (c)
	{
		case '^':
			return make_node(EE_REGEX_BEGIN);
		case '$':
			return make_node(EE_REGEX_END);
		case '(':
			return parse_group(p);
		case '[':
			return parse_class(p);
		case '\\':
			return parse_escape(p);
		case '.':
			node = make_node(EE_REGEX_SET);
			node->set = ee_schema_charset_make();
			ee_schema_charset_add(node->set, '\n', '\n');
			ee_schema_charset_add(node->set, '\r', '\r');
			ee_schema_charset_add(node->set, 0x2028, 0x2029);
			ee_schema_charset_normalise(node->set);
			ee_schema_charset_invert(node->set);
			return node;
		case '*':
		case '+':
		case '?':
			fail(p, "nothing to repeat");
			return make_node(EE_REGEX_EMPTY);
		default:
			return make_char(c);
	}
}

/* after "(" */
static EeRegexNode *
parse_group(Parser *p)
{
	EeRegexNode *node;
	EeRegexKind kind = EE_REGEX_GROUP;
	char		name[NAME_BYTES];
	bool		capture = true;

	if (p->at < p->end && *p->at == '?')
	{
		pg_wchar	c = p->at + 1 < p->end ? p->at[1] : 0;
		pg_wchar	d = p->at + 2 < p->end ? p->at[2] : 0;

		p->at += 2;
		capture = false;
		if (c == ':')
			;
		else if (c == '=')
			kind = EE_REGEX_AHEAD;
		else if (c == '!')
			kind = EE_REGEX_NOT_AHEAD;
		else if (c == '<' && (d == '=' || d == '!'))
		{
			kind = d == '=' ? EE_REGEX_BEHIND : EE_REGEX_NOT_BEHIND;
			p->at++;
		}
		else if (c == '<')
		{
			capture = true;
			if (!parse_name(p, name))
				fail(p, "group name is not valid");
		}
		else
		{
			p->at = Min(p->at, p->end);
			fail(p, "group is not valid");
		}
	}
	node = make_node(kind);
	if (kind != EE_REGEX_GROUP)
		p->tree->regular = false;
	if (capture)
		node->group = ++p->nopen;
	if (p->nopen > MAX_GROUPS)
		fail(p, "too many groups");
	if (p->problem == NULL)
		node->child = parse_choice(p);
	if (p->problem == NULL && (p->at >= p->end || *p->at != ')'))
		fail(p, "parenthesis is not closed");
	p->at = Min(p->at + 1, p->end);
	return node;
}

/* after "\", outside of classes */
static EeRegexNode *
parse_escape(Parser *p)
{
	EeRegexNode *node;
	pg_wchar	c;

	if (p->at >= p->end)
	{
		fail(p, "backslash at the end");
		return make_node(EE_REGEX_EMPTY);
	}
	c = *p->at;
	if (c == 'b' || c == 'B')
	{
		p->at++;
		p->tree->regular = false;
		return make_node(c == 'b' ? EE_REGEX_WORD_EDGE :
						 EE_REGEX_NO_WORD_EDGE);
	}
	if (c >= '1' && c <= '9')
	{
		const pg_wchar *at = p->at;

		node = make_node(EE_REGEX_BACK_REFERENCE);
		parse_number(p, &at, &node->group);
		p->at = at;
		p->max_reference = Max(p->max_reference, node->group);
		p->tree->regular = false;
		p->tree->back_references = true;
		return node;
	}
	if (c == 'k')
	{
		char		name[NAME_BYTES];
		GroupName  *known;

		p->at++;
		node = make_node(EE_REGEX_BACK_REFERENCE);
		if (p->at >= p->end || *p->at++ != '<' || !parse_name(p, name))
		{
			fail(p, "reference to a group is not valid");
			return node;
		}
		for (known = p->names; known != NULL; known = known->next)
		{
			if (strcmp(known->name, name) == 0)
				node->group = known->group;
		}
		if (node->group == 0)
			fail(p, "reference to a group that does not exist");
		p->tree->regular = false;
		p->tree->back_references = true;
		return node;
	}
	node = make_node(EE_REGEX_SET);
	node->set = ee_schema_charset_make();
	if (parse_class_escape(p, c, node->set))
	{
		ee_schema_charset_normalise(node->set);
		return node;
	}
	if (parse_char_escape(p, &c))
		ee_schema_charset_add(node->set, c, c);
	ee_schema_charset_normalise(node->set);
	return node;
}

/* after "[" */
static EeRegexNode *
parse_class(Parser *p)
{
	EeRegexNode *node = make_node(EE_REGEX_SET);
	bool		negative = false;

	node->set = ee_schema_charset_make();
	if (p->at < p->end && *p->at == '^')
	{
		negative = true;
		p->at++;
	}
	while (p->problem == NULL && p->at < p->end && *p->at != ']')
	{
		pg_wchar	low,
					high;

		if (!parse_class_atom(p, node->set, &low))
			continue;
		high = low;
		if (p->at + 1 < p->end && p->at[0] == '-' && p->at[1] != ']')
		{
			p->at++;
			if (!parse_class_atom(p, node->set, &high))
			{
				/* [a-\d]: three members */
				ee_schema_charset_add(node->set, '-', '-');
				high = low;
			}
			else if (high < low)
				fail(p, "range is out of order");
		}
		ee_schema_charset_add(node->set, low, high);
	}
	if (p->at >= p->end)
		fail(p, "bracket is not closed");
	else
		p->at++;
	ee_schema_charset_normalise(node->set);
	if (negative)
		ee_schema_charset_invert(node->set);
	return node;
}

/* A character; or a set, which is added at once, and false. */
static bool
parse_class_atom(Parser *p, EeCharSet *set, pg_wchar *c)
{
	*c = *p->at++;
	if (*c != '\\')
		return true;
	if (p->at >= p->end)
	{
		fail(p, "backslash at the end");
		return false;
	}
	if (*p->at == 'b')
	{
		p->at++;
		*c = '\b';
		return true;
	}
	if (parse_class_escape(p, *p->at, set))
		return false;
	return parse_char_escape(p, c);
}

/* Reads a quantifier, if there is one. */
static bool
parse_quantifier(Parser *p, int *min, int *max)
{
	const pg_wchar *at = p->at;

	if (at >= p->end)
		return false;
	*min = 0;
	*max = EE_REGEX_INFINITE;
	switch (*at)
	{
		case '*':
			break;
		case '+':
			*min = 1;
			break;
		case '?':
			*max = 1;
			break;
		case '{':
			at++;
			if (!parse_number(p, &at, min))
				return false;
			*max = *min;
			if (at < p->end && *at == ',')
			{
				at++;
				if (!parse_number(p, &at, max))
					*max = EE_REGEX_INFINITE;
			}
			if (at >= p->end || *at != '}')
				return false;
			if (*max != EE_REGEX_INFINITE && *max < *min)
				fail(p, "repeat count is out of order");
			break;
		default:
			return false;
	}
	p->at = at + 1;
	return true;
}

static bool
parse_number(Parser *p, const pg_wchar **at, int *value)
{
	const pg_wchar *begin = *at;
	int			n = 0;

	while (*at < p->end && **at >= '0' && **at <= '9')
	{
		n = n * 10 + (**at - '0');
		if (n > MAX_REPEAT)
		{
			fail(p, "number is too large");
			n = MAX_REPEAT;
		}
		(*at)++;
	}
	if (*at == begin)
		return false;
	*value = n;
	return true;
}

/* An escape that stands for one character; after the backslash. */
static bool
parse_char_escape(Parser *p, pg_wchar *c)
{
	pg_wchar	e = *p->at++;
	int			value;

	switch (e)
	{
		case 't':
			*c = '\t';
			return true;
		case 'n':
			*c = '\n';
			return true;
		case 'v':
			*c = '\v';
			return true;
		case 'f':
			*c = '\f';
			return true;
		case 'r':
			*c = '\r';
			return true;
		case '0':
			*c = 0;
			if (p->at < p->end && *p->at >= '0' && *p->at <= '9')
				break;
			return true;
		case 'c':
			if (p->at < p->end && *p->at < 128 &&
				isalpha((unsigned char) *p->at))
			{
				*c = *p->at++ % 32;
				return true;
			}
			break;
		case 'x':
			if ((value = hex(p, 2)) < 0)
				break;
			*c = value;
			return true;
		case 'u':
			if (p->at < p->end && *p->at == '{')
			{
				int			n = 0;

				value = 0;
				for (p->at++; p->at < p->end && *p->at != '}'; n++)
				{
					int			digit = hex(p, 1);

					if (digit < 0 || value > EE_MAX_CHAR / 16)
						break;
					value = value * 16 + digit;
				}
				if (n == 0 || p->at >= p->end || *p->at != '}' ||
					value > EE_MAX_CHAR)
					break;
				p->at++;
			}
			else if ((value = hex(p, 4)) < 0)
				break;
			else if (value >= 0xD800 && value <= 0xDBFF &&
					 p->at + 1 < p->end && p->at[0] == '\\' && p->at[1] == 'u')
			{
				const pg_wchar *here = p->at;
				int			low;

				p->at += 2;
				low = hex(p, 4);
				if (low >= 0xDC00 && low <= 0xDFFF)
					value = 0x10000 + ((value - 0xD800) << 10) +
						(low - 0xDC00);
				else
					p->at = here;
			}
			*c = value;
			return true;
		default:
			/* punctuation may always be escaped */
			if (e >= 128 || !isalnum((unsigned char) e))
			{
				*c = e;
				return true;
			}
	}
	fail(p, "escape is not valid");
	return false;
}

/* \d \D \w \W \s \S \p \P: adds the set and takes the letter */
static bool
parse_class_escape(Parser *p, pg_wchar letter, EeCharSet *set)
{
	EeCharSet  *own = ee_schema_charset_make();
	int			i;

	switch (letter)
	{
		case 'd':
		case 'D':
			ee_schema_charset_add(own, '0', '9');
			break;
		case 'w':
		case 'W':
			ee_schema_charset_add(own, '0', '9');
			ee_schema_charset_add(own, 'A', 'Z');
			ee_schema_charset_add(own, '_', '_');
			ee_schema_charset_add(own, 'a', 'z');
			break;
		case 's':
		case 'S':
			ee_schema_charset_add(own, '\t', '\r');
			ee_schema_charset_add(own, ' ', ' ');
			ee_schema_charset_add(own, 0xA0, 0xA0);
			ee_schema_charset_add(own, 0x1680, 0x1680);
			ee_schema_charset_add(own, 0x2000, 0x200A);
			ee_schema_charset_add(own, 0x2028, 0x2029);
			ee_schema_charset_add(own, 0x202F, 0x202F);
			ee_schema_charset_add(own, 0x205F, 0x205F);
			ee_schema_charset_add(own, 0x3000, 0x3000);
			ee_schema_charset_add(own, 0xFEFF, 0xFEFF);
			break;
		case 'p':
		case 'P':
			p->at++;
			parse_property(p, own);
			p->at--;
			break;
		default:
			return false;
	}
	p->at++;
	if (letter == 'D' || letter == 'W' || letter == 'S' || letter == 'P')
		ee_schema_charset_invert(own);
	for (i = 0; i < own->nranges; i++)
		ee_schema_charset_add(set, own->ranges[i].low, own->ranges[i].high);
	return true;
}

/*
 * {Name} or {General_Category=Name} after \p or \P, or {ASCII}.  Scripts and
 * other properties are valid, and unsupported.
 */
static void
parse_property(Parser *p, EeCharSet *set)
{
	static const char *const prefixes[] = {"General_Category=", "gc="};
	char		text[NAME_BYTES];
	char	   *name = text;
	int			n = 0;
	int			i;

	if (p->at < p->end && *p->at == '{')
	{
		for (p->at++; p->at < p->end && n < NAME_BYTES - 1; p->at++)
		{
			if (*p->at >= 128 || !(isalnum((unsigned char) *p->at) ||
								   *p->at == '_' || *p->at == '='))
				break;
			text[n++] = (char) *p->at;
		}
	}
	text[n] = '\0';
	if (n == 0 || p->at >= p->end || *p->at++ != '}')
	{
		fail(p, "property of characters is not valid");
		return;
	}
	for (i = 0; i < lengthof(prefixes); i++)
	{
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			name = text + strlen(prefixes[i]);
	}
	if (strcmp(text, "ASCII") == 0)
		ee_schema_charset_add(set, 0, 0x7F);
	else if (GetDatabaseEncoding() != PG_UTF8 ||
			 !ee_schema_unicode_property(name, add_to_set, set))
		p->tree->unsupported = true;
	ee_schema_charset_normalise(set);
}

static void
add_to_set(void *arg, pg_wchar low, pg_wchar high)
{
	ee_schema_charset_add((EeCharSet *) arg, low, high);
}

/* The rest of a group's name, up to and with ">". */
static bool
parse_name(Parser *p, char *name)
{
	int			n = 0;

	while (p->at < p->end && *p->at != '>')
	{
		pg_wchar	c = *p->at++;

		if (c >= 128 || n >= NAME_BYTES - 1 ||
			!(isalpha((unsigned char) c) || c == '_' || c == '$' ||
			  (n > 0 && isdigit((unsigned char) c))))
			return false;
		name[n++] = (char) c;
	}
	name[n] = '\0';
	if (n == 0 || p->at >= p->end)
		return false;
	p->at++;
	return true;
}

/* A number of exactly so many hexadecimal digits, or -1. */
static int
hex(Parser *p, int digits)
{
	int			value = 0;

	for (; digits > 0; digits--)
	{
		pg_wchar	c = p->at < p->end ? *p->at : 0;

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
		p->at++;
	}
	return value;
}

static EeRegexNode *
make_node(EeRegexKind kind)
{
	EeRegexNode *node = palloc0(sizeof(EeRegexNode));

	node->kind = kind;
	return node;
}

static EeRegexNode *
make_char(pg_wchar c)
{
	EeRegexNode *node = make_node(EE_REGEX_SET);

	node->set = ee_schema_charset_make();
	ee_schema_charset_add(node->set, c, c);
	return node;
}

static void
fail(Parser *p, const char *problem)
{
	if (p->problem == NULL)
		p->problem = psprintf("%s, at character %d", problem,
							  (int) (p->at - p->start));
}
