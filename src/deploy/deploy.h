/* Deployers: from images to running containers. One struct of functions a deployer, one line in the table of deploy.c. Blocking, for jobs. */
#ifndef DEPLOY_DEPLOY_H
#define DEPLOY_DEPLOY_H

#include "config/config.h"
#include "io/cancel.h"

struct docker;
struct kubernetes;
struct deployer;

struct deployed_image {
	const struct artifact *artifact; /* NULL: an image that is deployed but not built here */
	const char *image;
	const char *tag;      /* to run */
	const char *image_id; /* that was built: LABEL_BASE */
	const char *agent_id; /* the same with the agent as its last layer: this one is run; NULL: there is none */
};

struct published_port { /* told to the person */
	char *image;
	char *address;
	unsigned local, container;
	bool udp;
};
struct published_ports {
	struct published_port *items;
	size_t len, cap;
};
void published_ports_release(struct published_ports *ports);

/* A container of this run that an earlier skiff left. */
struct left_container {
	char *id, *image;
	char *base_id, *tag, *config_digest; /* its labels; NULL: it has none such */
	bool running;
	int64_t created_s; /* since 1970 */
	struct published_ports ports;
};
VEC_TYPE(left_containers, struct left_container);
void left_containers_release(struct left_containers *left);

struct deploy_options {
	const struct config *config;
	const char *
		run_id; /* label skiff.run of all that belongs to this run; the same for the same project: a hash of the configuration's path */
	struct docker *
		docker; /* with Kubernetes: whose images are delivered into the cluster; NULL: they were pushed when they were built */
	struct kubernetes *kubernetes; /* not NULL: everything is deployed there */
	const char *
		default_repo; /* with Kubernetes: where images are placed (their tags are already); NULL: as they are named */
	bool embedded;
	bool no_ports;		   /* --port-forward=false */
	const char *config_digest; /* deploy_config_digest: LABEL_CONFIG of what is deployed; NULL: no such label */
	bool detached; /* what is deployed outlives this process (run): no live run of the project, and not swept as a killed one's leavings by another `run` */
	struct cancel *cancel;
};

struct deployer_ops {
	const char *name;
	/* On Kubernetes, the manifests that name the image are applied (kubernetes.h); what "container" means below are its pods. Elsewhere:
	 * Starts (or replaces: the old container serves until the new one is created) one image's container. On failure the old one serves again; where there was
	 * none, one that ended at once (-ECHILD, with its last lines) stays, so that a change carried into it can heal it. 1: nothing runs that
	 * image (no manifest has it in a container). Safe for several images at once. */
	int (*deploy)(struct deployer *d, const struct deployed_image *image, struct published_ports *ports,
		      struct cancel *cancel, struct error *err);
	/* What an earlier run of the same run_id left. Takes the run, for as long as the deployer is open: -EBUSY with words where another skiff that lives
	 * has it. */
	int (*left)(struct deployer *d, struct left_containers *left, struct cancel *cancel, struct error *err);
	/* One of these is this deployer's from now on, as if it had deployed it: a later deployment of its image replaces it. */
	void (*adopt)(struct deployer *d, const struct left_container *container);
	/* Removes what an earlier run left, but for those that were adopted. -EBUSY as above. */
	int (*sweep)(struct deployer *d, struct cancel *cancel, struct error *err);
	/* Removes all of the run: containers, the network. Never volumes that the person named. -EBUSY (and nothing removed) where another skiff that lives
	 * has them. */
	int (*cleanup)(struct deployer *d, struct error *err);
	void (*free)(struct deployer *d);
};

struct deployer {
	const struct deployer_ops *ops;
};

/* Over all that containers and their images follow from: the effective configuration (as config_print writes it), where images and ports go, the variables
 * that containers take from the environment, the files that manifests are made of (deploy_manifest_files). Equal digests: what runs is what would be started. */
char *deploy_config_digest(const struct config *config, const char *effective, const char *default_repo,
			   const char *tag, bool no_ports) RETURNS_OWNED;

/* The files that manifests of Kubernetes are made of, absolute, sorted: a change of one means to deploy anew, by a new deployer. None where it has no manifests. */
void deploy_manifest_files(const struct config *config, struct strv *files);

/* What options point to must outlive it; run_id and config_digest are copied. -ENOTCONN where a needed engine is not there. */
int deployer_open(const struct deploy_options *options, struct deployer **deployer, struct error *err);

#endif
