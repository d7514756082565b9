#include "sync/pattern.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

enum token_kind {
	TOKEN_LITERAL, /* one character */
	TOKEN_ANY,     /* ?: one character but "/" */
	TOKEN_CLASS,
	TOKEN_STAR, /* any characters but "/", none too */
	TOKEN_DEEP, /* a `**` with something behind it: nothing, or anything that ends in "/" */
	TOKEN_REST, /* a `**` that takes what is left, whatever it is */
};

struct range {
	uint32_t first, last;
};

struct token {
	enum token_kind kind;
	uint32_t character; /* TOKEN_LITERAL */
	bool negated;	    /* TOKEN_CLASS: ranges[first_range .. first_range + range_count) */
	bool takes_slash;
	size_t first_range, range_count;
};

struct pattern {
	VEC(struct token) tokens;
	VEC(struct range) ranges;
};

static const uint32_t INVALID_BYTE = 0x80000000; /* or-ed to a byte that is no UTF-8, so that it equals only itself */

static size_t next_character(const char *text, uint32_t *character)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	if (len == 0 || strnlen(text, len) < len || (len > 1 && !utf8_valid(text, len))) {
		*character = s[0] ? INVALID_BYTE | s[0] : 0;
		return 1;
	}
	uint32_t value = len == 1 ? s[0] : s[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++)
		value = value << 6 | (s[i] & 0x3fU);
	*character = value;
	return len;
}

static const char UNCLOSED_CLASS[] = "'[' without its ']'";
static const char TRAILING_BACKSLASH[] = "a backslash at the end quotes nothing";

/* One character of a class, quoted or not. 0 on a mistake. */
static size_t class_character(const char *text, uint32_t *character, const char **mistake)
{
	size_t quote = *text == '\\' ? 1 : 0;
	if (text[quote] == '\0') {
		*mistake = UNCLOSED_CLASS;
		return 0;
	}
	if (!quote && (*text == ']' || *text == '-')) {
		*mistake = *text == ']' ? "an empty class (or a range without its end)"
					: "'-' in a class needs a character on both sides, or a backslash";
		return 0;
	}
	return quote + next_character(text + quote, character);
}

/* A class from its "[" on; pattern and token are both NULL where only the length is asked. 0 on a mistake. */
static size_t parse_class(enum pattern_dialect dialect, const char *text, struct pattern *pattern, struct token *token,
			  const char **mistake)
{
	size_t i = 1;
	bool negated = text[i] == '^' || (text[i] == '!' && dialect == PATTERN_GLOB);
	if (negated)
		i++;
	size_t count = 0;
	do {
		struct range range;
		size_t len = class_character(text + i, &range.first, mistake);
		if (len == 0)
			return 0;
		i += len;
		range.last = range.first;
		if (text[i] == '-') {
			len = class_character(text + i + 1, &range.last, mistake);
			if (len == 0)
				return 0;
			i += 1 + len;
		}
		if (range.last < range.first) {
			*mistake = "a reversed range in a class";
			return 0;
		}
		if (pattern)
			vec_push(&pattern->ranges, range);
		count++;
	} while (text[i] != ']');
	if (pattern && token)
		*token = (struct token){.kind = TOKEN_CLASS,
					.negated = negated,
					.takes_slash = dialect == PATTERN_IGNORE,
					.first_range = pattern->ranges.len - count,
					.range_count = count};
	return i + 1;
}

size_t pattern_element(enum pattern_dialect dialect, const char *text, const char **mistake)
{
	uint32_t character;
	if (*text == '[')
		return parse_class(dialect, text, NULL, NULL, mistake);
	if (*text == '\\') {
		if (text[1] != '\0')
			return 1 + next_character(text + 1, &character);
		*mistake = TRAILING_BACKSLASH;
		return 0;
	}
	return next_character(text, &character);
}

/* A `**` at text + i: which token it is, or TOKEN_STAR if the dialect takes it for `*`; *len is what it spans. */
static enum token_kind deep_token(enum pattern_dialect dialect, const char *text, size_t i, size_t *len)
{
	bool slash = text[i + 2] == '/', end = text[i + 2] == '\0';
	*len = slash ? 3 : 2;
	if (dialect == PATTERN_GLOB) {
		bool whole = (i == 0 || text[i - 1] == '/') && (slash || end);
		return !whole ? (*len = 1, TOKEN_STAR) : end ? TOKEN_REST : TOKEN_DEEP;
	}
	if (end || (slash && text[i + 3] == '\0'))
		return TOKEN_REST;
	/* patternmatcher takes a leading `**` with only plain text behind it as "ends with that text". */
	if (i == 0 && !slash && !strpbrk(text + 2, "*?[]\\"))
		return TOKEN_REST;
	return TOKEN_DEEP;
}

static int bad_pattern(size_t at, size_t *offset, const char *mistake, struct error *err)
{
	if (offset)
		*offset = at;
	return error_set(err, EINVAL, "%s", mistake);
}

int pattern_compile(enum pattern_dialect dialect, const char *text, struct pattern **pattern, size_t *offset,
		    struct error *err)
{
	if (strnlen(text, PATTERN_MAX + 1) > PATTERN_MAX)
		return bad_pattern(0, offset, "the pattern is longer than 4096 bytes", err);
	CLEANUP(pattern_free_cleanup) struct pattern *p = xcalloc(1, sizeof(*p));
	for (size_t i = 0, len; text[i]; i += len) {
		struct token token = {.kind = TOKEN_LITERAL};
		const char *mistake = NULL;
		len = 1;
		if (text[i] == '*' && text[i + 1] == '*' && dialect != PATTERN_GO)
			token.kind = deep_token(dialect, text, i, &len);
		else if (text[i] == '*')
			token.kind = TOKEN_STAR;
		else if (text[i] == '?')
			token.kind = TOKEN_ANY;
		else if (text[i] == '[')
			len = parse_class(dialect, text + i, p, &token, &mistake);
		else if (text[i] == '\\')
			len = text[i + 1] ? 1 + next_character(text + i + 1, &token.character)
					  : (mistake = TRAILING_BACKSLASH, 0);
		else
			len = next_character(text + i, &token.character);
		if (mistake)
			return bad_pattern(i, offset, mistake, err);
		vec_push(&p->tokens, token);
	}
	*pattern = steal(&p);
	return 0;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	vec_release(&pattern->tokens);
	vec_release(&pattern->ranges);
	free(pattern);
}

static bool in_class(const struct pattern *pattern, const struct token *token, uint32_t character)
{
	if (character == '/' && !token->takes_slash)
		return false;
	for (size_t i = 0; i < token->range_count; i++) {
		const struct range *r = &pattern->ranges.items[token->first_range + i];
		if (character >= r->first && character <= r->last)
			return !token->negated;
	}
	return token->negated;
}

/* States are positions between tokens, as a set of bytes; the last one accepts. */
struct states {
	bool *now, *next;
	size_t low, high; /* now is false outside low .. high - 1 */
};

static void mark(bool *set, size_t state, size_t *low, size_t *high)
{
	set[state] = true;
	if (state < *low)
		*low = state;
	if (state + 1 > *high)
		*high = state + 1;
}

/* Enters a state, and those that can be reached from it without a character. */
static void enter(const struct pattern *pattern, bool *set, size_t state, size_t *low, size_t *high)
{
	for (; !set[state]; state++) {
		mark(set, state, low, high);
		if (state == pattern->tokens.len)
			return;
		enum token_kind kind = pattern->tokens.items[state].kind;
		if (kind != TOKEN_STAR && kind != TOKEN_DEEP && kind != TOKEN_REST)
			return;
	}
}

static void step(const struct pattern *pattern, struct states *s, uint32_t character)
{
	size_t low = pattern->tokens.len + 1, high = 0;
	for (size_t i = s->low; i < s->high; i++) {
		if (!s->now[i])
			continue;
		s->now[i] = false;
		if (i == pattern->tokens.len)
			continue;
		const struct token *token = &pattern->tokens.items[i];
		switch (token->kind) {
		case TOKEN_LITERAL:
			if (character == token->character)
				enter(pattern, s->next, i + 1, &low, &high);
			break;
		case TOKEN_ANY:
			if (character != '/')
				enter(pattern, s->next, i + 1, &low, &high);
			break;
		case TOKEN_CLASS:
			if (in_class(pattern, token, character))
				enter(pattern, s->next, i + 1, &low, &high);
			break;
		case TOKEN_STAR:
			if (character != '/')
				enter(pattern, s->next, i, &low, &high);
			break;
		case TOKEN_REST:
			enter(pattern, s->next, i, &low, &high);
			break;
		case TOKEN_DEEP:
			/* Marked, not entered: it may be left at its start and after a "/" only. States go upwards, so one that
			 * is entered in this step was entered before this. */
			mark(s->next, i, &low, &high);
			if (character == '/')
				enter(pattern, s->next, i + 1, &low, &high);
			break;
		}
	}
	bool *swap = s->now;
	s->now = s->next;
	s->next = swap;
	s->low = low;
	s->high = high;
}

unsigned pattern_test(const struct pattern *pattern, const char *path)
{
	enum { SMALL = 256 };
	bool small[2 * (SMALL + 1)];
	_cleanup_free_ bool *large = NULL;
	size_t count = pattern->tokens.len + 1;
	bool *memory = small;
	if (count > SMALL + 1)
		memory = large = xcalloc(2, count);
	else
		memset(small, 0, 2 * count);
	struct states s = {.now = memory, .next = memory + count, .low = count};
	enter(pattern, s.now, 0, &s.low, &s.high);
	unsigned result = 0;
	while (*path) {
		if (*path == '/' && s.now[pattern->tokens.len])
			result |= PATTERN_MATCHES_ABOVE;
		uint32_t character;
		path += next_character(path, &character);
		step(pattern, &s, character);
		if (s.high == 0)
			return result;
	}
	if (s.now[pattern->tokens.len])
		result |= PATTERN_MATCHES;
	step(pattern, &s, '/');
	if (s.high > 0)
		result |= PATTERN_MAY_BELOW;
	return result;
}
