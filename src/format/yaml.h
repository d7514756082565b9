/* YAML as a tree with places. Nodes belong to a pool and live as long as it does; trees share nodes (an alias IS the node it names), so
 * treat them as read-only and build changed ones with the functions below.
 *
 * Limits: SOURCE_MAX_BYTES of text, YAML_MAX_DEPTH levels, YAML_MAX_DOCUMENTS, YAML_MAX_NODES values a document with all aliases and merge keys followed: a
 * walk over a tree that was read here is never long. */
#ifndef FORMAT_YAML_H
#define FORMAT_YAML_H

#include <stdint.h>

#include "format/diagnostics.h"

#define YAML_MAX_DEPTH 64
#define YAML_MAX_NODES 200000
#define YAML_MAX_OPEN 1000 /* brackets open at once, wherever they stand */
#define YAML_MAX_DOCUMENTS 1000

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_pair;

struct yaml_node {
	enum yaml_kind kind;
	bool quoted;	/* a scalar that is text whatever it looks like (quoted, a block, tagged !!str) */
	bool verbatim;	/* a scalar that stands in the file byte for byte as in `text`, on one line … */
	bool in_quotes; /* … behind a quote at `place` */
	struct place place;
	char *text; /* scalar: UTF-8 without NUL */
	VEC(struct yaml_node *) items;
	VEC(struct yaml_pair)
	pairs;		 /* in the order of the file; keys are scalars, each once; merge keys (<<) are resolved */
	uint32_t weight; /* nodes in it, aliases followed */
};

struct yaml_pair {
	struct yaml_node *key;
	struct yaml_node *value; /* never NULL: nothing written is a null scalar */
};

struct yaml_pool {
	VEC(struct yaml_node *) nodes;
};

VEC_TYPE(yaml_documents, struct yaml_node *);

/* Reads all documents of a source; empty ones are left out. Problems go to d (a syntax error ends the reading, duplicate keys and
 * the like do not). 0, or -EINVAL if there was any error. The source must outlive the pool. */
int yaml_parse(struct yaml_pool *pool, const struct source *source, struct diagnostics *d,
	       struct yaml_documents *documents);

void yaml_pool_release(struct yaml_pool *pool);

/* The value of a key, or NULL (also where the node is NULL or no mapping, and for a null value). */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
/* The same with the key's own node. */
const struct yaml_pair *yaml_pair(const struct yaml_node *mapping, const char *key);

/* What a scalar says, by the core schema (and yes/no/on/off, which Go's decoder takes for a bool). False where it is something else. */
bool yaml_is_null(const struct yaml_node *node);
bool yaml_bool(const struct yaml_node *node, bool *value);
bool yaml_int(const struct yaml_node *node, int64_t *value);
/* Any scalar but null, as it was written; NULL otherwise. */
const char *yaml_text(const struct yaml_node *node);

const char *yaml_kind_name(
	const struct yaml_node *node); /* "a list", "a mapping", "a number", "true or false", "a text", "nothing" */

/* New nodes, for trees laid over one another. */
struct yaml_node *yaml_new(struct yaml_pool *pool, enum yaml_kind kind, struct place place);
struct yaml_node *yaml_new_text(struct yaml_pool *pool, const char *text, struct place place);
/* A mapping or list with the same children (the children are shared). */
struct yaml_node *yaml_copy(struct yaml_pool *pool, const struct yaml_node *node);
/* Sets (in place, else at the end) or removes a key of a node that was made by yaml_new or yaml_copy. */
void yaml_set(struct yaml_node *mapping, struct yaml_node *key, struct yaml_node *value);
void yaml_remove(struct yaml_node *mapping, const char *key);

/* Writes a tree as block YAML, ending in a newline; what it writes reads back as the same tree. */
void yaml_emit(const struct yaml_node *node, struct str *out);

#endif
