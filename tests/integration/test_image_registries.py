"""Registries as they are set up in the world: TLS, logins, tokens, mirrors, proxies, redirects, busy and broken ones."""
import json
import os
import threading

from harness import BIN, BerthTest, Daemon
from registries import Authority, Proxy, Registry, Server, TokenServer, free_port
import images


class RegistriesTest(BerthTest):
    busybox = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.archive = cls.daemon.dir + "/app.tar"
        cls.layers = [images.busybox_layer(), images.Layer().add("file", os.urandom(1 << 20)).bytes()]
        images.oci_archive(cls.archive, "docker.io/test/app:v1", cls.layers, images.BUSYBOX_CONFIG)
        cls.authority = Authority(cls.daemon.dir + "/authority")
        cls.tls = cls.authority.issue("server")

    def setUp(self):
        super().setUp()
        self.settings = "%s/hosts-%s" % (self.daemon.dir, self.id().rsplit(".", 1)[1])
        os.mkdir(self.settings)
        self.env = {"DOCKER_CONFIG": self.settings + "/docker"}
        self.addCleanup(self.forget_everything)

    def registry(self, name, **options):
        registry = Registry("%s/%s-%s" % (self.daemon.dir, self.id().rsplit(".", 1)[1], name), **options).start()
        self.addCleanup(registry.stop)
        return registry

    def server(self, answer, **options):
        server = Server(answer, **options)
        self.addCleanup(server.close)
        return server

    def hosts_toml(self, registry, text):
        directory = "%s/%s" % (self.settings, registry)
        os.makedirs(directory, exist_ok=True)
        with open(directory + "/hosts.toml", "w") as file:
            file.write(text)

    def users(self, **users):
        path = self.settings + "-users"
        for name, password in users.items():
            self.daemon.run(["htpasswd", "-Bb"] + ([] if os.path.exists(path) else ["-c"]) + [path, name, password])
        return path

    def seed(self, registry, name="app:v1", *options):
        self.daemon.run(["skopeo", "copy", "-q", "--dest-tls-verify=false"] + list(options) +
                        ["oci-archive:" + self.archive, "docker://%s/%s" % (registry.host, name)])

    def berth(self, verb, *arguments, **options):
        env = dict(self.env, **options.pop("env", {}))
        return self.daemon.berth(verb, "--hosts-dir", self.settings, *arguments, env=env, **options)

    def refused(self, words, verb, *arguments, **options):
        result = self.berth(verb, *arguments, check=False, **options)
        self.assertEqual(result.returncode, 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        return result.stderr

    def login(self, registry, user, password):
        return self.berth("login", "-u", user, "--password-stdin", registry.host, input=password + "\n")

    def test_tls_by_an_authority_of_ones_own(self):
        registry = self.registry("tls", tls=self.tls)
        self.seed(registry)
        name = registry.host + "/app:v1"
        self.refused(["certificate", registry.host, "`ca` in hosts.toml"], "pull", name)
        self.hosts_toml(registry.host, 'server = "https://%s"\nca = "%s"\n' % (registry.host, self.authority.certificate))
        self.berth("pull", name)
        self.forget_everything()
        # As Docker keeps it: a directory with a .crt, and no hosts.toml.
        os.remove("%s/%s/hosts.toml" % (self.settings, registry.host))
        with open(self.authority.certificate) as authority, \
                open("%s/%s/ours.crt" % (self.settings, registry.host), "w") as file:
            file.write(authority.read())
        self.berth("pull", name)
        self.berth("push", name, registry.host + "/copy/app:v2")
        self.forget_everything()
        # No verification at all, where somebody says so.
        self.hosts_toml(registry.host, 'server = "https://%s"\nskip_verify = true\n' % registry.host)
        self.berth("pull", name)
        # An authority that signed something else.
        self.forget_everything()
        other = Authority(self.settings + "/other", "somebody else")
        self.hosts_toml(registry.host, 'server = "https://%s"\nca = "%s"\n' % (registry.host, other.certificate))
        self.refused(["certificate", registry.host, "not trusted"], "pull", name)

    def test_client_certificates(self):
        registry = self.registry("mutual", tls=self.tls, client_authority=self.authority.certificate)
        certificate, key = self.authority.issue("somebody")
        name = registry.host + "/app:v1"
        trusted = 'server = "https://%s"\nca = "%s"\n' % (registry.host, self.authority.certificate)
        self.daemon.berth("load", "-i", self.archive)
        self.hosts_toml(registry.host, trusted)
        self.refused([registry.host, "certificate"], "push", "test/app:v1", name)
        self.hosts_toml(registry.host, trusted + 'client = [["%s", "%s"]]\n' % (certificate, key))
        self.berth("push", "test/app:v1", name)
        self.forget_everything()
        self.berth("pull", name)

    def test_passwords(self):
        registry = self.registry("basic", htpasswd=self.users(someone="a secret", other="another"))
        self.seed(registry, "app:v1", "--dest-creds", "someone:a secret")
        name = registry.host + "/app:v1"
        self.refused([name, "berth login " + registry.host], "pull", name)
        self.refused(["log in to " + registry.host], "login", "-u", "someone", "-p", "wrong", registry.host)
        self.login(registry, "someone", "a secret")
        self.berth("pull", name)
        # docker's config.json as docker and podman write it: base64 under the host, or under an address.
        self.forget_everything()
        for key in (registry.host, "https://%s/v1/" % registry.host):
            with open(self.settings + "/docker/config.json", "w") as file:
                json.dump({"auths": {key: {"auth": "b3RoZXI6YW5vdGhlcg=="}}}, file)
            self.berth("pull", name)
            self.forget_everything()
        # A wrong one in the file.
        with open(self.settings + "/docker/config.json", "w") as file:
            json.dump({"auths": {registry.host: {"username": "other", "password": "stale"}}}, file)
        self.refused([name, "berth login"], "pull", name)

    def test_tokens(self):
        tokens = TokenServer(self.authority, {"someone": "a secret"}, anonymous_pull=True)
        self.addCleanup(tokens.close)
        registry = self.registry("token", token=tokens)
        name = registry.host + "/team/app:v1"
        self.daemon.berth("load", "-i", self.archive)
        self.refused([registry.host + "/team/app", "berth login " + registry.host], "push", "test/app:v1", name)
        self.refused(["wrong password"], "login", "-u", "someone", "-p", "wrong", registry.host)
        self.login(registry, "someone", "a secret")
        self.berth("push", "test/app:v1", name)
        self.assertIn(("someone", "repository:team/app:pull,push"), tokens.scopes)
        # Pulled by somebody without a name, who asks for no more than that.
        self.forget_everything()
        del tokens.scopes[:]
        os.remove(self.settings + "/docker/config.json")
        self.berth("pull", name)
        self.assertEqual(set(tokens.scopes), {("", "repository:team/app:pull")})
        # One token served the manifest, the config and the layers.
        self.assertLessEqual(len(tokens.scopes), 3)

    def test_mirrors_are_asked_first_and_fall_back(self):
        registry, mirror = self.registry("origin"), self.registry("mirror")
        self.seed(registry)
        self.seed(registry, "only-here:v1")
        self.seed(mirror, "cache/app:v1")
        self.hosts_toml(registry.host, """
            server = "http://%s"
            [host."http://127.0.0.1:1"]
            [host."http://%s"]
              capabilities = ["pull", "resolve"]
              [host."http://%s".rewrite]
                "^(.*)$" = "cache/$1"
            """ % (registry.host, mirror.host, mirror.host))
        self.berth("pull", registry.host + "/app:v1")
        self.assertEqual(registry.requests("GET", "/v2/app/"), [])
        self.assertTrue(mirror.requests("GET", "/v2/cache/app/manifests/v1?ns="))
        self.assertTrue(mirror.requests("GET", "/v2/cache/app/blobs/"))
        self.forget_everything()
        self.berth("pull", registry.host + "/only-here:v1")
        self.assertTrue(registry.requests("GET", "/v2/only-here/blobs/"))
        # A push is for the registry: the mirror has not the capability.
        self.berth("push", registry.host + "/only-here:v1", registry.host + "/pushed:v1")
        self.assertEqual(mirror.requests("POST") + mirror.requests("PUT"), [])
        self.forget_everything()
        # A mirror that has only a part of the blobs: what is missing comes from the registry.
        os.remove(mirror.blob_path(images.sha(images.gz(self.layers[1]))))
        mirror.stop()
        mirror.start()
        before = len(registry.requests("GET", "/v2/app/blobs/"))
        self.berth("pull", registry.host + "/app:v1")
        self.assertEqual(len(registry.requests("GET", "/v2/app/blobs/")), before + 1)
        self.forget_everything()
        # Where no host may do it, the settings are named.
        self.hosts_toml(registry.host, 'server = "http://%s"\ncapabilities = ["push"]\n' % registry.host)
        self.refused(["capability", "resolve", "hosts.toml"], "pull", registry.host + "/app:v1")
        # Settings that cannot be read are named by file and line.
        self.hosts_toml(registry.host, 'server = "http://%s"\ncapabilites = ["push"]\n' % registry.host)
        self.refused(["hosts.toml", "line 2", "capabilites"], "pull", registry.host + "/app:v1")

    def blobs_of_archive(self):
        import tarfile
        with tarfile.open(self.archive) as tar:
            blobs = {"sha256:" + m.name[13:]: tar.extractfile(m).read() for m in tar.getmembers() if m.name.startswith("blobs/sha256/")}
            index = json.load(tar.extractfile("index.json"))
        return blobs, index["manifests"][0]["digest"]

    def fake_registry(self, meddle=None, **options):
        """A registry in the test's own hand; `meddle(handler, digest or None)` may answer instead of it (True)."""
        blobs, top = self.blobs_of_archive()

        def answer(handler):
            path = handler.path.split("?")[0]
            digest = path.rsplit("/", 1)[1]
            if "/manifests/" in path and not digest.startswith("sha256:"):
                digest = top
            if meddle and meddle(handler, digest):
                return
            if path == "/v2/":
                return handler.say(200, b"{}")
            if digest not in blobs:
                return handler.say(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"not here"}]}')
            kind = "application/vnd.oci.image.manifest.v1+json" if "/manifests/" in path else "application/octet-stream"
            handler.say(200, blobs[digest], Content_Type=kind, Docker_Content_Digest=digest)
        return self.server(answer, **options)

    def test_redirects_lead_elsewhere_without_credentials(self):
        blobs, _ = self.blobs_of_archive()
        storage = self.server(lambda handler: handler.say(200, blobs["sha256:" + handler.path.rsplit("/", 1)[1]]))

        def meddle(handler, digest):
            if handler.headers.get("Authorization") != "Basic c29tZW9uZTphIHNlY3JldA==":
                handler.say(401, b"", WWW_Authenticate='Basic realm="test"')
                return True
            if "/blobs/" in handler.path:
                handler.say(307, b"", Location="%s/signed/%s" % (storage.url, digest[7:]))
                return True
            return False
        registry = self.fake_registry(meddle)
        self.login(registry, "someone", "a secret")
        self.hosts_toml(registry.host, 'server = "http://%s"\n[header]\n  x-ours = "private"\n' % registry.host)
        self.berth("pull", registry.host + "/app:v1")
        self.assertTrue(any(headers.get("x-ours") == "private" for _, _, headers in registry.seen))
        self.assertEqual(len(storage.seen), 3)
        for _, _, headers in storage.seen:
            self.assertNotIn("Authorization", headers)
            self.assertNotIn("x-ours", headers)

    def test_a_redirect_from_tls_to_the_clear_is_refused(self):
        plain = self.server(lambda handler: handler.say(200, b"x"))

        def meddle(handler, digest):
            if "/blobs/" in handler.path:
                handler.say(302, b"", Location=plain.url + "/blob")
                return True
            return False
        registry = self.fake_registry(meddle, tls=self.tls)
        self.hosts_toml(registry.host, 'server = "%s"\nca = "%s"\n' % (registry.url, self.authority.certificate))
        self.refused(["redirects from https to http", "refused"], "pull", registry.host + "/app:v1")
        self.assertEqual(plain.seen, [])

    def test_a_busy_registry_is_asked_again_when_it_says(self):
        lock = threading.Lock()
        refusals = {"manifests": 1, "blobs": 2}

        def meddle(handler, digest):
            with lock:
                kind = "manifests" if "/manifests/" in handler.path else "blobs"
                refusals[kind] -= 1
                if refusals[kind] < 0:
                    return False
            handler.say(429 if kind == "manifests" else 503, b"", Retry_After="1")
            return True
        registry = self.fake_registry(meddle)
        self.hosts_toml(registry.host, 'server = "http://%s"\n' % registry.host)
        self.berth("pull", registry.host + "/app:v1")
        self.assertLess(max(refusals.values()), 0)
        # Longer than anybody waits: told at once, with the reason.
        self.forget_everything()

        def busy(handler, digest):
            handler.say(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"come back tomorrow"}]}', Retry_After="86400")
            return True
        registry = self.fake_registry(busy)
        self.hosts_toml(registry.host, 'server = "http://%s"\n' % registry.host)
        self.refused(["come back tomorrow", "limits how often", registry.host], "pull", registry.host + "/app:v1")

    def test_a_proxy_is_gone_through(self):
        blobs_server = self.fake_registry()
        proxied = []

        def answer(handler):
            # As proxies get it: the whole URL in the request line.
            proxied.append(handler.path)
            handler.path = handler.path.split("registry.invalid", 1)[1]
            blobs_server.RequestHandlerClass.handle_any(handler)
        proxy = self.server(answer)
        daemon = Daemon(name="proxied")
        self.addCleanup(daemon.stop)
        daemon.start(prefix=["env", "http_proxy=" + proxy.url, "no_proxy=other.invalid"])
        daemon.berth("pull", "--plain-http", "registry.invalid/app:v1")
        self.assertTrue(all(url.startswith("http://registry.invalid/v2/app/") for url in proxied), proxied)
        self.assertGreaterEqual(len(proxied), 4)
        # no_proxy is for who goes without: a name that nobody knows is then not found.
        refused = daemon.berth("pull", "--plain-http", "other.invalid/app:v1", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("other.invalid", refused.stderr)
        self.assertFalse(any("other.invalid" in url for url in proxied))

    def test_a_push_mounts_what_the_registry_has_elsewhere(self):
        registry = self.registry("mount")
        self.seed(registry, "first:v1")
        self.berth("pull", registry.host + "/first:v1")
        self.berth("push", registry.host + "/first:v1", registry.host + "/second:v1")
        self.assertEqual(len(registry.requests("POST", "mount=sha256")), 3)
        self.assertEqual(registry.requests("PATCH") + [line for line in registry.requests("PUT") if "/blobs/" in line], [])
        # Pushed again there is nothing to do.
        before = len(registry.requests("POST"))
        self.berth("push", registry.host + "/first:v1", registry.host + "/second:v1")
        self.assertEqual(len(registry.requests("POST")), before)

    def test_a_push_in_chunks_goes_on_after_cuts(self):
        registry = self.registry("chunks")
        proxy = Proxy(registry.port)
        self.addCleanup(proxy.close)
        large = self.daemon.dir + "/large.tar"
        layers = [images.busybox_layer(), images.Layer().add("large", os.urandom(40 << 20)).bytes()]
        images.oci_archive(large, "docker.io/test/large:v1", layers, images.BUSYBOX_CONFIG, compress=False)
        self.daemon.berth("load", "-i", large)
        proxy.cut_upward([20 << 20, 36 << 20])
        self.berth("push", "test/large:v1", proxy.host + "/large:v1")
        self.assertEqual(proxy.cuts_upward, [])
        # Three pieces of 16 MiB: a cut costs one more, and so does a registry that still wrote a cut one down.
        self.assertLess(proxy.sent, (41 << 20) + (4 << 20) + (3 << 24))
        there = json.loads(self.daemon.run(["skopeo", "inspect", "--tls-verify=false", "docker://%s/large:v1" % registry.host]).stdout)
        self.assertIn(there["Digest"], self.out("images", "ls", "name==docker.io/test/large:v1"))
        self.daemon.run(["skopeo", "copy", "-q", "--src-tls-verify=false", "docker://%s/large:v1" % registry.host,
                         "dir:" + self.settings + "-copy"])

    def test_all_platforms_are_pushed_and_come_back_with_the_same_digest(self):
        registry = self.registry("platforms")
        two = self.daemon.dir + "/two.tar"
        digest = images.multi_platform_archive(two, "docker.io/test/two:1", [images.busybox_layer()], images.BUSYBOX_CONFIG)
        self.daemon.berth("load", "--no-unpack", "-i", two)
        self.berth("push", "test/two:1", registry.host + "/two:1")
        raw = self.daemon.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://%s/two:1" % registry.host],
                              text=False).stdout
        self.assertEqual(images.sha(raw), digest)
        self.forget_everything()
        self.berth("pull", "--all-platforms", registry.host + "/two:1")
        self.assertIn(digest, self.out("images", "ls"))
        self.forget_everything()
        # One platform here: that one goes out, as a manifest of its own.
        self.berth("pull", "--no-unpack", "--platform", "linux/arm64", registry.host + "/two:1")
        self.berth("push", "--platform", "linux/arm64", registry.host + "/two:1", registry.host + "/arm:1")
        raw = json.loads(self.daemon.run(["skopeo", "inspect", "--raw", "--tls-verify=false",
                                          "docker://%s/arm:1" % registry.host]).stdout)
        self.assertIn("layers", raw)
        self.refused(["linux/s390x", "linux/arm64", "--platform"], "pull", "--platform", "linux/s390x", registry.host + "/two:1")

    def test_nobody_there(self):
        port = free_port()
        self.refused(["127.0.0.1:%d/app:v1" % port, "connect"], "pull", "127.0.0.1:%d/app:v1" % port)
        self.refused(["nowhere.invalid", "check the name and the DNS"], "pull", "nowhere.invalid/app:v1")
