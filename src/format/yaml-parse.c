#include "format/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <string.h>

#include "base/map.h"

/* A collection that is still being read. */
struct frame {
	struct yaml_node *node;
	struct yaml_node *key;	 /* of a mapping: read, its value not yet */
	struct map keys;	 /* of a mapping: key → yaml_node * */
	struct yaml_node *merge; /* the value of <<, NULL: none */
	char *anchor;		 /* NULL: none */
};

struct reader {
	struct yaml_pool *pool;
	const struct source *source;
	struct diagnostics *d;
	struct fy_parser *parser;
	struct fy_diag *diag;
	struct map anchors; /* name → yaml_node *, of this document; NULL while that is still open */
	struct frame frames[YAML_MAX_DEPTH];
	size_t depth;
	struct yaml_node *root;
	uint64_t nodes; /* of this document, made and shared ones */
	unsigned documents;
};

static struct place place_of(const struct reader *r, const struct fy_mark *mark)
{
	if (!mark)
		return (struct place){.file = r->source->name};
	return (struct place){.file = r->source->name,
			      .line = (unsigned)mark->line + 1,
			      .column = (unsigned)mark->column + 1};
}

static bool fail(struct reader *r, struct place place, const char *message)
{
	diagnostics_error(r->d, place, "%s", message);
	return false;
}

static bool count(struct reader *r, uint64_t nodes, struct place place)
{
	r->nodes += nodes;
	if (r->nodes <= YAML_MAX_NODES)
		return true;
	diagnostics_error(r->d, place, "more than %d values, aliases followed, which no configuration has",
			  YAML_MAX_NODES);
	return false;
}

/* Called when all of the mapping is read. Explicit keys beat merged ones, earlier merged ones beat later. */
static bool merge_one(struct reader *r, struct frame *f, const struct yaml_node *from)
{
	if (from->kind != YAML_MAPPING)
		return fail(r, f->merge->place, "'<<' takes a mapping, or a list of mappings");
	for vec_each (pair, &from->pairs) {
		if (map_has(&f->keys, pair->key->text))
			continue;
		map_set(&f->keys, pair->key->text, pair->key);
		vec_push(&f->node->pairs, *pair);
	}
	return true;
}

static bool merge(struct reader *r, struct frame *f)
{
	if (!f->merge)
		return true;
	if (f->merge->kind != YAML_SEQUENCE)
		return merge_one(r, f, f->merge);
	for vec_each (item, &f->merge->items)
		if (!merge_one(r, f, *item))
			return false;
	return true;
}

static void weigh(struct yaml_node *node)
{
	uint64_t weight = 1;
	for vec_each (item, &node->items)
		weight += (*item)->weight;
	for vec_each (pair, &node->pairs)
		weight += 1 + (uint64_t)pair->value->weight;
	node->weight = weight > UINT32_MAX ? UINT32_MAX : (uint32_t)weight;
}

static bool add_key(struct reader *r, struct frame *f, struct yaml_node *key)
{
	if (key->kind != YAML_SCALAR)
		return fail(r, key->place, "a key must be a text");
	f->key = key;
	return true;
}

static void add_value(struct reader *r, struct frame *f, struct yaml_node *value)
{
	struct yaml_node *key = steal(&f->key);
	const struct yaml_node *before = map_get(&f->keys, key->text);
	if (before) {
		_cleanup_free_ char *where = place_format(before->place);
		diagnostics_error(r->d, key->place, "the key '%s' stands here twice (first at %s)", key->text, where);
		return;
	}
	if (!key->quoted && strcmp(key->text, "<<") == 0 && !f->merge) {
		f->merge = value;
		return;
	}
	map_set(&f->keys, key->text, key);
	vec_push(&f->node->pairs, (struct yaml_pair){.key = key, .value = value});
}

/* Puts a complete node where it belongs. */
static bool attach(struct reader *r, struct yaml_node *node)
{
	if (r->depth == 0) {
		r->root = node;
		return true;
	}
	struct frame *f = &r->frames[r->depth - 1];
	if (f->node->kind == YAML_SEQUENCE) {
		vec_push(&f->node->items, node);
		return true;
	}
	if (!f->key)
		return add_key(r, f, node);
	add_value(r, f, node);
	return true;
}

static char *token_text(struct fy_token *token)
{
	size_t len = 0;
	const char *text = token ? fy_token_get_text(token, &len) : NULL;
	return xstrndup(text ? text : "", len);
}

static bool is_in_quotes(struct fy_token *token)
{
	enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
	return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

/* libfyaml's marks of a quoted scalar are those of what is between the quotes. */
static bool stands_verbatim(struct fy_event *event, size_t len)
{
	const struct fy_mark *start = fy_event_start_mark(event), *end = fy_event_end_mark(event);
	return start && end && start->line == end->line && end->input_pos - start->input_pos == len;
}

static bool read_scalar(struct reader *r, struct fy_event *event)
{
	struct fy_token *token = event->scalar.value;
	struct place place = place_of(r, fy_event_start_mark(event));
	size_t len = 0;
	const char *text = token ? fy_token_get_text(token, &len) : "";
	if (text && memchr(text, '\0', len))
		return fail(r, place, "a text may not hold a NUL byte");
	if (!text || !utf8_valid(text, len))
		return fail(r, place, "a text that is not UTF-8");
	struct yaml_node *node = yaml_new(r->pool, YAML_SCALAR, place);
	node->text = xstrndup(text, len);
	_cleanup_free_ char *tag = event->scalar.tag ? token_text(event->scalar.tag) : NULL;
	node->quoted = (token && fy_token_scalar_style(token) != FYSS_PLAIN) || (tag && str_ends_with(tag, ":str"));
	node->verbatim = stands_verbatim(event, len);
	node->in_quotes = is_in_quotes(token);
	if (node->in_quotes && place.column > 1)
		node->place.column--;
	if (!count(r, 1, place))
		return false;
	_cleanup_free_ char *anchor = event->scalar.anchor ? token_text(event->scalar.anchor) : NULL;
	if (anchor)
		map_set(&r->anchors, anchor, node);
	return attach(r, node);
}

static bool read_alias(struct reader *r, struct fy_event *event)
{
	struct place place = place_of(r, fy_event_start_mark(event));
	_cleanup_free_ char *name = token_text(event->alias.anchor);
	struct yaml_node *node = map_get(&r->anchors, name);
	if (!node) {
		diagnostics_error(r->d, place,
				  map_has(&r->anchors, name) ? "the alias '*%s' is inside of what it names"
							     : "there is no anchor '&%s' before this",
				  name);
		return false;
	}
	return count(r, node->weight, place) && attach(r, node);
}

static bool open_collection(struct reader *r, struct fy_event *event, enum yaml_kind kind, struct fy_token *anchor)
{
	struct place place = place_of(r, fy_event_start_mark(event));
	if (r->depth == YAML_MAX_DEPTH) {
		diagnostics_error(r->d, place, "more than %d levels deep", YAML_MAX_DEPTH);
		return false;
	}
	if (!count(r, 1, place))
		return false;
	struct yaml_node *node = yaml_new(r->pool, kind, place);
	char *name = anchor ? token_text(anchor) : NULL;
	if (name)
		map_set(&r->anchors, name, NULL);
	r->frames[r->depth++] = (struct frame){.node = node, .anchor = name};
	return true;
}

static void release_frame(struct frame *f)
{
	map_release(&f->keys, NULL);
	free(f->anchor);
}

static bool close_collection(struct reader *r)
{
	struct frame *f = &r->frames[--r->depth];
	struct yaml_node *node = f->node;
	bool ok = merge(r, f);
	weigh(node);
	if (f->anchor)
		map_set(&r->anchors, f->anchor, node);
	release_frame(f);
	return ok && attach(r, node);
}

static bool read_event(struct reader *r, struct fy_event *event, struct yaml_documents *documents)
{
	switch (event->type) {
	case FYET_DOCUMENT_START:
		if (r->documents++ == YAML_MAX_DOCUMENTS)
			return fail(r, place_of(r, fy_event_start_mark(event)),
				    "more documents than a configuration has");
		map_release(&r->anchors, NULL);
		r->root = NULL;
		r->nodes = 0;
		return true;
	case FYET_DOCUMENT_END:
		if (r->root && !yaml_is_null(r->root))
			vec_push(documents, r->root);
		return true;
	case FYET_SCALAR:
		return read_scalar(r, event);
	case FYET_ALIAS:
		return read_alias(r, event);
	case FYET_MAPPING_START:
		return open_collection(r, event, YAML_MAPPING, event->mapping_start.anchor);
	case FYET_SEQUENCE_START:
		return open_collection(r, event, YAML_SEQUENCE, event->sequence_start.anchor);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		return close_collection(r);
	default:
		return true;
	}
}

/* libfyaml's words for a syntax error, at its place. */
static void report_syntax(struct reader *r)
{
	void *cursor = NULL;
	struct fy_diag_error *e;
	bool any = false;
	while ((e = fy_diag_errors_iterate(r->diag, &cursor))) {
		struct place place = {.file = r->source->name,
				      .line = (unsigned)e->line,
				      .column = (unsigned)e->column};
		diagnostics_error(r->d, place, "%s", e->msg);
		any = true;
	}
	if (!any)
		diagnostics_error(r->d, (struct place){.file = r->source->name}, "this is no YAML");
}

static bool read_events(struct reader *r, struct yaml_documents *documents)
{
	for (;;) {
		struct fy_event *event = fy_parser_parse(r->parser);
		if (!event) {
			if (!fy_parser_get_stream_error(r->parser))
				return true;
			report_syntax(r);
			return false;
		}
		bool ok = read_event(r, event, documents);
		fy_parser_event_free(r->parser, event);
		if (!ok)
			return false;
	}
}

static bool is_valid_text(const struct source *source, struct diagnostics *d)
{
	struct place place = {.file = source->name, .line = 1, .column = 1};
	if (!memchr(source->text, '\0', source->len) && utf8_valid(source->text, source->len))
		return true;
	for (size_t i = 0; i < source->len; place.column++) {
		size_t n = 1;
		while (n < 4 && i + n < source->len && ((unsigned char)source->text[i + n] & 0xc0) == 0x80)
			n++;
		if (source->text[i] == '\0' || !utf8_valid(source->text + i, n)) {
			diagnostics_error(d, place, "%s, so this is no YAML file",
					  source->text[i] ? "this is not UTF-8" : "there is a NUL byte here");
			return false;
		}
		if (source->text[i] == '\n') {
			place.line++;
			place.column = 0;
		}
		i += n;
	}
	return false;
}

/* libfyaml's time grows with the square of the brackets that are open, before any limit of ours is asked: those are counted first. The few
 * that stand in texts and comments without their partner don't matter. */
static bool has_few_open(const struct source *source, struct diagnostics *d)
{
	struct place place = {.file = source->name, .line = 1, .column = 1};
	unsigned open = 0;
	for (size_t i = 0; i < source->len; i++) {
		char c = source->text[i];
		if (c == '[' || c == '{')
			open++;
		else if ((c == ']' || c == '}') && open > 0)
			open--;
		if (open > YAML_MAX_OPEN) {
			diagnostics_error(d, place, "more than %d brackets are open here", YAML_MAX_OPEN);
			return false;
		}
		place.column += ((unsigned char)c & 0xc0) != 0x80;
		if (c == '\n') {
			place.line++;
			place.column = 1;
		}
	}
	return true;
}

static void discard(struct fy_diag *diag, void *user, const char *text, size_t len)
{
	(void)diag;
	(void)user;
	(void)text;
	(void)len;
}

int yaml_parse(struct yaml_pool *pool, const struct source *source, struct diagnostics *d,
	       struct yaml_documents *documents)
{
	size_t errors = d->counts[SEVERITY_ERROR], skip = str_starts_with(source->text, "\xef\xbb\xbf") ? 3 : 0;
	if (!is_valid_text(source, d) || !has_few_open(source, d))
		return -EINVAL;
	struct reader *r = xcalloc(1, sizeof(*r));
	*r = (struct reader){.pool = pool, .source = source, .d = d};
	const struct fy_diag_cfg diag_cfg = {.output_fn = discard, .level = FYET_ERROR, .module_mask = ~0U};
	r->diag = fy_diag_create(&diag_cfg);
	if (r->diag)
		fy_diag_set_collect_errors(r->diag, true);
	const struct fy_parse_cfg cfg = {.search_path = "",
					 .flags = FYPCF_DEFAULT_PARSE & ~FYPCF_RESOLVE_DOCUMENT,
					 .diag = r->diag};
	r->parser = r->diag ? fy_parser_create(&cfg) : NULL;
	if (!r->parser || fy_parser_set_string(r->parser, source->text + skip, source->len - skip) != 0)
		diagnostics_error(d, (struct place){.file = source->name}, "the YAML parser can't start");
	else
		read_events(r, documents);
	while (r->depth > 0)
		release_frame(&r->frames[--r->depth]);
	map_release(&r->anchors, NULL);
	fy_parser_destroy(r->parser);
	fy_diag_destroy(r->diag);
	free(r);
	return d->counts[SEVERITY_ERROR] > errors ? -EINVAL : 0;
}
