/* What dockerfile_parse makes and dockerfile_evaluate reads: instructions as written, nothing expanded. Only for the dockerfile-*.c files. */
#ifndef SYNC_DOCKERFILE_SYNTAX_H
#define SYNC_DOCKERFILE_SYNTAX_H

#include "base/str.h"
#include "base/vec.h"
#include "sync/dockerfile.h"

enum {
	DOCKERFILE_SIZE_MAX = 1 << 20,
	DOCKERFILE_INSTRUCTIONS_MAX = 65536,
};

enum instruction_kind {
	INSTRUCTION_ADD,
	INSTRUCTION_ARG,
	INSTRUCTION_CMD,
	INSTRUCTION_COPY,
	INSTRUCTION_ENTRYPOINT,
	INSTRUCTION_ENV,
	INSTRUCTION_EXPOSE,
	INSTRUCTION_FROM,
	INSTRUCTION_HEALTHCHECK,
	INSTRUCTION_LABEL,
	INSTRUCTION_MAINTAINER,
	INSTRUCTION_ONBUILD,
	INSTRUCTION_RUN,
	INSTRUCTION_SHELL,
	INSTRUCTION_STOPSIGNAL,
	INSTRUCTION_USER,
	INSTRUCTION_VOLUME,
	INSTRUCTION_WORKDIR,
	INSTRUCTION_KINDS,
};

struct instruction {
	enum instruction_kind kind;
	unsigned line;
	struct strv flags; /* "--name=value", quotes removed */
	/* ENV: name, value, name, value, …; ARG: "NAME" or "NAME=value"; CMD, ENTRYPOINT, RUN, SHELL: the elements (json) or the whole text;
	 * COPY, ADD: sources without heredocs, then the destination; else words, or the text. */
	struct strv args;
	bool json;
	struct strv heredocs;	     /* names, in order */
	struct instruction *trigger; /* ONBUILD: what it fires; owned */
};

struct stage {
	size_t from; /* index of its FROM in instructions; its own run up to the next stage's FROM */
	size_t end;
	char *name; /* lower case; NULL: none */
	char *base; /* as written */
};

struct dockerfile {
	char *name;
	char escape;			      /* `\`, or as `# escape=` says */
	VEC(struct instruction) instructions; /* those before the first stage's FROM are ARGs */
	VEC(struct stage) stages;	      /* at least one */
};

void instruction_release(struct instruction *instruction);

/* The rest of an instruction's line, without its flags, into i->args (dockerfile-words.c). *mistake in words; -EINVAL. */
int instruction_parse_arguments(struct instruction *i, const char *text, char escape, const char **mistake);

/* Takes "--flags" from the front of text; returns what follows. */
const char *instruction_parse_flags(struct instruction *i, const char *text);

/* The heredocs that a line opens, in order: their names, and whether leading tabs are taken from their terminators. */
struct heredoc {
	char *name;
	bool chomp;
};
VEC_TYPE(heredoc_list, struct heredoc);
void heredocs_from_line(const char *line, struct heredoc_list *heredocs);
/* The one that a word is; false: none. */
bool heredoc_from_word(const char *word, struct heredoc *heredoc);
void heredocs_release(struct heredoc_list *heredocs);

/* One instruction from its logical line (dockerfile-parse.c); for ONBUILD triggers of base images too. */
int instruction_parse(struct instruction *i, const char *line, char escape, struct place place, struct error *err);

/* "--name" or "--name=value" among the flags: the value ("" without one), or NULL. */
const char *instruction_flag(const struct instruction *i, const char *name);

/* Variables and their expansion (dockerfile-expand.c). */
struct variable {
	char *name, *value;
	bool uncertain; /* made of a variable that only a base image that is not at hand could define */
};

VEC_TYPE(variables, struct variable);

void variables_set(struct variables *v, const char *name, const char *value, bool uncertain); /* replaces */
const struct variable *variables_get(const struct variables *v, const char *name);
void variables_copy(struct variables *to, const struct variables *from); /* appends */
void variables_release(struct variables *v);

struct expander {
	const struct variables *env;  /* wins over args */
	const struct variables *args; /* may be NULL */
	char escape;
	bool base_unknown; /* an undefined variable may be the base image's */
	bool keep_quotes;  /* quotes mean nothing (heredocs' texts, RUN's flags) */
	bool uncertain; /* out: the result depends on an undefined variable while base_unknown, or on an uncertain one */
};

/* Quotes removed, escapes and variables replaced, as the shell-like language of Dockerfiles has it (docs.docker.com/reference/dockerfile/
 * #environment-replacement; buildkit's frontend/dockerfile/shell). At most 64 KiB. -EINVAL with *mistake in words. */
int expand_word(struct expander *e, const char *word, char **result, char **mistake);

/* Lineage (dockerfile-lineage.c): what `COPY --from` makes of a rule of the stage it copies from. source: absolute, normalised, may be a wildcard.
 * to: has dest (absolute or relative), dest_is_directory, line, chmod, chown, unsyncable of the COPY --from. The results are appended. */
int rule_follow(const struct copy_rule *rule, const char *source, const struct copy_rule *to, struct rule_list *out,
		struct error *err);
void copy_rule_release(struct copy_rule *rule);
struct copy_rule copy_rule_clone(const struct copy_rule *rule);

#endif
