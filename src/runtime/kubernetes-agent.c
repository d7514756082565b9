/* The agent in a pod: the image's own, else one that is put there by sh and cat, else by tar, as the container's own user, in the first directory that lets
 * him. Such a copy unlinks itself as it starts. */
#include <errno.h>

#include "base/ustar.h"
#include "runtime/kubernetes-session.h"

enum { ANSWER_MAX = 1 << 10 };

/* Where a copy may go, in this order. With tar each is tried in turn, 50 ms each. */
static const char *const places[] = {"/", "/tmp", "/dev/shm", "/var/tmp", "/run"};

/* ---- a line ---- */

struct agent_stream {
	struct session *session;
	struct kubernetes_stream *stream;
};

static int look_why_silent(void *data, struct cancel *cancel, struct error *err)
{
	struct session *s = ((struct agent_stream *)data)->session;
	CLEANUP(error_clear) struct error why = {0};
	json_t *pod = NULL;
	int r = kubernetes_pod(s->kubernetes, s->namespace_, s->pod, &pod, cancel, &why);
	const json_t *status = kubernetes_status_of(pod, s->container);
	bool lives = json_object_get(json_object_get(status, "state"), "running") &&
		     str_equal(kubernetes_text(status, "containerID"), s->container_id);
	json_decref(pod);
	if (r == -ENOENT || (r >= 0 && !lives))
		return error_set(err, EPIPE, "%s does not run any more", s->name);
	return r == -ECANCELED ? error_move(err, &why) : 0;
}

static int stream_turn(void *data, const char **out, size_t *len,
		       int (*take)(void *data, const void *bytes, size_t len), void *take_data, struct cancel *cancel,
		       unsigned timeout_ms, struct error *err)
{
	struct agent_stream *line = data;
	return kubernetes_stream_turn(line->stream, out, len, take, take_data, cancel, timeout_ms, err);
}

static void stream_close(void *data)
{
	struct agent_stream *line = data;
	kubernetes_stream_close(line->stream);
	free(line);
}

static int start_agent(struct session *s, const char *path, bool unlink, const struct agent_program *program,
		       unsigned patience_ms, struct agent **agent, struct cancel *cancel, struct error *err)
{
	const char *const argv[] = {path, unlink ? "--unlink" : NULL, NULL};
	struct kubernetes_stream *stream = NULL;
	int r = kubernetes_stream_open(s->kubernetes, &s->at, argv, &stream, cancel, err);
	if (r < 0)
		return r;
	struct agent_stream *line = xmalloc(sizeof(*line));
	*line = (struct agent_stream){s, stream};
	struct agent_transport transport = {.data = line,
					    .turn = stream_turn,
					    .silent = look_why_silent,
					    .close = stream_close};
	r = agent_open(transport, program, patience_ms, agent, cancel, err);
	if (r >= 0) {
		free(s->user);
		s->user = xasprintf("%u", agent_hello(*agent)->uid);
		s->keeper.user = s->user;
	}
	return r;
}

/* ---- putting it there ---- */

/* 1: the program did what it is for; 0: it failed, or there is none; or why nothing can be run there now. */
static int attempt(struct session *s, const struct kubernetes_exec *exec, struct cancel *cancel, struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = kubernetes_session_run(s, exec, cancel, &why);
	if (r < 0 && r != -ENOENT && r != -ENOEXEC)
		return error_move(err, &why);
	return r == 0;
}

/* The machine of the pod's node, told by the container itself: asking for the node would need a right to nodes. Where it can't tell, it is taken for this
 * one's. */
static int find_program(struct session *s, struct cancel *cancel, struct error *err)
{
	static const char *const argv[] = {"uname", "-m", NULL};
	CLEANUP(str_release) struct str answer = {.max = ANSWER_MAX};
	struct kubernetes_exec exec = {.argv = argv, .output = &answer};
	if (s->program)
		return 0;
	int r = attempt(s, &exec, cancel, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *machine = r ? xstrndup(str_text(&answer), strcspn(str_text(&answer), " \r\n")) : NULL;
#ifdef __aarch64__
	s->program = machine ? agent_program_for(machine) : &agent_program_aarch64;
#else
	s->program = machine ? agent_program_for(machine) : &agent_program_x86_64;
#endif
	return s->program ? 0 : error_set(err, ENOTSUP, "there is no agent for %s", machine);
}

/* Prints where it put what it reads. A directory is tried by running a program there: it may be mounted without the right to. */
static const char put_script[] = "umask 022; for d in \"$@\"; do "
				 "mkdir -p \"$d/.skiff\" 2>/dev/null || continue; f=$d/.skiff/agent; "
				 "rm -f \"$f\" 2>/dev/null; printf '#!/bin/sh\\nexit 7\\n' >\"$f\" 2>/dev/null && "
				 "chmod 755 \"$f\" && { \"$f\" 2>/dev/null; [ $? = 7 ]; } && "
				 "rm -f \"$f\" && cat >\"$f\" && chmod 755 \"$f\" && { echo \"$f\"; exit 0; }; rm -f "
				 "\"$f\" 2>/dev/null; done; exit 9";

/* By sh and cat. 1: it is at *path; 0: that can't be; or why nothing can be run there now. */
static int put_by_shell(struct session *s, char **path, struct cancel *cancel, struct error *err)
{
	CLEANUP(str_release) struct str answer = {.max = ANSWER_MAX};
	const char *argv[5 + ARRAY_LEN(places)] = {"sh", "-c", put_script, "sh"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		argv[4 + i] = i ? places[i] : "";
	struct kubernetes_exec exec = {.argv = argv,
				       .input = s->program->bytes,
				       .input_len = s->program->len,
				       .output = &answer};
	int r = attempt(s, &exec, cancel, err);
	if (r <= 0 || !str_ends_with(str_text(&answer), "\n"))
		return r < 0 ? r : 0;
	*path = xstrndup(str_text(&answer), answer.len - 1);
	return 1;
}

/* The same. */
static int put_by_tar(struct session *s, char **path, struct cancel *cancel, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(places); i++) {
		CLEANUP(str_release) struct str tar = {0};
		const char *const argv[] = {"tar", "-x", "-f", "-", "-C", places[i], NULL};
		ustar_add_directory(&tar, ".skiff/");
		ustar_add_file(&tar, ".skiff/agent", 0755, s->program->bytes, s->program->len);
		ustar_finish(&tar);
		struct kubernetes_exec exec = {.argv = argv, .input = str_text(&tar), .input_len = tar.len};
		r = attempt(s, &exec, cancel, err);
		if (r > 0)
			*path = xasprintf("%s/.skiff/agent", i ? places[i] : "");
	}
	return r;
}

static int start_put(struct session *s, unsigned patience_ms, struct agent **agent, struct cancel *cancel,
		     struct error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = find_program(s, cancel, err);
	if (r >= 0)
		r = put_by_shell(s, &path, cancel, err);
	if (r == 0)
		r = put_by_tar(s, &path, cancel, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(
			err, EACCES,
			"its image has no agent of this skiff, and none can be put there: it needs sh and cat, or "
			"tar, and a directory that %s may write (an emptyDir at /tmp)",
			s->user);
	return start_agent(s, path, true, s->program, patience_ms, agent, cancel, err);
}

static int kubernetes_agent_start(struct session *s, unsigned patience_ms, struct agent **agent, struct cancel *cancel,
				  struct error *err)
{
	CLEANUP(error_clear) struct error why = {0};
	int r = s->in_image ? start_agent(s, AGENT_PATH, false, NULL, patience_ms, agent, cancel, &why) : -ENOENT;
	if (r >= 0 || r == -EAGAIN || cancel_requested(cancel))
		return r < 0 ? error_move(err, &why) : r;
	return start_put(s, patience_ms, agent, cancel, err);
}

static int kubernetes_agent_look(struct session *s, bool anew, struct cancel *cancel, struct error *err)
{
	return s->running && !anew ? 1 : kubernetes_refresh(s, cancel, err);
}

/* ---- accounts ---- */

static char *read_account_file(struct session *s, const char *path, struct cancel *cancel)
{
	CLEANUP(str_release) struct str text = {.max = ACCOUNTS_MAX};
	const char *const argv[] = {"cat", path, NULL};
	struct kubernetes_exec exec = {.argv = argv, .output = &text};
	return attempt(s, &exec, cancel, NULL) > 0 ? str_steal(&text) : NULL;
}

static int kubernetes_agent_accounts(struct session *s, const struct accounts **accounts, struct cancel *cancel,
				     struct error *err)
{
	(void)err; /* what can't be read has no names, which is told with the item */
	if (!s->accounts_read) {
		s->accounts.passwd = read_account_file(s, "/etc/passwd", cancel);
		s->accounts.group = read_account_file(s, "/etc/group", cancel);
	}
	s->accounts_read = true;
	*accounts = &s->accounts;
	return 0;
}

/* ---- words ---- */

/* What helps, by the kind of failure; the last one is for all others. */
static const struct {
	int code;
	const char *help;
} helps[] = {
	{EROFS, "set readOnlyRootFilesystem: false in development, or mount a writable volume there"},
	{ENOSPC, "the node's disk, or the volume, is full"},
	{ENOTDIR, "a directory on its way is a file in the container: a rebuild puts that right"},
	{EBUSY,
	 "it is the place of a mount in the container: mount it elsewhere, or change it where it is mounted from"},
	{EACCES, "let the container's user write there"},
	{EPERM, "let the container's user own it"},
	{0, "rebuild the image; `kubectl describe pod` may say more"},
};

void kubernetes_explain(const struct session *s, const char *dest, const char *owner, int code, const char *words,
			const char *help, struct carry_result *result)
{
	size_t i = 0;
	while (helps[i].code && helps[i].code != code)
		i++;
	free(result->message);
	result->code = code;
	result->message = xasprintf("can't carry %s%s into %s, which runs as %s: %s; %s", dest, owner, s->name, s->user,
				    words, help ? help : helps[i].help);
}

static void kubernetes_agent_explain(struct session *s, const char *dest, const struct agent_item *item,
				     const char *words, const char *help, struct carry_result *result)
{
	_cleanup_free_ char *owner =
		item->words ? xstrdup("")
			    : xasprintf(" (its directory is owned by %u:%u)", item->above_uid, item->above_gid);
	kubernetes_explain(s, dest, owner, item->code, words, help, result);
	result->outside = item->reason == WIRE_REASON_MOUNT;
}

const struct agent_keeper_ops kubernetes_agent_ops = {
	.look = kubernetes_agent_look,
	.start = kubernetes_agent_start,
	.accounts = kubernetes_agent_accounts,
	.explain = kubernetes_agent_explain,
	.other_way = "by tar in the container",
};
