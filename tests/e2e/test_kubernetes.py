"""On a real cluster: pods of any number, that go, come, crash and move, each with what the sources say."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import cluster
import harness
import scenario
import test_java
from cluster import DEADLINE, KubernetesProject, PodDev, file_in, inside, kubectl, pods
from harness import MANUAL, ROOT, change
from scenario import Scenario


class Kubernetes(Scenario):
    runtimes = ("kubernetes",)

    def site(self, sync=MANUAL, pages=None):
        project = KubernetesProject()
        self.addCleanup(project.release)
        self.addCleanup(harness.remove_leftovers, project.image)
        return project.site(sync, pages)

    def dev(self, project, *arguments, wait=True, **more):
        dev = PodDev(scenario.settings.skiff, project, "kubernetes", *arguments, wait=False, **more)
        self.addCleanup(self.stop, dev)
        self.devs = [*getattr(self, "devs", []), dev]
        if wait:
            dev.wait("ready", timeout=DEADLINE)
        return dev


class Copying(Kubernetes):
    def test_edit_add_delete(self):
        project = self.site().deployment()
        dev = self.dev(project)
        mark = dev.mark()
        project.replace("www/index.html", "second")
        sync = dev.wait("sync", mark, timeout=DEADLINE)
        self.assertEqual(sync["status"], "succeeded")
        self.assertTrue(sync["atomic"], sync)
        self.assertEqual(sync["instance"], dev.pods()[0])
        dev.in_all("/srv/index.html", "second", 1)
        project.write("www/deep/er/new.txt", "new")
        dev.in_all("/srv/deep/er/new.txt", "new")
        project.remove("www/deep/er/new.txt")
        dev.in_all("/srv/deep/er/new.txt", None)
        self.assertCopied(dev, mark)
        self.assertEqual(dev.end(), 130)
        left = kubectl("get", "deployments", "-l", "skiff.run", "-o", "name").decode()
        self.assertNotIn(project.image, left)

    def test_rebuild_replaces_pods(self):
        project = self.site().deployment()
        dev = self.dev(project)
        project.replace("www/index.html", "carried")
        dev.in_all("/srv/index.html", "carried", 1)
        before, mark = dev.pods(), dev.mark()
        change(project.file("Dockerfile"), "FROM scratch\n", "FROM scratch\nLABEL a=b\n")
        dev.wait("deploy", mark, timeout=DEADLINE, status="succeeded")
        dev.in_all("/srv/index.html", "carried", 1)
        self.assertNotEqual(dev.pods(), before, dev.failure("the same pods"))
        project.replace("www/index.html", "after")
        dev.in_all("/srv/index.html", "after", 1)

    def test_without_an_agent(self):
        project = self.site().deployment()
        os.symlink("busybox", project.path("bin/sh"))
        os.symlink("busybox", project.path("bin/tar"))
        dev = self.dev(project, "--no-agent")
        project.replace("www/index.html", "by tar")
        dev.in_all("/srv/index.html", "by tar", 1)
        project.remove("www/index.html")
        dev.in_all("/srv/index.html", None, 1)
        self.assertFalse(next(event for event in dev.events if event["type"] == "sync")["atomic"])

    def test_read_only_and_not_root(self):
        """The agent is in the image's layer: nothing of it needs to be written."""
        project = self.site().deployment(pod="volumes: [{name: srv, emptyDir: {}}]",
                                         container="securityContext: {readOnlyRootFilesystem: true, runAsUser: 1000, runAsGroup: 1000}\n"
                                                   "volumeMounts: [{name: srv, mountPath: /srv}]")
        dev = self.dev(project)
        project.replace("www/index.html", "into the volume")
        dev.in_all("/srv/index.html", "into the volume", 1)


    def test_by_a_registry(self):
        if "SKIFF_TEST_CONTEXT" in os.environ:
            self.skipTest("the registry is that of script/cluster")
        project = self.site().deployment(container="imagePullPolicy: Always")
        project.remove("skiff.yaml")
        dev = self.dev(project, "--default-repo", "localhost:15000/team")
        project.replace("www/index.html", "pulled, then copied")
        dev.in_all("/srv/index.html", "pulled, then copied", 1)
        container = json.loads(kubectl("get", "pod", dev.pods()[0], "-o", "json"))["spec"]["containers"][0]
        self.assertTrue(container["image"].startswith(f"localhost:15000/team/{project.image}:skiff-"), container["image"])
        self.assertEqual(container["imagePullPolicy"], "Always")


class Many(Kubernetes):
    def test_replicas_come_and_go(self):
        project = self.site().deployment(replicas=3)
        dev = self.dev(project)
        project.replace("www/index.html", "everywhere")
        dev.in_all("/srv/index.html", "everywhere", 3)
        kubectl("delete", "pod", dev.pods()[0], "--wait=false", "--grace-period=1")
        dev.in_all("/srv/index.html", "everywhere", 3)
        kubectl("scale", f"deployment/{project.image}", "--replicas=5")
        dev.in_all("/srv/index.html", "everywhere", 5)
        kubectl("rollout", "restart", f"deployment/{project.image}")
        project.replace("www/index.html", "in the middle")
        kubectl("rollout", "status", f"deployment/{project.image}", "--timeout=60s")
        dev.in_all("/srv/index.html", "in the middle", 5)

    def test_one_that_hangs_holds_up_no_other(self):
        project = self.site().deployment(replicas=3)
        dev = self.dev(project)
        project.replace("www/index.html", "one")
        dev.in_all("/srv/index.html", "one", 3)
        bad, *good = dev.pods()
        agent = cluster.agent_of(bad)
        os.kill(agent, signal.SIGSTOP)
        try:
            mark = dev.mark()
            project.replace("www/index.html", "two")
            for pod in good:
                dev.wait("sync", mark, instance=pod, status="succeeded")
            self.assertEqual([file_in(pod, "/srv/index.html") for pod in good], [b"two", b"two"])
        finally:
            os.kill(agent, signal.SIGCONT)
        dev.in_all("/srv/index.html", "two", 3)

    def test_killed_agents(self):
        project = self.site().deployment(replicas=2)
        dev = self.dev(project)
        for number in range(3):
            for pod in dev.pods():
                os.kill(cluster.agent_of(pod), signal.SIGKILL)
            project.replace("www/index.html", f"after {number}")
            dev.in_all("/srv/index.html", f"after {number}", 2)

    def test_a_kubelet_that_restarts(self):
        if "SKIFF_TEST_CONTEXT" in os.environ:
            self.skipTest("this cluster is not ours to stop")
        project = self.site().deployment(replicas=2)
        dev = self.dev(project)
        subprocess.run(["script/cluster", "restart", "kubelet"], cwd=ROOT, check=True, capture_output=True)
        project.replace("www/index.html", "after the kubelet")
        dev.in_all("/srv/index.html", "after the kubelet", 2)
        self.assertEqual([event["message"] for event in dev.events if "the agent" in event.get("message", "")], [])

    def test_a_kubelet_away_for_long(self):
        """Longer than a moment: that is an error, told once, and all the same what was saved comes when the node is back, without another change."""
        if "SKIFF_TEST_CONTEXT" in os.environ:
            self.skipTest("this cluster is not ours to stop")
        project = self.site().deployment(replicas=2)
        dev = self.dev(project)
        mark = dev.mark()
        subprocess.run(["script/cluster", "stop", "kubelet"], cwd=ROOT, check=True, capture_output=True)
        try:
            project.replace("www/index.html", "saved meanwhile")
            dev.wait("error", mark, timeout=DEADLINE, about="sync")  # the quick tries are over
        finally:
            subprocess.run(["script/cluster", "start", "kubelet"], cwd=ROOT, check=True, capture_output=True)
        dev.in_all("/srv/index.html", "saved meanwhile", 2)
        told = [event["message"] for event in dev.events[mark:] if event.get("status") == "failed" or event["type"] in ("error", "warning")]
        self.assertLessEqual(len(told), 3, told)
        self.assertEqual([message for message in told if "tried on" not in message], [])

    def test_a_crash_loses_nothing(self):
        project = self.site().deployment()
        dev = self.dev(project)
        project.replace("www/index.html", "kept")
        dev.in_all("/srv/index.html", "kept", 1)
        pod = dev.pods()[0]
        before = json.loads(kubectl("get", "pod", pod, "-o", "json"))["status"]["containerStatuses"][0]["containerID"]
        inside(pod, "kill", "-TERM", "1")
        dev.eventually(lambda: json.loads(kubectl("get", "pod", pod, "-o", "json"))["status"]["containerStatuses"][0].get("containerID") != before,
                       DEADLINE, "another container")
        dev.in_all("/srv/index.html", "kept", 1)

    def test_two_containers_in_a_pod(self):
        project = self.site()
        project.deployment()
        stay = json.dumps(["/bin/busybox", "sh", "-c", harness.STAY])
        change(project.file(f"k8s/{project.image}.yaml"), "      containers:\n",
               f"      initContainers:\n      - {{name: first, image: {project.image}, command: [/bin/busybox, 'true']}}\n      containers:\n"
               f"      - {{name: beside, image: {project.image}, command: {stay}}}\n")
        dev = self.dev(project)
        project.replace("www/index.html", "both")
        dev.in_all("/srv/index.html", "both", 1)
        pod = dev.pods()[0]
        dev.eventually(lambda: file_in(pod, "/srv/index.html", container="beside") == b"both", DEADLINE, "the same in both")
        self.assertEqual({event["instance"] for event in dev.events if event["type"] == "sync"}, {f"{pod}/web", f"{pod}/beside"})

    def test_another_namespace(self):
        project = self.site().deployment()
        project.namespace = f"ns-{project.image}"
        kubectl("create", "namespace", project.namespace)
        self.addCleanup(kubectl, "delete", "namespace", project.namespace, "--wait=false", check=False)
        dev = self.dev(project, "-n", project.namespace)
        project.replace("www/index.html", "there")
        dev.in_all("/srv/index.html", "there", 1)


class Living(Kubernetes):
    def test_restart_without_a_new_container(self):
        project = self.site().deployment(container="command: [/bin/busybox, sh, -c, 'echo started $(/bin/busybox cat /srv/index.html); "
                                                   "trap \"exit 0\" TERM; while :; do /bin/busybox sleep 1; done']")
        project.overlay(f"artifacts:\n- image: {project.image}\n  restart: true\n")
        dev = self.dev(project)
        dev.says("started first", DEADLINE)
        project.replace("www/index.html", "second")
        dev.says("started second", DEADLINE)
        status = json.loads(kubectl("get", "pod", dev.pods()[0], "-o", "json"))["status"]["containerStatuses"][0]
        self.assertEqual(status["restartCount"], 0)

    def test_a_killed_skiff_takes_over(self):
        project = self.site().deployment()
        first = self.dev(project)
        project.replace("www/index.html", "one")
        first.in_all("/srv/index.html", "one", 1)
        before = first.pods()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        project.replace("www/index.html", "while nobody looked")
        second = self.dev(project)
        second.in_all("/srv/index.html", "while nobody looked", 1)
        self.assertEqual(second.pods(), before)
        self.assertEqual(second.count("build"), 0)

    def test_the_cluster_gone_for_a_while(self):
        project = self.site().deployment()
        dev = self.dev(project)
        project.replace("www/index.html", "before")
        dev.in_all("/srv/index.html", "before", 1)
        if "SKIFF_TEST_CONTEXT" in os.environ:
            self.skipTest("this cluster is not ours to stop")
        mark = dev.mark()
        subprocess.run(["script/cluster", "stop", "apiserver"], cwd=ROOT, check=True, capture_output=True)
        try:
            project.replace("www/index.html", "meanwhile")
            project.write("www/new.txt", "new")
            dev.wait("change", 0, path=None, timeout=DEADLINE)
            self.assertNotIn("\\n", dev.wait("error", mark, timeout=DEADLINE)["message"])
        finally:
            subprocess.run(["script/cluster", "start", "apiserver"], cwd=ROOT, check=True, capture_output=True)
        dev.in_all("/srv/index.html", "meanwhile", 1)
        dev.in_all("/srv/new.txt", "new", 1)

    def test_manifests_are_watched(self):
        project = self.site().deployment()
        dev = self.dev(project)
        mark = dev.mark()
        change(project.file(f"k8s/{project.image}.yaml"), "replicas: 1", "replicas: 2")
        dev.wait("ready", mark, timeout=DEADLINE)
        project.replace("www/index.html", "two")
        dev.in_all("/srv/index.html", "two", 2)

    def test_hooks_in_containers(self):
        project = self.site(MANUAL + "\nhooks:\n  after:\n  - container: {command: [/bin/busybox, cp, /srv/index.html, /srv/hooked]}")
        project.deployment(replicas=2)
        dev = self.dev(project)
        project.replace("www/index.html", "hooked")
        dev.in_all("/srv/hooked", "hooked", 2)

    def test_what_crashed_before_is_heard(self):
        """A program that ends after a while: what it said last comes, also from a container that nobody listened to."""
        project = self.site().deployment(container="command: [/bin/busybox, sh, -c, 'echo alive; /bin/busybox sleep 6; echo the last words; exit 1']")
        dev = self.dev(project)
        dev.says("alive", DEADLINE)
        dev.says("the last words", DEADLINE)

    def test_logs_and_ports(self):
        project = self.site().deployment(container="command: [/bin/busybox, sh, -c, 'echo up and well; exec /bin/busybox httpd -f -p 8080 -h /srv']\n"
                                                   "ports: [{containerPort: 8080}]")
        dev = self.dev(project)
        dev.says("up and well", DEADLINE)
        self.answers(dev, "first", "/index.html", DEADLINE)
        project.replace("www/index.html", "second")
        self.answers(dev, "second", "/index.html", DEADLINE)
        kubectl("delete", "pod", dev.pods()[0], "--wait=false", "--grace-period=1")
        self.answers(dev, "second", "/index.html", DEADLINE)

    def test_attached_by_a_shell(self):
        self.attached(["sh", "cat", "mkdir", "chmod"])

    def test_attached_by_tar(self):
        self.attached(["tar"])

    def attached(self, programs):
        """Pods that another tool runs: found by their label, left as they are; the agent is put there with what programs they have."""
        project = self.site()
        for program in programs:
            os.symlink("busybox", project.path(f"bin/{program}"))
        image = f"{project.image}:theirs"
        harness.docker("build", "-q", "-t", image, str(project.root))
        subprocess.run(["script/cluster", "load", image], cwd=ROOT, check=True, capture_output=True)
        project.deployment(image=image, container="imagePullPolicy: Never")
        kubectl("apply", "-f", str(project.file(f"k8s/{project.image}.yaml")))
        kubectl("rollout", "status", f"deployment/{project.image}", "--timeout=60s")
        shutil.rmtree(project.file("k8s"))
        project.write("skiff.yaml", f"deploy:\n  attach: [{{image: {project.image}, label: app={project.image}}}]\n")
        project.replace("www/index.html", "before dev")
        dev = self.dev(project)
        dev.in_all("/srv/index.html", "before dev", 1)
        project.replace("www/index.html", "attached")
        dev.in_all("/srv/index.html", "attached", 1)
        self.assertTrue(all(event["atomic"] for event in dev.events if event["type"] == "sync"))
        kubectl("delete", "pod", dev.pods()[0], "--wait=false", "--grace-period=1")
        dev.in_all("/srv/index.html", "attached", 1)
        dev.end()
        self.assertEqual(len(pods(project.image)), 1)


class Words(Kubernetes):
    def failure_of(self, project):
        dev = self.dev(project, wait=False)
        return dev.wait("error", timeout=DEADLINE, about="deploy")["message"]

    def test_a_crashing_program(self):
        project = self.site().deployment(container="command: [/bin/busybox, sh, -c, 'echo no such database; exit 3']\n"  # without a probe it would be ready
                                                   "readinessProbe: {exec: {command: [/bin/busybox, 'false']}}")  # for the moment that it lives
        message = self.failure_of(project)
        self.assertIn("exit 3", message)
        self.assertIn("no such database", message)

    def test_an_image_that_is_nowhere(self):
        project = self.site().deployment()
        change(project.file(f"k8s/{project.image}.yaml"), "      containers:\n",
               "      containers:\n      - {name: other, image: 'skiff.test/nowhere:1', imagePullPolicy: Never}\n")
        message = self.failure_of(project)
        self.assertIn("may not be pulled", message)
        self.assertIn("skiff.test/nowhere:1", message)

    def test_no_node_takes_it(self):
        project = self.site().deployment(container="resources: {requests: {memory: 900Gi}}")
        self.assertIn("no node takes it", self.failure_of(project))

    def test_a_broken_manifest(self):
        project = self.site()
        name = f"k8s/{project.image}.yaml"
        project.write(name, "apiVersion: v1\nkind: [\n")
        self.assertIn(f"{name}:", self.failure_of(project))
        project.deployment()
        project.replace("www/index.html", "mended")
        self.devs[-1].in_all("/srv/index.html", "mended", 1)


class Rendering(Kubernetes):
    def test_kustomize(self):
        project = self.site().deployment()
        project.rename("k8s", "base")
        project.write("base/kustomization.yaml", f"resources: [{project.image}.yaml]\n")
        project.write("over/kustomization.yaml", "resources: [../base]\nreplicas:\n- {name: %s, count: 2}\n" % project.image)
        project.configure(MANUAL, "manifests: {kustomize: {paths: [over]}}\n")
        dev = self.dev(project)
        project.replace("www/index.html", "by kustomize")
        dev.in_all("/srv/index.html", "by kustomize", 2)

    def test_helm(self):
        if not cluster.installed("helm"):
            self.skipTest("helm is not installed")
        project = self.site().deployment()
        project.write("chart/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
        project.write("chart/templates/web.yaml", project.file(f"k8s/{project.image}.yaml").read_text())
        shutil.rmtree(project.file("k8s"))
        project.configure(MANUAL, "manifests: {helm: {releases: [{name: web, chartPath: chart}]}}\n")
        dev = self.dev(project)
        project.replace("www/index.html", "by helm")
        dev.in_all("/srv/index.html", "by helm", 1)


class Examples(Kubernetes):
    def test_hello(self):
        project = KubernetesProject()
        self.addCleanup(project.release)
        self.addCleanup(harness.remove_leftovers, project.image)
        project.example("hello")
        for old, new in (("name: hello", f"name: {project.image}"), ("app: hello", f"app: {project.image}"), ("image: hello", f"image: {project.image}")):
            change(project.file("k8s/hello.yaml"), old, new)
        project.overlay()
        dev = self.dev(project)
        project.replace("public/index.html", "on two pods")
        self.answers(dev, "on two pods", "/", DEADLINE)
        self.assertEqual(dev.text().count("public/index.html →"), 1, "a line for each thing that happened, not for each pod")
        dev.eventually(lambda: all((cluster.root_of(pod) / "srv/public/index.html").read_text() == "on two pods" for pod in dev.pods()),
                       DEADLINE, "the page in both pods")
        self.assertEqual(len(dev.pods()), 2)


class JavaOnKubernetes(test_java.Java):
    runtimes = ("kubernetes",)

    def test_a_class_lands_in_the_pod(self):
        project = test_java.JavaProject()
        self.addCleanup(project.release)
        self.addCleanup(harness.remove_leftovers, project.image)
        project.namespace = "default"
        project.example("java-jib")
        for old, new in (("name: java-jib", f"name: {project.image}"), ("app: java-jib", f"app: {project.image}"), ("image: java-jib", f"image: {project.image}")):
            change(project.file("k8s/java-jib.yaml"), old, new)
        KubernetesProject.overlay(project)
        project.write(".mvn/maven.config", "--offline\n")
        dev = PodDev(scenario.settings.skiff, project, "kubernetes", wait=False, env=project.environment)
        self.addCleanup(self.stop, dev)
        dev.wait("ready", timeout=test_java.BUILD_LIMIT)
        self.rest(dev)
        self.answers(dev, "Hello from skiff\n")
        pod, mark = dev.pods()[0], dev.mark()
        inside_pod = cluster.root_of(pod)
        project.write("src/main/jib/direct-file", "changed at once\n")
        dev.eventually(lambda: (inside_pod / "direct-file").read_text() == "changed at once\n", DEADLINE, "the direct file")
        change(project.file(test_java.SOURCE), "Hello from skiff", "Hello from a pod")
        self.answers(dev, "Hello from a pod\n")
        self.assertEqual((inside_pod / test_java.IN_CONTAINER.strip("/")).read_bytes(), project.file(test_java.CLASS).read_bytes())
        self.assertCopied(dev, mark)
        self.assertEqual(dev.pods(), [pod])


class Rights(Kubernetes):
    def user(self, project, role):
        """A kubeconfig of an account with just this role in a namespace of its own."""
        namespace = project.namespace = f"ns-{project.image}"
        kubectl("create", "namespace", namespace)
        self.addCleanup(kubectl, "delete", "namespace", namespace, "--wait=false", check=False)
        kubectl("-n", namespace, "apply", "-f", "-", data=role.encode())
        kubectl("-n", namespace, "create", "serviceaccount", "person")
        kubectl("-n", namespace, "create", "rolebinding", "person", "--role=skiff", f"--serviceaccount={namespace}:person")
        token = kubectl("-n", namespace, "create", "token", "person").decode().strip()
        config = json.loads(kubectl("config", "view", "--minify", "--raw", "-o", "json"))
        config["users"] = [{"name": "person", "user": {"token": token}}]
        config["contexts"][0]["context"].update(user="person", namespace=namespace)
        project.write("kubeconfig", json.dumps(config))
        return {"KUBECONFIG": str(project.file("kubeconfig"))}

    def role(self):
        """The one that the documents give."""
        return re.search(r"```yaml\n(.*?)```", (pathlib.Path(ROOT) / "docs/kubernetes.md").read_text(), re.DOTALL)[1]

    def site(self, *arguments, **more):
        project = super().site(*arguments, **more)
        project.configure(MANUAL, f"manifests: {{rawYaml: [k8s/{project.image}.yaml]}}\n")
        return project.deployment()

    def test_the_role_of_the_documents_is_enough(self):
        project = self.site()
        dev = self.dev(project, env=self.user(project, self.role()))
        project.replace("www/index.html", "by a person")
        dev.in_all("/srv/index.html", "by a person", 1)
        self.assertEqual(dev.count("error"), 0)
        self.assertEqual(dev.end(), 130)

    def test_without_get_of_exec_kubectl_carries(self):
        project = self.site()
        role = self.role().replace("  resources: [pods/exec]\n  verbs: [get, create]", "  resources: [pods/exec]\n  verbs: [create]")
        dev = self.dev(project, env=self.user(project, role))
        project.replace("www/index.html", "by kubectl exec")
        dev.in_all("/srv/index.html", "by kubectl exec", 1)

    def test_what_is_missing_is_named(self):
        project = self.site()
        role = re.sub(r"- apiGroups: \[apps\].*?(?=- apiGroups|$)", "", self.role(), flags=re.DOTALL)
        dev = self.dev(project, wait=False, env=self.user(project, role))
        message = dev.wait("error", timeout=DEADLINE, about="deploy")["message"]
        self.assertIn("deployments", message)
        self.assertRegex(message, "cannot (get|create|patch)")
