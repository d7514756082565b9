/* A hash map from byte-string keys to pointers, iterated in the order of insertion. Keys are copied; values are the
 * caller's. Zero-initialised is empty. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

struct map_entry {
	char *key; /* owned by the map; NULL = removed */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_entry *entries; /* in order of insertion, with holes after removals */
	size_t used;		   /* entries, holes included */
	size_t cap;
	uint32_t *slots; /* open addressing: index into entries + 1; 0 = free */
	size_t slot_count;
	size_t len; /* live entries */
};

void *map_get(const struct map *m, const char *key); /* NULL if absent */
bool map_has(const struct map *m, const char *key);  /* tells a NULL value from an absent key */

/* Sets the value and returns the one that was there (NULL if none). */
void *map_set(struct map *m, const char *key, void *value);

/* Removes the key and returns its value (NULL if absent). Safe on the current entry while iterating. */
void *map_remove(struct map *m, const char *key);

/* The next live entry after *cursor (start with 0), or NULL. Setting keys while iterating is not allowed. */
struct map_entry *map_next(const struct map *m, size_t *cursor);
#define map_each(entry, m)                                          \
	(size_t entry##_cursor = 0, entry##_once = 1; entry##_once; \
	 entry##_once = 0) for (struct map_entry * entry; (entry = map_next((m), &entry##_cursor));)

/* Frees the map, and each value with free_value where that is not NULL. */
void map_release(struct map *m, void (*free_value)(void *));

#endif
