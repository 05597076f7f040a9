"""Debian's dockerd on a containerd API socket, private to a test: no network of its own, everything below one directory."""
import os
import shutil
import signal
import subprocess


class Dockerd:
    def __init__(self, folder, containerd, *options):
        """Starts it; `folder` is made. Wait for `docker version` before anything else."""
        os.mkdir(folder)
        self.folder = folder
        self.host = "unix://%s/docker.sock" % folder
        with open(folder + "/log", "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--containerd", containerd, "-H", self.host, "--data-root", folder + "/data", "--exec-root",
                 folder + "/exec", "--pidfile", folder + "/pid", "--iptables=false", "--ip6tables=false", "--bridge=none"]
                + list(options), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

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
