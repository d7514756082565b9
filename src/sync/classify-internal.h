/* Between the files that answer what a path is (classify.c: the steps and their order), and nobody else. */
#ifndef SYNC_CLASSIFY_INTERNAL_H
#define SYNC_CLASSIFY_INTERNAL_H

#include "sync/source-internal.h"

/* The path that is asked about, and what the steps found out so far. */
struct subject {
	const char *path;  /* absolute */
	const char *rel;   /* relative to the context, for globs */
	const char *shown; /* for people */
	enum change_kind kind;
	bool directory;
	struct classification *out; /* NULL: only the class is wanted */
	struct strv dests;
	int mode;
	unsigned told;	   /* enum told */
	bool written_rule; /* a rule that the person wrote matches, though it can't be carried out */
	char *obstacle;	   /* why it can't be synced though a rule matches */
	char *obstacle_where;
};

/* The answer's words; takes `where` over. */
void subject_say(struct subject *p, char *where, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Why it can't be synced; the first is the one that is told. Takes `where` over. */
void subject_obstacle(struct subject *p, char *where, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Places in words, where anybody listens; the caller frees. */
char *subject_at(const struct subject *p, struct place place);
char *subject_line(const struct subject *p, const struct sync_source *s, unsigned line);

/* Adds a destination, joined to the WORKDIR where it is relative. */
void subject_add(const struct sync_source *s, struct subject *p, const char *dest, const struct sync_rule *rule);

/* dest + (path minus the prefix `strip`). A directory that is the prefix itself is what dest stands for: NULL, nothing of its own. */
char *source_rule_destination(const struct sync_rule *rule, const char *rel, bool directory);

/* Of classify-generated.c. */

/* A file that lands somewhere may be read by a generator, too: then that is what decides. */
void subject_tell_reader(const struct sync_source *s, struct subject *p);

/* A build definition by Jib's list, or before it is known by its name; by the map's list. */
bool source_told_definition(const struct sync_source *s, const struct subject *p);

bool step_generated(const struct sync_source *s, struct subject *p, enum path_class *class_);
bool step_told_direct(const struct sync_source *s, struct subject *p);
bool step_generator_input(const struct sync_source *s, struct subject *p, enum path_class *class_);

#endif
