"""Pull and push against Debian's docker-registry, with skopeo and ctr on the other side, and a proxy that counts and cuts."""
import json
import os

from event_watch import EventWatch
from harness import BerthTest, at_once
from registries import Proxy, Registry
from registry_case import RegistryImageTest
import images


class RegistryTest(RegistryImageTest):
    layer_bytes = (3 << 20,) * 4

    def digest(self, name):
        return json.loads(self.daemon.run(["skopeo", "inspect", "--tls-verify=false", "docker://" + name]).stdout)["Digest"]

    def blobs(self):
        return sorted(self.out("content", "ls", "-q").split())

    def target_of(self, name):
        lines = [line for line in self.out("images", "ls").split("\n") if line.startswith(name + " ")]
        return lines[0].split()[2] if lines else None

    def proxy(self):
        proxy = Proxy(self.registry.port)
        self.addCleanup(proxy.close)
        return proxy

    def test_pull_run_push_and_digests_are_equal_both_ways(self):
        name = self.registry.host + "/app:v1"
        out = self.daemon.berth("pull", name).stdout
        digest = self.digest(name)
        self.assertIn("Digest: " + digest, out)
        self.assertEqual(self.target_of(name), digest)
        self.assertIn("f3", self.out("run", "--rm", name, self.name(), "ls", "/data"))
        # Pushed under another name, and fetched by three others.
        other = self.registry.host + "/copy/app:v2"
        self.daemon.berth("push", name, other)
        self.assertEqual(self.digest(other), digest)
        self.forget_everything()
        self.ctr("images", "pull", "--plain-http", other)
        self.assertEqual(self.target_of(other), digest)
        self.daemon.run(["skopeo", "copy", "-q", "--src-tls-verify=false", "docker://" + other, "oci:" + self.daemon.dir + "/layout:v2"])
        self.daemon.run(["umoci", "unpack", "--image", self.daemon.dir + "/layout:v2", self.daemon.dir + "/bundle"])
        self.assertTrue(os.path.exists(self.daemon.dir + "/bundle/rootfs/data/f3"))
        self.forget_everything()
        # By digest.
        pinned = "%s/app@%s" % (self.registry.host, digest)
        self.assertEqual(self.daemon.berth("pull", "-q", pinned).stdout.strip(), pinned)
        self.assertEqual(self.target_of(pinned), digest)
        self.forget_everything()

    def test_what_is_here_is_not_fetched_again(self):
        proxy = self.proxy()
        name = proxy.host + "/app:v1"
        self.daemon.berth("pull", name)
        first = proxy.received
        self.daemon.berth("tag", name, "test/kept:1")
        self.daemon.berth("rmi", name)
        self.daemon.berth("pull", name)
        # Manifests and headers only.
        self.assertLess(proxy.received - first, 20000)
        self.forget_everything()

    def test_many_clients_fetch_and_unpack_once(self):
        proxy = self.proxy()
        name = proxy.host + "/app:v1"
        total = sum(len(images.gz(layer)) for layer in self.layers)
        failures = []

        def pull():
            result = self.daemon.berth("pull", name, check=False)
            if result.returncode != 0:
                failures.append(result.stderr)
        with EventWatch(self.daemon) as events:
            at_once(4, pull)
            seen = events.seen()
        self.assertEqual(failures, [])
        self.assertLess(proxy.received, total + 200000)
        self.assertEqual(len([line for line in seen.split("\n") if "/snapshot/prepare" in line]), len(self.layers))
        self.forget_everything()

    def test_errors_say_what_where_and_what_to_do(self):
        host = self.registry.host
        for words, arguments in (
                (["is no image name", "lower-case"], ["pull", "Upper/Case"]),
                (["no platform", "linux/amd64"], ["pull", "--platform", "nonsense", host + "/app:v1"]),
                ([host + "/app:none", "manifest"], ["pull", host + "/app:none"]),
                ([host + "/never:v1"], ["pull", host + "/never:v1"]),
                (["127.0.0.1:1/"], ["pull", "127.0.0.1:1/app:v1"]),
                (["no image", "never"], ["push", "never:here"])):
            with self.subTest(arguments):
                result = self.daemon.berth(*arguments, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, r"(?m)^berth( \w+)?: ")
                for word in words:
                    self.assertIn(word, result.stderr)
        self.assertEqual(self.out("images", "ls", "-q").split(), [])


class LoginTest(BerthTest):
    busybox = False

    def test_login_pull_push_logout(self):
        directory = self.daemon.dir + "/private"
        os.makedirs(directory)
        self.daemon.run(["htpasswd", "-Bbc", directory + "/users", "someone", "secret word"])
        registry = Registry(directory, htpasswd=directory + "/users").start()
        self.addCleanup(registry.stop)
        archive = self.daemon.dir + "/b.tar"
        images.busybox(archive)
        self.daemon.berth("load", "-i", archive)
        name = registry.host + "/private/busybox:1"
        env = {"DOCKER_CONFIG": self.daemon.dir + "/docker"}
        refused = self.daemon.berth("push", "busybox", name, check=False, env=env)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("berth login " + registry.host, refused.stderr)
        wrong = self.daemon.berth("login", "-u", "someone", "--password-stdin", registry.host, input="wrong\n", check=False, env=env)
        self.assertEqual(wrong.returncode, 1)
        self.assertFalse(os.path.exists(self.daemon.dir + "/docker/config.json"))
        self.daemon.berth("login", "-u", "someone", "--password-stdin", registry.host, input="secret word\n", env=env)
        with open(self.daemon.dir + "/docker/config.json") as file:
            self.assertIn(registry.host, json.load(file)["auths"])
        self.assertEqual(os.stat(self.daemon.dir + "/docker/config.json").st_mode & 0o777, 0o600)
        self.daemon.berth("push", "busybox", name, env=env)
        # The same file serves skopeo.
        there = json.loads(self.daemon.run(["skopeo", "inspect", "--tls-verify=false", "--authfile",
                                            self.daemon.dir + "/docker/config.json", "docker://" + name]).stdout)
        self.daemon.berth("rmi", "busybox")
        self.daemon.berth("pull", name, env=env)
        self.assertIn(there["Digest"], self.out("images", "ls"))
        self.daemon.berth("logout", registry.host, env=env)
        self.assertEqual(self.daemon.berth("pull", name, check=False, env=env).returncode, 1)
        self.daemon.berth("image", "rm", "--force", "--sync", name)

    def test_credential_helper(self):
        """A helper as Docker's: it keeps the secret, the file only says who asks it."""
        bin_dir = self.daemon.dir + "/bin"
        os.makedirs(bin_dir)
        helper = bin_dir + "/docker-credential-ourtest"
        with open(helper, "w") as file:
            file.write("#!/bin/sh\nkept=%s/kept\ncase $1 in store) cat > $kept;; get) cat > /dev/null; "
                       "[ -f $kept ] && cat $kept || { echo credentials not found in native keychain; exit 1; };; "
                       "erase) cat > /dev/null; rm -f $kept;; esac\n" % self.daemon.dir)
        os.chmod(helper, 0o755)
        directory = self.daemon.dir + "/private2"
        os.makedirs(directory)
        self.daemon.run(["htpasswd", "-Bbc", directory + "/users", "someone", "secret"])
        registry = Registry(directory, htpasswd=directory + "/users").start()
        self.addCleanup(registry.stop)
        os.makedirs(self.daemon.dir + "/docker2")
        with open(self.daemon.dir + "/docker2/config.json", "w") as file:
            json.dump({"credsStore": "ourtest", "HttpHeaders": {"X-Kept": "yes"}}, file)
        env = {"DOCKER_CONFIG": self.daemon.dir + "/docker2", "PATH": bin_dir + ":" + os.environ["PATH"]}
        self.daemon.berth("login", "-u", "someone", "-p", "secret", registry.host, env=env)
        with open(self.daemon.dir + "/docker2/config.json") as file:
            text = file.read()
        self.assertIn("X-Kept", text)
        self.assertNotIn("secret", text)
        archive = self.daemon.dir + "/h.tar"
        images.busybox(archive)
        self.daemon.berth("load", "-i", archive)
        self.daemon.berth("push", "busybox", registry.host + "/h:1", env=env)
        self.daemon.berth("logout", registry.host, env=env)
        self.assertEqual(self.daemon.berth("push", "busybox", registry.host + "/h:2", env=env, check=False).returncode, 1)
        self.daemon.berth("image", "rm", "--force", "--sync", "busybox")
