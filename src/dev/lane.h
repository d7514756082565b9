/* Inside the dev loop: one lane an artifact. A lane is a state machine on the loop thread; what blocks are its jobs.
 *
 *            changes                        settled, rebuild
 *     IDLE ──────────► SYNCING ──► IDLE ──────────────────────► BUILDING ──► BUILT ──► DEPLOYING ──► IDLE
 *
 * What arrives meanwhile waits in `pending` and is planned again afterwards (law 1). What was carried stands in `owned`, written before
 * it is sent: an instance that missed something is `behind`, and gets all of `owned` (laws 5 and 6). */
#ifndef DEV_LANE_H
#define DEV_LANE_H

#include "base/change.h"
#include "base/map.h"
#include "build/agent-layer.h"
#include "build/build.h"
#include "deploy/deploy.h"
#include "dev/dev.h"
#include "dev/lines.h"
#include "dev/owned.h"
#include "io/loop.h"
#include "runtime/runtime.h"
#include "sync/journal.h"
#include "sync/plan.h"

struct docker;

enum lane_state {
	LANE_IDLE,
	LANE_ADOPTING,
	LANE_SYNCING,
	LANE_GENERATING,
	LANE_BUILDING,
	LANE_BUILT,
	LANE_DEPLOYING,
	LANE_ATTACHING
};

struct batch;	      /* batch.h */
struct expected_list; /* attach.h */
struct generation;    /* generation.h */
struct program;	      /* programs.c */

/* The files that generators made. */
struct outputs {
	struct inputs scan;  /* as last looked at: an event of what still is so tells nothing new */
	struct inputs image; /* Jib: what the image is known to hold of them */
};

/* What a job does with a session: one at a time. */
enum session_use {
	SESSION_FREE,
	SESSION_OPENING,
	SESSION_CARRYING,
	SESSION_LOOKING,
	SESSION_CHECKING,
	SESSION_PINGING
};

struct lane_instance {
	struct lane *lane;
	struct instance info;
	struct session *session; /* NULL: not open yet, or broken */
	enum session_use use;
	struct timer *ping;  /* runs while nothing uses the session */
	struct batch *next;  /* waits until the session is free */
	struct cancel *logs; /* of its log job; NULL: none */
	bool behind;	     /* may lack something of owned: gets it at the next chance */
	bool stuck;	     /* what failed would fail again: the next change, not the next chance */
	bool unreachable;    /* its line broke, not a file failed: that was told, and it is tried on */
	bool fresh;	     /* as its image made it: nothing was carried there yet */
	bool unfinished;     /* what follows a copy (hooks, a restart) may still be due */
	bool unverified;     /* carried to since it was last looked at (verify.h) */
	bool checked;	     /* asked whether lane->preflight can be written */
	bool gone;	     /* freed when the job is done */
	bool stale;	     /* started anew since the session was opened: another is, once it is free */
	uint64_t started_ns; /* seen to run since */
	bool exit_untold;    /* seen to have ended while it was being restarted */
	struct map seen;     /* verify.c's: what it held when it was last looked at */
	bool surveyed;	     /* attached: what it holds was compared since it started (attach.h) */
};

struct lane {
	struct dev *dev;
	size_t index; /* in dev->lanes and config->artifacts */
	const struct artifact *artifact;
	struct sync_source *source; /* NULL: the Dockerfile does not parse: every change is a rebuild */
	enum lane_state state;
	bool wants_build;
	bool force_build;
	bool build_failed;	  /* the last build or deployment failed; the old version keeps running */
	bool definitions_changed; /* the next build begins with looking at the tree anew */
	bool waits_for_rest;	  /* the decision on `pending` waits until all has settled */
	bool announced_wait;
	bool announced_deploy; /* a new image waits for the person's word */
	bool built;	/* what is deployed next was just built: what it holds is known, `owned` is pruned by that */
	bool wants_map; /* the sync map of the new image is to be asked for */
	bool generate_failed;
	bool pending_from_run; /* all of pending came while a generator ran, or a build: perhaps its own doing */
	bool kept_old;	       /* `kept` has copies that nothing needs any more */
	char *build_reason;    /* why it is (re)built, for a person */
	uint64_t build_started_ns;
	struct change_set pending;
	struct change_set
		before_build;	 /* came in before the running build looked at its inputs: in the baseline already */
	uint64_t first_event_ns; /* of pending; 0: none */
	uint64_t planned_ns;	 /* when its planning began */
	char *error;		 /* the standing error; NULL: none */
	const char *error_about; /* as lane_set_error has it */
	uint64_t carried;	 /* the last number given to one of owned */
	struct map owned;	 /* destination → struct owned */
	struct inputs baseline;
	struct map dirty; /* paths (keys) that changed while the image was built: the baseline does not hold for them */
	char *tag, *image_id;
	char *deployed_id; /* the image that its instances run */
	char *layer;	   /* and with the agent on it, the reference of that (build/agent-layer.h); NULL: without */
	char *layer_note;  /* why without, as told */
	uint64_t built_ns; /* time of day when it was; 0: it was there already */
	VEC(struct lane_instance *) instances;
	bool none_listed; /* the runtime said so since the last deployment */
	bool unused;	  /* nothing runs the image, the deployer said */
	/* Generators. While one runs for this lane, `source` and all that is known of outputs stay as they are: its job reads them. */
	struct outputs outputs;
	struct generation *generating; /* in LANE_GENERATING */
	struct generation *mapping;    /* asks for the sync map of a new image, in the background */
	struct change_set failed; /* what the failed run was for: planned again with the next change that generates */
	struct change_set unmade; /* what generators would have been run for, had it not led to a build */
	struct map seen_by_generators; /* paths (keys) that a run may have read: deleting one is not nothing */
	char *own_path;		       /* what decided them */
	unsigned own_rounds;	       /* runs in a row that only their predecessor caused */
	unsigned torn;		       /* runs in a row whose outputs went before they could be kept */
	struct kept *kept;	       /* NULL: not opened yet */
	/* For a skiff started again: how paths were when their last change was dealt with, where the baseline does not say so. */
	struct journal *journal;
	struct map seen;	 /* path → struct journal_seen */
	struct map about_to_see; /* the same, of the batch under way */
	VEC(struct program *) programs;
	bool outputs_came; /* of generators that run for ever: others may be gone instead, which is certain once all has settled */
	struct strv preflight, unwritable; /* preflight.h; those that were told of */
	struct batch *syncing;		   /* in LANE_SYNCING */
	struct timer *barrier;		   /* of that */
	unsigned crashes;		   /* in a row, of one that holds more than its image */
	unsigned retries;		   /* in a row */
	bool retries_slowly;		   /* the timer runs for what is an error that stands */
	struct timer *retry;
	/* Another tool runs its containers (attach.h): it is never built or deployed. image_id is that of the newest container. */
	bool attached;
	bool listed;			/* the containers were, since the start */
	bool wants_attach;		/* its tree is to be read (anew) */
	bool other_image;		/* since it was read last */
	bool mapped;			/* Jib's map was asked for in this run: what it makes is as the sources are */
	struct expected_list *expected; /* NULL: not read yet */
	char *rebuild_due;		/* the standing message, NULL: none; also of `once` */
	struct strv old_images;		/* that it is about */
};

enum dev_phase { DEV_STARTING, DEV_RUNNING, DEV_STOPPING };

struct dev {
	const struct dev_options *options;
	struct event_bus *bus;
	struct loop *loop;
	struct config *config;
	struct runtime *runtime;
	struct deployer *deployer;
	struct docker *docker;	       /* NULL: no engine */
	struct kubernetes *kubernetes; /* NULL: containers run elsewhere */
	char *run_id;
	struct strv manifests; /* files that they are made of; with Kubernetes */
	struct watch *watch;
	struct cancel *cancel;
	VEC(struct lane *) lanes;
	char *list_problem;	/* as the runtime last told */
	uint64_t since_ns;	/* time of day of the start */
	struct timer *patience; /* until `idle` waits no longer for those that are looked at */
	enum dev_phase phase;
	unsigned jobs; /* running, of any kind */
	bool embedded;
	bool settled; /* what the watcher said last */
	bool forced;  /* the person pressed Enter: held decisions go ahead */
	bool listing, list_again;
	bool extras_running; /* images without an artifact are being started */
	bool configuration_changed, manifests_changed;
	bool configuration_bad; /* as it is on disk now: the person was told */
	bool reload;		/* the configuration changed: start anew once the jobs are done */
	bool said_idle;		/* nothing happened since the last idle event */
	bool trimmed;		/* nothing was built, nor much carried, since memory was given back */
	bool impatient;		/* patience is over */
	bool ready;
	bool once_failed;
	int signal;
	VEC(struct signal_watch *) signals;
	int terminal; /* opened anew, since it becomes non-blocking; -1: none */
	struct fd_watch *keys;
	struct line_pipe *lines;
	struct published_ports ports;
	struct config *next_config;	  /* of the next round */
	char *config_text;		  /* the effective configuration, to see whether a changed file changed it */
	char *config_digest;		  /* LABEL_CONFIG */
	VEC(struct adoption *) adoptions; /* an artifact each, NULL: none (adopt.h); of the first round */
	char *once_problem;		  /* why a container can't be brought up to date */
};

/* dev.c */
void dev_job(struct dev *dev, void (*work)(void *), void (*done)(void *),
	     void *data); /* counted loop_job; done must call dev_job_done last */
void dev_thread(struct dev *dev, void (*work)(void *), void (*done)(void *), void *data); /* counted loop_thread */
void dev_job_done(struct dev *dev);
/* From a job: runs call(data) on the loop, and waits for its end. */
void dev_call(struct dev *dev, void (*call)(void *data), void *data);
void dev_happened(struct dev *dev); /* something was said: the next quiet moment is told as idle */
void dev_step_all(struct dev *dev);
int dev_watch(struct dev *dev, struct error *err);
void dev_watch_anew(struct dev *dev);	       /* the roots or what is pruned may have changed */
void dev_check_configuration(struct dev *dev); /* begins anew where the files say something else by now */
/* Ends this round of the loop once the running jobs are done: for good, or to start anew with another configuration. */
void dev_wind_down(struct dev *dev);

/* round.c */
void dev_listen(struct dev *dev); /* to signals and keys */
int dev_open_deployer(struct dev *dev, struct error *err);
int dev_run_rounds(struct dev *dev, struct error *err); /* until the end */

/* lane.c */
struct lane *lane_new(struct dev *dev, size_t index);
void lane_free(struct lane *lane);
void lane_roots(const struct lane *lane, struct strv *roots); /* appended */
void lane_add_changes(struct lane *lane, const struct change_set *changes, uint64_t first_event_ns);
void lane_step(struct lane *lane);
void lane_drop_pending(struct lane *lane); /* all of it is taken care of */
void lane_drop_passed(struct lane *lane);  /* what came and went, and what generators of this lane wrote */
bool lane_is_quiet(const struct lane *lane);
bool lane_deploys(const struct lane *lane); /* false for an image that others only build upon */
/* A standing error, told once; NULL clears. about: "build", "deploy", "sync", "generate", "hook", "session". */
void lane_set_error(struct lane *lane, const char *about, const char *message);
void lane_set_well(struct lane *lane); /* clears it, if nothing else fails still */
void lane_want_build(struct lane *lane, const char *reason);
/* Lists, opens and catches up again after a while, longer each time. False: that was tried so often that the person has to know. It is tried on: a network
 * that was away for an hour comes back without a change. */
bool lane_retry_later(struct lane *lane);

/* lane-build.c */
void lane_build(struct lane *lane);
void lane_deploy(struct lane *lane);
void lane_take_ports(struct lane *lane, struct published_ports *ports); /* in the place of its old ones; taken over */
bool lane_may_build(const struct lane *lane);

/* lane-sync.c */
struct sync_story { /* how a batch came about */
	uint64_t first_event_ns, planned_ns, decided_ns;
	unsigned generate_us, transfer_us;
	/* Where a generator made what is carried: which, and the path that it was run for (as shown; may be NULL). */
	const char *path, *name;
	const struct strv *command;
	struct change_set *changes; /* that it was run for: taken over */
};
/* Takes the candidates over; copies the story. */
void lane_sync(struct lane *lane, struct candidate_list *candidates, const struct sync_story *story);
void lane_catch_up(struct lane *lane); /* instances that are behind */
void lane_barrier(void *lane);	       /* the timer's: the batch waits no longer for those that are late */

/* lane-generate.c */
void lane_generate(struct lane *lane, const struct decision *decision); /* takes `pending` for its batch */
void lane_generate_stop(struct lane *lane);				/* ends what runs; its end comes later */
void lane_map(struct lane *lane); /* asks for the map of a new image in the background, once the context is free */
bool lane_context_is_free(const struct lane *lane); /* no build or generator is at work in it */
/* How a person calls the generator: "npm run build", "mvn". */
char *lane_generator_name(const struct lane *lane, const struct sync_generator *generator) RETURNS_OWNED;
/* A run that is pointless by now is ended: a rebuild is due. */
void lane_check_generation(struct lane *lane);
/* True where the batch is the doing of the run or build before it, again and again: it waits a while, since a person may have saved it; and where it comes
 * even so, that is told, and `pending` is set aside. */
bool lane_feeds_itself(struct lane *lane, const struct decision *decision);

/* lane-outputs.c */
/* Out of `pending`: what the run that just ended made. into NULL: it succeeded and was looked at, so only what it deleted is nothing; else it
 * failed, and nothing of that is carried until one succeeds: it is put there. */
void lane_drop_outputs(struct lane *lane, struct change_set *into);
/* An event of an output that is as a generator left it. */
bool lane_saw_output(const struct lane *lane, const struct change *change);
/* Before a build: the changes that it makes up for, but only for the image. After it: those that generators are still to be run for, since the
 * image does not take in what they make, are pending again. */
void lane_note_unmade(struct lane *lane);
void lane_owe_unmade(struct lane *lane);
/* After a build: what was found of outputs; what the image does not hold of it becomes a change. */
void lane_take_outputs(struct lane *lane, struct outputs *outputs, bool cached);
/* What the outputs are, and which of them a new image holds. For the job that built it, or asked for its map. outputs->scan: an earlier look, or
 * empty. built_ns: time of day right after the build; 0: the image was there already, and what was kept of it is loaded. known: what an earlier look
 * found this image to hold, or NULL. */
int outputs_of_image(const struct lane *lane, const struct sync_source *source, const char *image_id, uint64_t built_ns,
		     const struct inputs *known, struct outputs *outputs, struct error *err);
/* What was written since that time of day the image may or may not hold: it is carried once more. */
void lane_doubt_outputs(struct lane *lane, uint64_t since_ns);
bool lane_is_endless_output(const struct lane *lane, const char *path); /* of a generator that runs for ever */
/* Destinations whose outputs are gone, of generators that run for ever. */
void lane_missing_outputs(const struct lane *lane, struct strv *dests);
/* Outputs that changed where nobody watched them become changes. */
void lane_recheck_outputs(struct lane *lane);

/* programs.c: generators that run for ever */
void lane_start_programs(struct lane *lane);
bool lane_programs_fail(const struct lane *lane);
void lane_free_programs(struct lane *lane);

/* lane-journal.c: what a skiff started again has to know (sync/journal.h). Lines wait until lane_journal_batch. */
void lane_journal_owned(struct lane *lane, const char *dest, const struct owned *owned);
void lane_journal_see(struct lane *lane, const char *path, unsigned mode, struct hash hash);
/* Writes them down, before anything of the batch is sent. dealt_with: its changes are; else they are planned again. */
void lane_journal_batch(struct lane *lane, bool dealt_with);
void lane_journal_next(struct lane *lane);  /* a new image is about to be deployed */
void lane_prune_seen(struct lane *lane);    /* what the new image's baseline says by itself */
void lane_journal_write(struct lane *lane); /* all of it anew: of what is deployed now */
void lane_journal_tidy(struct lane *lane);  /* the same, if most of it is old */
char *dev_journal_name(const struct dev *dev, const struct artifact *artifact) RETURNS_OWNED;
/* As it is now, into a map such as lane->seen: a file; all that generators read and make, and rules bring, that is not of the image's inputs. For jobs. */
void journal_see_file(struct map *seen, const char *path);
int journal_see_others(const struct sync_source *source, struct map *seen, struct error *err);

/* instances.c */
void instances_refresh(struct dev *dev); /* list, open sessions, start logs */
void instances_follow(struct dev *dev);
void lane_instance_release(struct lane_instance *instance);

/* session.c: the life of a session */
void session_open(struct lane_instance *instance);
/* The container was started anew: its session is of the one before. */
void session_reopen(struct lane_instance *instance);
/* Its line broke while nothing was carried: another is opened. */
void session_lost(struct lane_instance *instance);
/* The job on it has ended: what waits goes on. An instance that is gone is freed. */
void session_give_back(struct lane_instance *instance);

/* tell.c: the events' JSON */
void tell_change(struct dev *dev, const struct change_set *changes);
void tell_decision(const struct lane *lane, const struct decision *decision);
void tell_build(const struct lane *lane, const char *status, double ms); /* ms < 0: not known yet */
void tell_build_failed(const struct lane *lane, const char *message, const struct build_result *result);
void tell_deploy(const struct lane *lane, const char *status, double ms, const struct published_ports *ports);
struct adopted_told {
	int64_t age_s;	/* of the container */
	size_t changed; /* files, since it was last brought up to date */
};
void tell_adopted(const struct lane *lane, const struct adopted_told *told, const struct published_ports *ports);
void tell_instance(const struct lane_instance *instance, const char *status);
void tell_error(struct dev *dev, const char *image, const char *about, const char *message);
void tell_warning(struct dev *dev, const char *message);
void tell_ready(struct dev *dev);
void tell_idle(struct dev *dev);

void tell_sync(const struct lane_instance *instance, const struct carry *carry, const struct carry_report *report,
	       const char *status, const struct sync_story *story, const char *message);

struct generate_told {
	const struct strv *command;
	const char *name; /* of the command, for a person */
	const char *status, *reason;
	double ms;	   /* < 0: not known yet */
	long long outputs; /* that changed; < 0: not known */
	const char *message, *output;
	bool background; /* nothing waits for it: the map of a new image, a program that runs for ever */
};
void tell_generate(const struct lane *lane, const struct generate_told *told);

double elapsed_ms(uint64_t since_ns);

#endif
