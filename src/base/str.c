#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

char *str_reserve(struct str *s, size_t extra)
{
	size_t max = s->max ? s->max : STR_DEFAULT_MAX;
	if (extra > max || s->len > max - extra) {
		s->overflow = true;
		return NULL;
	}
	size_t need = s->len + extra + 1;
	if (need > s->cap) {
		size_t cap = s->cap ? s->cap : 32;
		while (cap < need)
			cap *= 2;
		s->data = xreallocarray(s->data, cap, 1);
		s->cap = cap;
	}
	return s->data + s->len;
}

int str_add_bytes(struct str *s, const void *bytes, size_t len)
{
	char *to = str_reserve(s, len);
	if (!to)
		return -EOVERFLOW;
	if (len)
		memcpy(to, bytes, len);
	s->len += len;
	s->data[s->len] = '\0';
	return 0;
}

int str_add(struct str *s, const char *text)
{
	return str_add_bytes(s, text, strlen(text));
}

int str_add_char(struct str *s, char c)
{
	return str_add_bytes(s, &c, 1);
}

int str_vaddf(struct str *s, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	return str_add(s, text);
}

int str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = str_vaddf(s, fmt, ap);
	va_end(ap);
	return r;
}

void str_consume(struct str *s, size_t n)
{
	if (n == 0)
		return;
	memmove(s->data, s->data + n, s->len - n + 1);
	s->len -= n;
}

const char *str_text(const struct str *s)
{
	return s->data ? s->data : "";
}

char *str_steal(struct str *s)
{
	char *text = s->data ? s->data : xstrdup("");
	*s = (struct str){.max = s->max};
	return text;
}

void str_clear(struct str *s)
{
	s->len = 0;
	s->overflow = false;
	if (s->data)
		s->data[0] = '\0';
}

void str_release(struct str *s)
{
	free(s->data);
	*s = (struct str){.max = s->max};
}

void strv_push_owned(struct strv *v, char *s)
{
	if (v->len + 2 > v->cap) {
		v->cap = v->cap ? v->cap * 2 : 4;
		v->items = xreallocarray(v->items, v->cap, sizeof(*v->items));
	}
	v->items[v->len++] = s;
	v->items[v->len] = NULL;
}

void strv_push(struct strv *v, const char *s)
{
	strv_push_owned(v, xstrdup(s));
}

void strv_pushf(struct strv *v, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	strv_push_owned(v, xvasprintf(fmt, ap));
	va_end(ap);
}

void strv_extend(struct strv *v, const struct strv *other)
{
	for (size_t i = 0; i < other->len; i++)
		strv_push(v, other->items[i]);
}

bool strv_contains(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->len; i++)
		if (strcmp(v->items[i], s) == 0)
			return true;
	return false;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->len > 1)
		qsort(v->items, v->len, sizeof(*v->items), compare_strings);
}

void strv_sort_unique(struct strv *v)
{
	strv_sort(v);
	size_t kept = 0;
	for (size_t i = 0; i < v->len; i++) {
		if (kept > 0 && strcmp(v->items[kept - 1], v->items[i]) == 0)
			free(v->items[i]);
		else
			v->items[kept++] = v->items[i];
	}
	v->len = kept;
	if (v->items)
		v->items[kept] = NULL;
}

char *strv_join(const struct strv *v, const char *separator)
{
	struct str s = {0};
	for (size_t i = 0; i < v->len; i++) {
		if (i > 0)
			str_add(&s, separator);
		str_add(&s, v->items[i]);
	}
	return str_steal(&s);
}

void strv_clear(struct strv *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->items[i]);
	v->len = 0;
	if (v->items)
		v->items[0] = NULL;
}

void strv_release(struct strv *v)
{
	strv_clear(v);
	free(v->items);
	*v = (struct strv){0};
}

void str_split(const char *text, char separator, struct strv *out)
{
	if (*text == '\0')
		return;
	for (;;) {
		const char *end = strchr(text, separator);
		if (!end) {
			strv_push(out, text);
			return;
		}
		strv_push_owned(out, xstrndup(text, (size_t)(end - text)));
		text = end + 1;
	}
}

bool str_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *s, const char *suffix)
{
	size_t len = strlen(s), suffix_len = strlen(suffix);
	return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

int parse_uint(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;
	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		uint64_t digit = (uint64_t)(*text - '0');
		if (v > (max - digit) / 10 || digit > max)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}

/* Length of the valid sequence at s, or 0. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
	if (s[0] < 0x80)
		return 1;
	size_t need = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || need > len)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return need;
}

bool utf8_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

char *utf8_replace_invalid(const char *s, size_t len)
{
	struct str out = {.max = SIZE_MAX / 4};
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
		if (n == 0) {
			str_add(&out, "\xef\xbf\xbd");
			i++;
		} else {
			str_add_bytes(&out, s + i, n);
			i += n;
		}
	}
	return str_steal(&out);
}

char *base64_encode(const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;
	struct str out = {.max = SIZE_MAX / 4};
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0);
		str_add_char(&out, digits[v >> 18]);
		str_add_char(&out, digits[v >> 12 & 63]);
		str_add_char(&out, n > 1 ? digits[v >> 6 & 63] : '=');
		str_add_char(&out, n > 2 ? digits[v & 63] : '=');
	}
	return str_steal(&out);
}

char *str_printable(const char *s)
{
	struct str out = {0};
	size_t len = strlen(s);
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
		if (c == '\n')
			str_add(&out, "\\n");
		else if (c == '\t')
			str_add(&out, "\\t");
		else if (n == 2 && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0)
			str_addf(&out, "\\xc2\\x%02x", (unsigned char)s[i + 1]); /* U+0080..U+009F are controls too */
		else if (n == 0 || c < 0x20 || c == 0x7f)
			str_addf(&out, "\\x%02x", c);
		else
			str_add_bytes(&out, s + i, n);
		i += n ? n : 1;
	}
	return str_steal(&out);
}

enum { NEAREST_MAX_LENGTH = 63 };

/* Optimal string alignment distance; both at most NEAREST_MAX_LENGTH long. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_MAX_LENGTH + 1];
	size_t a_len = strlen(a), b_len = strlen(b);
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			size_t best = before[j - 1] + !same;
			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
				best = earlier[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[a_len % 3][b_len];
}

const char *str_nearest(const char *word, const char *const *candidates)
{
	size_t len = strlen(word);
	if (len > NEAREST_MAX_LENGTH)
		return NULL;
	size_t limit = len / 3 < 1 ? 1 : len / 3 > 3 ? 3 : len / 3;
	const char *nearest = NULL;
	for (; *candidates; candidates++) {
		if (strlen(*candidates) > NEAREST_MAX_LENGTH)
			continue;
		size_t distance = edit_distance(word, *candidates);
		if (distance <= limit) {
			nearest = *candidates;
			if (distance == 0)
				break;
			limit = distance - 1;
			if (distance == 1)
				break;
		}
	}
	return nearest;
}
