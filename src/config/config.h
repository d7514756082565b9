/* The effective configuration: skaffold.yaml (all documents, profiles applied) with skiff.yaml laid over it, decoded and validated.
 *
 * Everything below is owned by struct config and read-only after loading; the loop and jobs on other threads may read it at
 * will. Strings are UTF-8 without NUL. Values that are Go templates are kept as written (expand with format/template.h where they are
 * used, since their variables are known only then). */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "base/vec.h"

struct text { /* a string that remembers where it was written */
	char *value;
	struct place place;
};

struct pair {
	char *name;
	char *value; /* NULL: a name alone (a build argument taken from the environment) */
	struct place place;
};

VEC_TYPE(text_list, struct text);
VEC_TYPE(pair_list, struct pair);

enum sync_mode { SYNC_NONE, SYNC_MANUAL, SYNC_INFER, SYNC_AUTO };

struct sync_rule {	   /* manual, and `direct` of an auto mapping */
	struct text src;   /* glob, relative to the context; checked */
	struct text dest;  /* relative: joined to the image's WORKDIR */
	struct text strip; /* value NULL or a textual prefix of src */
	struct place place;
};

struct hook {
	bool container;	     /* else on the host */
	struct strv command; /* not empty */
	struct strv os;	     /* host only: runtime names such as "linux"; empty: everywhere */
	char *dir;	     /* host only; NULL: the working directory */
	struct place place;
};

VEC_TYPE(hook_list, struct hook);
VEC_TYPE(sync_rule_list, struct sync_rule);

enum generator_kind {
	GENERATOR_COMMAND, /* writes the outputs that `sync` names */
	GENERATOR_MAP,	   /* prints a sync map: `map`, and Jib's goal */
	GENERATOR_TAR,	   /* prints the path of a tar file: `tar` */
};

struct sync_generator { /* `generated` of an auto mapping; map, tar and Jib's in the same shape, with sync empty */
	enum generator_kind kind;
	struct strv command; /* argv; a string in the file became {"sh","-c",string} */
	struct text_list inputs;
	struct sync_rule_list sync; /* src may be a directory: it stands for every file below it */
	bool watch;
	struct place place;
};

VEC_TYPE(sync_generator_list, struct sync_generator);
void sync_generators_release(struct sync_generator_list *generators); /* for those that come from elsewhere */
/* Its command as a person would call it, in one line: "npm run build"; of a script for sh, the first line. */
char *sync_generator_name(const struct sync_generator *generator) RETURNS_OWNED;

struct sync_program {	     /* `map` and `tar` of an auto mapping */
	struct strv command; /* empty: not configured */
	struct text_list inputs;
	struct text_list rebuild;
	struct place place;
};

struct sync_config {
	enum sync_mode mode; /* defaults applied (facts/skaffold.md: `sync: {}`, buildpacks) */
	struct place place;  /* of the key `manual`, `infer` or `auto`; of `sync` where none is written */
	struct sync_rule_list manual;
	struct text_list infer;	  /* globs */
	struct text_list ignored; /* the rest: only with `auto` as a mapping */
	struct text_list rebuild;
	struct sync_rule_list direct;
	struct sync_generator_list generated;
	struct sync_program map;
	struct sync_program tar;
	struct hook_list before; /* sync.hooks */
	struct hook_list after;
};

enum builder_kind {
	BUILDER_DOCKER,
	BUILDER_JIB,
	BUILDER_CUSTOM,
	BUILDER_KO,
	BUILDER_BUILDPACKS,
	BUILDER_BAZEL,
	BUILDER_KANIKO
};

struct docker_config {		     /* also custom's dependencies.dockerfile (path, build_args) */
	struct text dockerfile;	     /* default "Dockerfile" */
	char *target;		     /* NULL: the last stage */
	struct pair_list build_args; /* values are templates */
	char *network;
	struct strv add_host, cache_from, cache_to, cli_flags;
	bool pull_parent, no_cache, squash;
	struct {
		char *id, *src, *env;
	} * secrets;
	size_t secrets_len;
	char *ssh;
};

struct custom_config {
	struct text build_command; /* a template; sh -c */
	bool has_dockerfile;	   /* dependencies.dockerfile, in artifact.docker */
	struct text command;	   /* dependencies.command; value NULL: none */
	struct text_list paths;	   /* globs; default {"."} where neither of the other two is given */
	struct text_list ignore;
};

struct jib_config {
	char *project, *type, *from_image;
	struct strv args;
};

struct ko_config {
	char *from_image, *dir, *main;
	struct text_list paths, ignore; /* default: every .go file, any depth */
	struct strv env, flags, labels, ldflags;
};

struct buildpacks_config {
	char *builder, *run_image, *project_descriptor;
	struct strv env, buildpacks;
	struct strv volumes; /* host:target[:options] */
	struct text_list paths, ignore;
	bool trust_builder, clear_cache;
};

struct artifact_dependency { /* requires */
	char *image;
	char *alias;	 /* default: image */
	size_t artifact; /* index in config.artifacts */
	struct place place;
};

enum restart_kind { RESTART_NONE, RESTART_CONTAINER, RESTART_SIGNAL };

struct artifact {
	struct text image; /* as written */
	char *context;	   /* absolute, normalised, links kept */
	struct place place;
	enum builder_kind builder;
	struct docker_config docker;
	struct custom_config custom;
	struct jib_config jib;
	struct ko_config ko;
	struct buildpacks_config buildpacks;
	struct sync_config sync;
	VEC(struct artifact_dependency) requires_;
	struct hook_list before, after; /* build hooks (host) */
	struct strv platforms;
	char *runtime_type;
	enum restart_kind restart; /* skiff.yaml: restart: true, or signal: NAME, after each sync */
	int signal;		   /* with RESTART_SIGNAL */
	bool parallel;		   /* skiff.yaml: builds and generators of its context need not wait for each other */
	bool required_by_others;
	struct place
		config_file; /* the file that configures it (relative paths of hooks and so on start from its base_dir) */
	char *base_dir; /* absolute: the working directory; for a required configuration, its own file's directory */
};

struct run_config { /* deploy.docker.run.IMAGE of skiff.yaml */
	char *image;
	struct pair_list env;
	struct strv volumes; /* "name:/path[:ro]" or "/host:/path[:ro]" */
	struct strv command; /* empty: the image's */
	struct strv ports;   /* "host:container", "container", "ip:host:container" */
	struct strv tmpfs;   /* "/path[:options]" */
	char *user;	     /* NULL: the image's */
	bool read_only;
	struct place place;
};

/* deploy.attach of skiff.yaml: containers that another tool runs. What it runs, skiff neither builds nor deploys, also where
 * deploy.docker.images names it. */
struct attach_config {
	struct text image;   /* of an artifact that no other requires */
	struct text label;   /* "KEY" or "KEY=VALUE"; value NULL: by `compose` */
	struct text compose; /* a service of Docker Compose, "SERVICE" or "PROJECT/SERVICE"; value NULL: by `label` */
	struct place place;
};

struct port_forward {
	char *resource_type, *resource_name, *namespace_, *address; /* address default 127.0.0.1 */
	char *port_name;
	unsigned port;	     /* 0 where port_name is given */
	unsigned local_port; /* 0: the same as port, or a free one where taken */
	struct place place;
};

struct helm_release {
	char *name;
	struct text chart; /* chartPath (a directory below base_dir) or remoteChart; value NULL: neither is written */
	bool remote;	   /* it is remoteChart */
	char *repo, *version; /* NULL: none */
	char *namespace_;     /* a template; NULL: where everything goes */
	bool create_namespace;
	bool skip_dependencies; /* skipBuildDependencies */
	bool skip_tests;
	struct strv values_files;	  /* templates; relative to base_dir */
	struct pair_list values;	  /* setValues, flat: "a.b", "a[0].b" */
	struct pair_list value_templates; /* setValueTemplates, the same; values are templates */
	struct pair_list files;		  /* setFiles: values are paths */
	char *overrides;		  /* a values file's text, NULL: none */
	struct place place;
};

/* Where one document of the configuration says that manifests come from. */
struct manifest_source {
	char *base_dir;		    /* absolute: relative paths start here */
	struct text_list raw_yaml;  /* globs, files, directories, http(s) URLs */
	struct text_list kustomize; /* directories */
	struct strv kustomize_args; /* buildArgs */
	VEC(struct helm_release) releases;
	struct strv helm_global_flags, helm_template_flags;
	bool by_default; /* raw_yaml is the yaml files of k8s/ because nothing is written */
};

struct kubernetes_config {
	VEC(struct manifest_source) sources;		     /* in the order of the documents */
	struct strv global_flags, apply_flags, delete_flags; /* deploy.kubectl.flags */
	bool disable_validation;
	char *default_namespace; /* deploy.kubectl.defaultNamespace: where neither -n nor a manifest names one; NULL: the context's */
	char *context; /* deploy.kubeContext; NULL: the current one */
	struct strv
		load; /* skiff.yaml: deploy.load.command: how an image (the variable IMAGE) gets into the cluster; empty: as the context's name says */
};

enum tag_policy { TAG_INPUT_DIGEST, TAG_GIT_COMMIT, TAG_SHA256, TAG_DATE_TIME, TAG_ENV_TEMPLATE, TAG_CUSTOM_TEMPLATE };

struct tag_rule { /* tagPolicy, or a component of its customTemplate */
	enum tag_policy policy;
	char *name;	/* of a component: what the template calls it; else NULL */
	char *template; /* envTemplate, customTemplate, or dateTime's format; NULL: none */
	char *timezone;
	char *git_variant, *git_prefix;
	bool git_ignore_changes;
};

struct config {
	VEC(struct artifact *) artifacts; /* in the order of the files; requires resolved, no cycles */
	struct tag_rule tag;
	VEC(struct tag_rule) tag_components; /* of customTemplate; each has a name of its own */
	struct {
		int concurrency; /* 0: no limit; default 1 */
		bool push, push_set;
		bool use_buildkit, use_buildkit_set;
		bool use_docker_cli, try_import_missing;
	} local;
	bool deploy_docker; /* deploy.docker present, or nothing but docker can deploy this */
	/* manifests, deploy.kubectl, deploy.helm or deploy.kustomize present, or no way to deploy is written and there are the yaml files of k8s/ */
	bool deploy_kubernetes;
	struct kubernetes_config kubernetes;
	struct strv
		docker_images; /* deploy.docker.images; where it isn't written and docker deploys: every artifact; without what is attached */
	VEC(struct run_config) run; /* skiff.yaml */
	VEC(struct attach_config) attach;
	VEC(struct port_forward) port_forward;
	bool status_check, status_check_set;
	unsigned status_check_deadline_s;
	char *log_prefix; /* auto (default), container, podAndContainer, none */
	/* Where to look for changes of the configuration itself: absolute paths of every file read. */
	struct strv files;
	/* Warnings, with caret and place, one text each: sections that are known but not carried out yet, and the like. */
	struct strv warnings;
	struct config_files *texts; /* keeps the file names that places point to */
};

struct config_options {
	const char *
		file; /* -f; NULL: skaffold.yaml in the working directory, else skaffold.yml, else skiff.yaml alone if it is complete */
	struct strv profiles;	  /* -p, in order; "-name" turns one off */
	struct strv modules;	  /* -m: only these metadata.name */
	const char *kube_context; /* for profile activation; NULL: unknown */
	const char *command;	  /* "dev", "build", …: for profile activation */
	/* Checks a glob (sync/glob.h, which this folder may not use); NULL: globs are not checked. *offset: the byte of the mistake. */
	int (*check_glob)(const char *pattern, size_t *offset, struct error *err);
};

/* Loads, merges, validates. On failure returns -EINVAL (or the errno of a file that can't be read); *report holds every problem found,
 * each "file:line:column: error: …" with the line and a caret, ready to print. *config is untouched then. */
int config_load(const struct config_options *options, struct config **config, struct str *report);
/* The same for a text in memory, as if it were the file `name` (tests, fuzzers): no file is opened, so that `requires` is an error. */
int config_load_text(const struct config_options *options, const char *name, const char *text, size_t len,
		     struct config **config, struct str *report);

void config_free(struct config *config);
DEFINE_CLEANUP(struct config, config_free)

/* The effective configuration as YAML (what `skiff config` prints). */
int config_print(const struct config_options *options, struct str *yaml, struct str *report);

/* The JSON Schema (draft 2020-12) of skaffold.yaml with skiff's additions, and of skiff.yaml, from the one table. */
char *config_schema(bool skiff_yaml) RETURNS_OWNED;

/* The artifact of that image, exactly as written, or NULL. */
const struct artifact *config_artifact(const struct config *config, const char *image);

/* True if another tool runs its containers (deploy.attach). */
bool config_is_attached(const struct config *config, const char *image);
/* True if skiff starts containers of it. */
bool config_deploys(const struct config *config, const struct artifact *artifact);

const char *sync_mode_name(enum sync_mode mode);       /* "manual", "infer", "auto", "none" */
const char *builder_kind_name(enum builder_kind kind); /* "docker", … */

#endif
