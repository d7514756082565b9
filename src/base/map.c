#include "base/map.h"

#include <string.h>

#include "base/hash.h"

static uint64_t key_hash(const char *key)
{
	return hash64(key, strlen(key));
}

static struct map_entry *find(const struct map *m, const char *key, uint64_t hash)
{
	if (m->slot_count == 0)
		return NULL;
	size_t mask = m->slot_count - 1;
	for (size_t i = hash & mask; m->slots[i]; i = (i + 1) & mask) {
		struct map_entry *e = &m->entries[m->slots[i] - 1];
		if (e->key && e->hash == hash && strcmp(e->key, key) == 0)
			return e;
	}
	return NULL;
}

static void insert_slot(struct map *m, size_t index)
{
	size_t mask = m->slot_count - 1, i = m->entries[index].hash & mask;
	while (m->slots[i])
		i = (i + 1) & mask;
	m->slots[i] = (uint32_t)index + 1;
}

/* Drops the holes and makes room for one more entry. */
static void grow(struct map *m)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->used; i++)
		if (m->entries[i].key)
			m->entries[kept++] = m->entries[i];
	m->used = kept;
	m->cap = kept * 2 < 8 ? 8 : kept * 2;
	m->entries = xreallocarray(m->entries, m->cap, sizeof(*m->entries));
	m->slot_count = 16;
	while (m->slot_count < m->cap * 2)
		m->slot_count *= 2;
	free(m->slots);
	m->slots = xcalloc(m->slot_count, sizeof(*m->slots));
	for (size_t i = 0; i < m->used; i++)
		insert_slot(m, i);
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = find(m, key, key_hash(key));
	return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
	return find(m, key, key_hash(key)) != NULL;
}

void *map_set(struct map *m, const char *key, void *value)
{
	uint64_t hash = key_hash(key);
	struct map_entry *e = find(m, key, hash);
	if (e) {
		void *old = e->value;
		e->value = value;
		return old;
	}
	if (m->used == m->cap)
		grow(m);
	m->entries[m->used] = (struct map_entry){.key = xstrdup(key), .value = value, .hash = hash};
	insert_slot(m, m->used++);
	m->len++;
	return NULL;
}

void *map_remove(struct map *m, const char *key)
{
	struct map_entry *e = find(m, key, key_hash(key));
	if (!e)
		return NULL;
	void *value = e->value;
	free(e->key);
	*e = (struct map_entry){.hash = e->hash}; /* its slot stays taken until grow drops the hole */
	m->len--;
	return value;
}

struct map_entry *map_next(const struct map *m, size_t *cursor)
{
	while (*cursor < m->used) {
		struct map_entry *e = &m->entries[(*cursor)++];
		if (e->key)
			return e;
	}
	return NULL;
}

void map_release(struct map *m, void (*free_value)(void *))
{
	for (size_t i = 0; i < m->used; i++) {
		if (m->entries[i].key && free_value)
			free_value(m->entries[i].value);
		free(m->entries[i].key);
	}
	free(m->entries);
	free(m->slots);
	*m = (struct map){0};
}
