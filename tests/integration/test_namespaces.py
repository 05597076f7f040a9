"""ctr version, plugins and namespaces."""
from harness import BerthTest, STOCK


class NamespacesTest(BerthTest):
    busybox = False

    def test_version_names_client_and_server(self):
        out = self.out("version")
        self.assertIn("Client:", out)
        self.assertIn("Server:", out)
        self.assertIn("UUID:", out)

    def test_version_uuid_is_stable(self):
        def uuid():
            return [line for line in self.out("version").split("\n") if "UUID" in line]
        self.assertEqual(uuid(), uuid())

    def test_plugins_list_what_clients_ask_for(self):
        out = self.out("plugins", "ls")
        for kind, name in (("io.containerd.snapshotter.v1", "overlayfs"), ("io.containerd.snapshotter.v1", "native"),
                           ("io.containerd.content.v1", "content"), ("io.containerd.runtime.v2", "task"),
                           ("io.containerd.grpc.v1", "healthcheck")):
            self.assertTrue(any(l.split()[:2] == [kind, name] and l.split()[-1] == "ok" for l in out.split("\n") if l),
                            "%s %s in\n%s" % (kind, name, out))

    def test_plugins_filter(self):
        out = self.out("plugins", "ls", "type==io.containerd.snapshotter.v1,id==overlayfs")
        self.assertEqual([l.split()[1] for l in out.strip().split("\n")[1:]], ["overlayfs"])

    def test_create_label_list_remove(self):
        self.ctr("namespaces", "create", "ns-a", "team=blue")
        self.addCleanup(lambda: self.ctr("namespaces", "rm", "ns-a", check=False))
        self.assertIn("team=blue", self.out("namespaces", "ls"))
        self.ctr("namespaces", "label", "ns-a", "team=red", "tier=1")
        line = [l for l in self.out("namespaces", "ls").split("\n") if l.startswith("ns-a")][0]
        self.assertIn("team=red", line)
        self.assertIn("tier=1", line)
        self.ctr("namespaces", "label", "ns-a", "team=")
        self.assertNotIn("team", self.out("namespaces", "ls"))
        self.ctr("namespaces", "rm", "ns-a")
        self.assertNotIn("ns-a", self.out("namespaces", "ls", "-q").split())

    def test_duplicate_and_unknown(self):
        self.ctr("namespaces", "create", "ns-b")
        self.addCleanup(lambda: self.ctr("namespaces", "rm", "ns-b", check=False))
        self.fails("namespaces", "create", "ns-b", words=["already exists"])
        self.ctr("namespaces", "rm", "ns-none")  # ctr takes an unknown name as removed
        self.fails("namespaces", "create", "bad/name", words=["invalid argument"] if not STOCK else [])

    def test_non_empty_namespace_stays(self):
        self.ctr("containers", "create", "--config", "/dev/stdin", "keep", namespace="ns-c", input="{}")
        self.assertIn("must be empty", self.ctr("namespaces", "rm", "ns-c", check=False).stderr)
        self.ctr("containers", "rm", "keep", namespace="ns-c")
        self.ctr("namespaces", "rm", "ns-c")

    def test_leases(self):
        self.ctr("leases", "create", "--id", "l1", "--expires", "1h", "a=b")
        out = self.out("leases", "ls")
        self.assertIn("l1", out)
        self.assertIn("a=b", out)
        self.assertIn("containerd.io/gc.expire", out)
        self.fails("leases", "create", "--id", "l1", words=["already exists"])
        self.ctr("leases", "delete", "l1")
        self.fails("leases", "delete", "l1", words=["not found"])
