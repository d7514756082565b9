/* The deployer of Kubernetes: manifests (manifest.h) from files, kustomize and helm (render.h), applied by kubectl.
 *
 * Manifests are rendered once, when they are first needed. One is applied as soon as all images that it names are known, and again with each deployment of
 * one of them; those that name none go with the first. An image that no manifest names is nothing to deploy. Pods and jobs, which can't be
 * changed, are replaced. Then it waits until the pods run (kubernetes-status.h), and forwards their ports (kubernetes-ports.h) for as long as this process lives.
 *
 * All that is applied has the label skiff.run. Cleanup deletes what the manifests name and carries it, and nothing else: objects that are in no manifest
 * any more stay, and so do namespaces and claims of volumes, with what is in them. */
#ifndef DEPLOY_KUBERNETES_H
#define DEPLOY_KUBERNETES_H

#include "deploy/deploy.h"

int deployer_kubernetes_open(const struct deploy_options *options, struct deployer **deployer, struct error *err);

#endif
