"""Auto sync for Java, with the real Maven, the real Jib and a real engine: save a .java file, and the running server answers anew.

What each test stands on: a program `mvn` that comes first in PATH, notes each call, and hands over to the real one. So "no Maven ran" is seen,
not guessed."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
import scenario
from harness import ROOT, Failure, Project, change, docker
from scenario import Scenario, on

BUILD_LIMIT = 300  # seconds: a build that may have to fetch
WARM = ["--batch-mode", "jib:_skaffold-fail-if-jib-out-of-date", "-Djib.requiredVersion=2.0.0", "clean", "package", "-DskipTests=true"]


@functools.cache
def java_base():
    """A base image for Jib that asks no registry."""
    for program in ("mvn", "javac", "jlink"):
        if not shutil.which(program):
            raise Failure(f"there is no {program} (script/setup installs it)")
    return "docker://" + run(["examples/make-base", "java"], ROOT).strip()


def run(argv, directory, **environment):
    done = subprocess.run(argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise Failure(f"{argv}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return done.stdout


class JavaProject(Project):
    def __init__(self):
        super().__init__()
        self.programs = self.base / "programs"
        self.calls = self.base / "maven-calls"
        self.programs.mkdir()
        self.calls.touch()
        recorder = self.programs / "mvn"
        recorder.write_text(f"#!/bin/sh\necho \"$*\" >>{self.calls}\nexec {shutil.which('mvn')} \"$@\"\n")
        recorder.chmod(0o755)
        self.environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "JAVA_BASE": java_base()}

    def warm(self):
        """Fetches what Maven wants, by the way that a person would: once more if the network had a bad moment."""
        try:
            run(["mvn", *WARM], self.root, **self.environment)
        except Failure:
            run(["mvn", *WARM], self.root, **self.environment)
        shutil.rmtree(self.file("target"), ignore_errors=True)
        self.calls.write_text("")

    def maven(self):
        """The calls of Maven so far, a line each."""
        return self.calls.read_text().splitlines()


def prepare(skiff):
    """Fetches all that the java-jib example needs to be built, mapped and run without a network."""
    project = JavaProject().example("java-jib")
    try:
        project.warm()
        for command in ("build", "map"):
            run([str(skiff), command, "--runtime", "docker"] if command == "build" else [str(skiff), command], project.root,
                XDG_STATE_HOME=str(project.base / "state"), **project.environment)
    finally:
        harness.remove_leftovers(project.image)
        project.release()


class Java(Scenario):
    runtimes = ("docker",)

    def java_project(self):
        project = JavaProject()
        self.addCleanup(project.release)
        self.addCleanup(harness.remove_leftovers, project.image)
        return project

    def example(self, name):
        project = self.java_project().example(name)
        project.warm()
        return project

    def java_dev(self, project, **more):
        dev = self.dev(project, wait=False, env=project.environment, **more)
        dev.wait("ready", timeout=BUILD_LIMIT)
        self.rest(dev)
        return dev

    def rest(self, dev, since=0, timeout=BUILD_LIMIT):
        super().rest(dev, since, timeout)

    def answers(self, dev, text, path="/", timeout=120):
        super().answers(dev, text, path, timeout)

    def lands(self, dev, dest, local):
        """Until the container's file is the local one, byte for byte."""
        local = dev.project.file(local)
        dev.eventually(lambda: local.exists() and dev.read(dest) == local.read_bytes(), 120, f"{dest} = {local}")

    def rebuilt(self, dev, mark):
        dev.wait("build", mark, timeout=BUILD_LIMIT, status="succeeded")
        dev.wait("deploy", mark, timeout=BUILD_LIMIT, status="succeeded")
        self.rest(dev, mark)

    def explain(self, project, dev, *paths):
        return run([str(scenario.settings.skiff), "explain", *paths], project.root, XDG_STATE_HOME=str(dev.state), **project.environment)


SOURCE, CLASS = "src/main/java/hello/HelloController.java", "target/classes/hello/HelloController.class"
IN_CONTAINER = "/app/classes/hello/HelloController.class"


@on("docker")
class SpringBoot(Java):
    def test_the_whole_loop(self):
        project = self.example("java-jib")
        dev = self.java_dev(project)
        self.answers(dev, "Hello from skiff\n")
        self.answers(dev, "Greetings\n", "/greeting")
        container = dev.container()
        started = dev.mark()

        before = len(project.maven())
        mark = dev.mark()
        project.write("src/main/jib/direct-file", "changed at once\n")
        dev.expect("/direct-file", "changed at once\n")
        self.answers(dev, "changed at once\n", "/direct")
        project.write("src/main/jib/etc/a-new-one", "new\n")
        self.rest(dev, mark)
        dev.expect("/etc/a-new-one", "new\n", timeout=120)
        self.assertTrue(all("sync-map" in call for call in project.maven()[before:]), project.maven())

        before = len(project.maven())
        mark = dev.mark()
        project.write("src/main/jib/direct-file", "once more\n")
        dev.expect("/direct-file", "once more\n")
        self.rest(dev, mark)
        self.assertEqual(len(project.maven()), before, "a direct file started Maven")

        mark = dev.mark()
        change(project.file(SOURCE), "Hello from skiff", "Hello again")
        self.answers(dev, "Hello again\n")
        self.lands(dev, IN_CONTAINER, CLASS)
        self.rest(dev, mark)
        self.assertEqual(len(project.maven()), before + 1, project.maven())
        self.assertEqual({path["dest"] for event in dev.events[mark:] if event["type"] == "sync" for path in event["paths"]}, {IN_CONTAINER})

        project.write("src/main/java/hello/Words.java", 'package hello;\npublic class Words { static String word() { return "Words\\n"; } }\n')
        change(project.file(SOURCE), '"Hello again\\n"', "Words.word()")
        self.answers(dev, "Words\n")
        self.lands(dev, "/app/classes/hello/Words.class", "target/classes/hello/Words.class")

        project.write("src/main/resources/greeting.txt", "Greetings anew\n")
        self.answers(dev, "Greetings anew\n", "/greeting")
        project.write("src/main/resources/deep/other.txt", "a new resource\n")
        dev.expect("/app/resources/deep/other.txt", "a new resource\n", timeout=120)

        self.rest(dev, mark)
        self.assertCopied(dev, started)
        self.assertEqual(dev.container(), container)
        self.a_compile_by_somebody_else(project, dev)
        self.what_is_a_rebuild(project, dev)

        explained = self.explain(project, dev, SOURCE)
        self.assertIn("generate", explained)
        self.assertIn("jib:_skaffold-sync-map", explained)
        self.assertEqual(dev.end(), 130)
        self.assertNothingLeft(project)
        self.assertIn("generate", self.explain(project, dev, SOURCE))
        answer = json.loads(self.explain(project, dev, "--json", SOURCE))["artifacts"][0]
        self.assertEqual(answer["decision"], "generate")
        self.assertTrue(answer["reason"])
        self.assertIn("jib:_skaffold-sync-map", answer["generate"][0]["command"])

    def a_compile_by_somebody_else(self, project, dev):
        """As an IDE does it: the class in target/ is new, no source was saved."""
        before, mark = len(project.maven()), dev.mark()
        with tempfile.TemporaryDirectory() as elsewhere:
            source = pathlib.Path(elsewhere) / "Words.java"
            source.write_text('package hello;\npublic class Words { static String word() { return "From an IDE\\n"; } }\n')
            run(["javac", "-d", str(project.file("target/classes")), str(source)], elsewhere)
        self.answers(dev, "From an IDE\n")
        self.lands(dev, "/app/classes/hello/Words.class", "target/classes/hello/Words.class")
        self.rest(dev, mark)
        self.assertEqual(len(project.maven()), before, project.maven())
        self.assertEqual(dev.count("sync", mark), 1)

    def what_is_a_rebuild(self, project, dev):
        mark, container = dev.mark(), dev.container()
        change(project.file("pom.xml"), "<ports>", "<environment><NOTE>rebuilt</NOTE></environment>\n<ports>")
        self.rebuilt(dev, mark)
        self.assertNotEqual(dev.container(), container)
        self.assertIn("NOTE=rebuilt", docker("inspect", "-f", "{{.Config.Env}}", dev.container()).decode())
        self.assertEqual(dev.wait("decision", mark, decision="rebuild")["deciding"]["path"], "pom.xml")

        change(project.file(SOURCE), "Words.word()", '"No words\\n"')
        self.answers(dev, "No words\n")
        mark = dev.mark()
        project.remove("src/main/java/hello/Words.java")
        self.rebuilt(dev, mark)
        self.answers(dev, "No words\n")
        self.assertIsNone(dev.read("/app/classes/hello/Words.class"))

    def test_a_syntax_error_is_told_and_mended(self):
        project = self.example("java-jib")
        dev = self.java_dev(project)
        self.answers(dev, "Hello from skiff\n")
        mark = dev.mark()
        change(project.file(SOURCE), 'skiff\\n";', 'skiff\\n"')
        error = dev.wait("error", mark, timeout=120)
        self.assertIn("';' expected", error["message"])
        self.assertIn("HelloController.java", error["message"])
        self.assertNotIn("re-run Maven", error["message"])
        self.rest(dev, mark)
        dev.says("';' expected")
        self.assertEqual(self.ask(dev), "Hello from skiff\n")
        self.assertEqual(dev.count("error", mark), 1)
        self.assertEqual(dev.wait("idle", mark)["errors"], 1)
        mark = dev.mark()
        change(project.file(SOURCE), 'from skiff\\n"', 'whole again\\n";')
        self.answers(dev, "Hello whole again\n")
        self.lands(dev, IN_CONTAINER, CLASS)
        self.rest(dev, mark)
        self.assertEqual(dev.wait("idle", mark)["errors"], 0)
        self.assertCopied(dev, mark)

    def test_a_new_container_and_no_target_folder(self):
        """The host's permission bits are nobody's business in the container; and what was synced outlives `mvn clean`."""
        previous = os.umask(0o077)
        self.addCleanup(os.umask, previous)
        project = self.example("java-jib")
        dev = self.java_dev(project)
        change(project.file(SOURCE), "Hello from skiff", "Hello private")
        project.write("src/main/java/hello/Words.java", "package hello;\nclass Words { }\n")
        self.answers(dev, "Hello private\n")
        self.lands(dev, IN_CONTAINER, CLASS)
        self.lands(dev, "/app/classes/hello/Words.class", "target/classes/hello/Words.class")
        self.assertEqual(project.file(CLASS).stat().st_mode & 0o777, 0o600)
        for dest in (IN_CONTAINER, "/app/classes/hello/Words.class"):
            self.assertEqual(dev.entry(dest).mode, 0o644)
        self.rest(dev)
        wanted = project.file(CLASS).read_bytes()

        run(["mvn", "--batch-mode", "clean"], project.root)
        self.assertFalse(project.file(CLASS).exists())
        self.rest(dev)
        before = len(project.maven())
        old = dev.container()
        docker("rm", "-f", "-v", old)
        dev.eventually(lambda: dev.read(IN_CONTAINER) == wanted, 120, "the synced class in the new container")
        self.assertNotEqual(dev.container(), old)
        self.answers(dev, "Hello private\n")
        self.assertEqual(len(project.maven()), before, project.maven())

    def test_started_again_nothing_runs(self):
        project = self.example("java-jib")
        dev = self.java_dev(project)
        self.answers(dev, "Hello from skiff\n")
        self.assertEqual(dev.end(), 130)
        before = len(project.maven())
        again = self.java_dev(project, state=dev.state)
        self.answers(again, "Hello from skiff\n")
        self.assertEqual(project.maven()[before:], [])
        self.assertEqual(again.count("sync"), 0, "the image holds all of it")
        change(project.file(SOURCE), "Hello from skiff", "Hello after a pause")
        self.answers(again, "Hello after a pause\n")
        self.assertEqual([path["dest"] for event in again.events if event["type"] == "sync" for path in event["paths"]], [IN_CONTAINER])
        self.assertCopied(again, 0)


@on("docker")
class Modules(Java):
    def test_a_sibling_arrives_as_a_jar(self):
        project = self.example("java-modules")
        dev = self.java_dev(project)
        self.answers(dev, "Hello, modules\n")
        mark, container = dev.mark(), dev.container()
        change(project.file("greeting/src/main/java/greeting/Greeting.java"), "Hello, ", "Good day, ")
        self.answers(dev, "Good day, modules\n")
        self.lands(dev, "/app/libs/greeting-1.jar", "greeting/target/greeting-1.jar")
        change(project.file("web/src/main/java/web/Server.java"), '"modules"', '"all of you"')
        self.answers(dev, "Good day, all of you\n")
        self.lands(dev, "/app/classes/web/Server.class", "web/target/classes/web/Server.class")
        self.rest(dev, mark)
        self.assertCopied(dev, mark)
        self.assertEqual(dev.container(), container)
        mark = dev.mark()
        change(project.file("greeting/pom.xml"), "<artifactId>greeting</artifactId>", "<artifactId>greeting</artifactId>\n  <name>Greeting</name>")
        self.rebuilt(dev, mark)
        self.answers(dev, "Good day, all of you\n")


POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
%s
</project>
"""
PARENT = "<parent><groupId>com.acme</groupId><artifactId>orders</artifactId><version>2.3-SNAPSHOT</version>%s</parent>"
# Unlike the examples in each way that real projects are: the Boot BOM without its parent, nested modules, Jib only named at the top, a root of its
# own in the image, extra files from a folder of its own with permissions, filtered resources, profiles, YAML, nested classes, tests.
SHOP = {
    "pom.xml": POM % """<groupId>com.acme</groupId><artifactId>orders</artifactId><version>2.3-SNAPSHOT</version><packaging>pom</packaging>
<modules><module>domain</module><module>services/api</module></modules>
<properties><maven.compiler.release>17</maven.compiler.release><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
<stage>local</stage></properties>
<dependencyManagement><dependencies><dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-dependencies</artifactId>
<version>4.1.2</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement>
<build><pluginManagement><plugins>
<plugin><artifactId>maven-resources-plugin</artifactId><version>3.5.0</version></plugin>
<plugin><artifactId>maven-compiler-plugin</artifactId><version>3.15.0</version><configuration><parameters>true</parameters></configuration></plugin>
<plugin><artifactId>maven-surefire-plugin</artifactId><version>3.5.6</version></plugin>
<plugin><artifactId>maven-jar-plugin</artifactId><version>3.5.1</version></plugin>
<plugin><groupId>com.google.cloud.tools</groupId><artifactId>jib-maven-plugin</artifactId><version>3.4.6</version></plugin>
</plugins></pluginManagement></build>
<profiles><profile><id>ci</id><properties><stage>ci</stage></properties></profile></profiles>""",
    "domain/pom.xml": POM % (PARENT % "" + "<artifactId>orders-domain</artifactId>"),
    "domain/src/main/java/com/acme/orders/domain/Order.java":
        "package com.acme.orders.domain;\npublic record Order(int number, Line line) {\n    public record Line(String what) { }\n"
        "    public static Order sample() { return new Order(7, new Line(\"tea\")); }\n}\n",
    "services/api/pom.xml": POM % (PARENT % "<relativePath>../../pom.xml</relativePath>" + """<artifactId>orders-api</artifactId>
<dependencies>
<dependency><groupId>com.acme</groupId><artifactId>orders-domain</artifactId><version>${project.version}</version></dependency>
<dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-webmvc</artifactId></dependency>
<dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-devtools</artifactId><scope>runtime</scope>
<optional>true</optional></dependency>
</dependencies>
<build><resources><resource><directory>src/main/resources</directory><filtering>true</filtering></resource></resources>
<plugins><plugin><groupId>com.google.cloud.tools</groupId><artifactId>jib-maven-plugin</artifactId><configuration>
<extraDirectories><paths><path><from>files</from><into>/opt</into></path></paths>
<permissions><permission><file>/opt/start.sh</file><mode>755</mode></permission></permissions></extraDirectories>
<container><appRoot>/srv/orders</appRoot><ports><port>9000</port></ports></container></configuration></plugin></plugins></build>"""),
    "services/api/files/start.sh": "#!/bin/sh\n",
    "services/api/src/main/resources/application.yml":
        "server.port: 9000\nspring.config.import: 'optional:classpath:stage.properties'\nspring.profiles.active: near\n"
        "spring.devtools.restart: {poll-interval: 200ms, quiet-period: 100ms}\n---\nspring.config.activate.on-profile: near\nplace: here\n",
    "services/api/src/main/resources/stage.properties": "stage=${stage}\n",
    "services/api/src/main/resources/static/page.html": "<p>one</p>\n",
    "services/api/src/main/java/com/acme/orders/api/OrdersApplication.java":
        "package com.acme.orders.api;\nimport org.springframework.boot.SpringApplication;\nimport org.springframework.boot.autoconfigure.SpringBootApplication;\n"
        "@SpringBootApplication\npublic class OrdersApplication { public static void main(String[] a) { SpringApplication.run(OrdersApplication.class, a); } }\n",
    "services/api/src/main/java/com/acme/orders/api/web/OrderResource.java":
        "package com.acme.orders.api.web;\nimport com.acme.orders.domain.Order;\nimport org.springframework.beans.factory.annotation.Value;\n"
        "import org.springframework.web.bind.annotation.*;\n@RestController\n@RequestMapping(\"/api\")\npublic class OrderResource {\n"
        "    @Value(\"${place}\") String place;\n    @Value(\"${stage}\") String stage;\n    static class Format { static String of(Order o) "
        "{ return o.number() + \" \" + o.line().what(); } }\n    @GetMapping(\"/order\")\n    public String order() { return Format.of(Order.sample()) "
        "+ \" \" + place + \" \" + stage; }\n}\n",
    "services/api/src/test/java/com/acme/orders/api/NoTest.java": "package com.acme.orders.api;\nclass NoTest { }\n",
}


@on("docker")
class Unprepared(Java):
    def test_a_shop_with_modules(self):
        project = self.java_project()
        for name, text in SHOP.items():
            project.write(name, text)
        project.write("skaffold.yaml", f"""apiVersion: skaffold/v4beta11
kind: Config
build:
  artifacts:
  - image: {project.image}
    jib: {{project: services/api, fromImage: '{project.environment["JAVA_BASE"]}'}}
    sync: {{auto: true}}
deploy:
  docker: {{images: [{project.image}]}}
""")
        project.warm()
        dev = self.java_dev(project)
        self.answers(dev, "7 tea here local", "/api/order")
        mark, container = dev.mark(), dev.container()
        resource = project.file("services/api/src/main/java/com/acme/orders/api/web/OrderResource.java")
        classes = "services/api/target/classes/com/acme/orders/api/web"

        change(resource, "static class Format {", "static class Style {")
        change(resource, "Format.of", "\"order \" + Style.of")
        self.answers(dev, "order 7 tea here local", "/api/order")
        self.lands(dev, "/srv/orders/classes/com/acme/orders/api/web/OrderResource$Style.class", f"{classes}/OrderResource$Style.class")
        if not project.file(f"{classes}/OrderResource$Format.class").exists():  # whether Maven removes it is Maven's
            dev.expect("/srv/orders/classes/com/acme/orders/api/web/OrderResource$Format.class", None)

        change(project.file("services/api/src/main/resources/application.yml"), "place: here", "place: there")
        self.answers(dev, "order 7 tea there local", "/api/order")
        change(project.file("services/api/src/main/resources/stage.properties"), "stage=", "stage=at-")
        self.answers(dev, "order 7 tea there at-local", "/api/order")
        project.write("services/api/src/main/resources/static/page.html", "<p>two</p>\n")
        self.answers(dev, "<p>two</p>\n", "/page.html")
        project.write("services/api/files/start.sh", "#!/bin/sh\nexec java\n")
        dev.expect("/opt/start.sh", "#!/bin/sh\nexec java\n")
        self.assertEqual(dev.entry("/opt/start.sh").mode, 0o755)

        # A test is no part of the image: Maven says so by leaving src/test out of its inputs.
        self.rest(dev)
        before = len(project.maven())
        project.write("services/api/src/test/java/com/acme/orders/api/NoTest.java", "package com.acme.orders.api;\nclass NoTest { int changed; }\n")
        change(project.file("domain/src/main/java/com/acme/orders/domain/Order.java"), '"tea"', '"coffee"')
        jar = "orders-domain-2.3-SNAPSHOT.jar"
        self.lands(dev, f"/srv/orders/libs/{jar}", f"domain/target/{jar}")
        self.rest(dev, mark)
        self.assertEqual(len(project.maven()), before + 1, project.maven())
        self.assertCopied(dev, mark)
        self.assertEqual(dev.container(), container)
