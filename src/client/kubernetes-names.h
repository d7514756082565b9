/* What skiff writes into pods and finds them by. The deployer writes it (deploy/), the runtime reads it (runtime/), and neither sees the other.
 *
 * Each pod template that runs an artifact's image gets the label `skiff.run` (the run's id) and one annotation, `skiff.containers`: JSON, an object
 * whose keys are names of containers:
 *
 *     {"web":{"image":"web","ref":"registry/web:tag@sha256:…","base":"sha256:…","tag":"web:tag"}}
 *
 * A container is an instance of `image` where spec.containers has it with exactly the reference `ref`: another tool that sets another image there makes it its own. Every
 * other object that skiff applies gets the label alone: by it, all of a run is found again and removed. */
#ifndef CLIENT_KUBERNETES_NAMES_H
#define CLIENT_KUBERNETES_NAMES_H

#define KUBERNETES_LABEL_RUN "skiff.run"
#define KUBERNETES_ANNOTATION_CONTAINERS "skiff.containers"
#define KUBERNETES_ANNOTATION_OWNER \
	"skiff.owner" /* "HOST/PID START BOOT" of the skiff that deployed it: owner_host, owner_self (deploy/owner.h) */
#define KUBERNETES_ANNOTATION_CONFIG "skiff.config" /* deploy_config_digest */
#define KUBERNETES_ANNOTATION_DEPLOYED \
	"skiff.deployed" /* a decimal number, greater with each time that it was applied: pods are replaced also where nothing else differs */
#define KUBERNETES_AGENT \
	"skiff.agent" /* key beside "image": agent_programs_id() of the agent in the image's layer; absent: it has none */

#endif
