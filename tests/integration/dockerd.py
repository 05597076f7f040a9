"""Debian's dockerd on a containerd API socket, private to a test: everything below one directory, and no network of its own or
one in a network namespace of its own."""
import os
import shutil
import signal
import subprocess


class Dockerd:
    def __init__(self, folder, containerd, *options, own_network=False):
        """Starts it; `folder` is made. Wait for `docker version` before anything else. With a network of its own, dockerd's bridge and
        what it writes into the firewall live in a network namespace that ends with it; /sys stays the host's."""
        os.mkdir(folder)
        self.folder = folder
        self.host = "unix://%s/docker.sock" % folder
        argv = ["dockerd", "--containerd", containerd, "-H", self.host, "--data-root", folder + "/data", "--exec-root",
                folder + "/exec", "--pidfile", folder + "/pid"] + list(options)
        self.holder = None
        if own_network:
            self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep infinity"],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            self.holder.stdout.readline()
            argv = ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid] + argv + ["--bip", "172.31.255.1/24"]
        else:
            argv += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        self.command = argv
        self.start()

    def start(self):
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def argv(self, *arguments):
        return ["docker", "-H", self.host] + list(arguments)

    def busybox_archive(self, *applets):
        """A root filesystem for `docker import`: /bin/busybox and links to it."""
        root = self.folder + "/image"
        os.makedirs(root + "/bin")
        shutil.copy("/bin/busybox", root + "/bin/busybox")
        for applet in applets:
            os.symlink("busybox", root + "/bin/" + applet)
        subprocess.run(["tar", "-C", root, "-cf", self.folder + "/image.tar", "."], check=True)
        return self.folder + "/image.tar"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.holder is not None:
            self.holder.kill()
            self.holder.communicate()
