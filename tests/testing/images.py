#!/usr/bin/env python3
"""Makes container images for the demo and the tests, out of programs that are on this machine.

    images.py busybox OUT.tar                      Debian's busybox-static, as docker.io/library/busybox:latest
    images.py hello-world OUT.tar --program FILE   one static program, as docker.io/library/hello-world:latest
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

EPOCH = "2024-01-01T00:00:00Z"


class Layer:
    """A layer as an uncompressed tar, built entry by entry."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, data=b"", mode=0o644, kind=tarfile.REGTYPE, link="", uid=0, gid=0, pax=None, mtime=1700000000):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname, info.uid, info.gid = kind, mode, link, uid, gid
        info.mtime = mtime
        info.pax_headers = pax or {}
        if kind == tarfile.REGTYPE:
            info.size = len(data)
            self.tar.addfile(info, io.BytesIO(data))
        else:
            self.tar.addfile(info)
        return self

    def dir(self, name, mode=0o755):
        return self.add(name, mode=mode, kind=tarfile.DIRTYPE)

    def link(self, name, target):
        return self.add(name, kind=tarfile.SYMTYPE, mode=0o777, link=target)

    def hard(self, name, target):
        return self.add(name, kind=tarfile.LNKTYPE, link=target)

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def machine_layers(total_bytes, count):
    """Files of this machine (its packages'), spread over the layers in the order of their paths."""
    per_layer = total_bytes // count
    layers, size, seen = [], 0, set()
    buffer = io.BytesIO()
    tar = tarfile.open(fileobj=buffer, mode="w")

    def parents(path):
        parts = path.split("/")
        for i in range(1, len(parts)):
            name = "/".join(parts[:i])
            if (len(layers), name) not in seen:
                seen.add((len(layers), name))
                info = tarfile.TarInfo(name)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
    for root, directories, files in os.walk("/usr"):
        directories.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > (32 << 20):
                continue
            parents(path[1:])
            info = tarfile.TarInfo(path[1:])
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with open(path, "rb") as file:
                data = file.read()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            size += info.size
            if size >= per_layer:
                tar.close()
                layers.append(buffer.getvalue())
                if len(layers) == count:
                    return layers
                buffer, size = io.BytesIO(), 0
                tar = tarfile.open(fileobj=buffer, mode="w")
    raise RuntimeError("this machine's /usr holds less than %d bytes" % total_bytes)


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def gz(data):
    return gzip.compress(data, compresslevel=6, mtime=0)


def image_config(layers, config, architecture="amd64"):
    return json.dumps({
        "created": EPOCH, "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in layers]},
        "history": [{"created": EPOCH, "created_by": "layer %d" % i} for i in range(len(layers))],
    }).encode()


def put(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def docker_archive(path, tag, layers, config):
    """`layers`: uncompressed tar bytes. The form that `docker save` writes."""
    document = image_config(layers, config)
    with tarfile.open(path, "w") as tar:
        names = []
        for layer in layers:
            name = sha(layer)[7:] + "/layer.tar"
            names.append(name)
            put(tar, name, layer)
        config_name = sha(document)[7:] + ".json"
        put(tar, config_name, document)
        put(tar, "manifest.json", json.dumps(
            [{"Config": config_name, "RepoTags": [tag], "Layers": names}]).encode())
    return path


def oci_archive(path, name, layers, config, compress=True):
    """An OCI layout in a tar, the image named by the annotation that containerd's import reads."""
    document = image_config(layers, config)
    blobs, descriptors = {}, []
    for layer in layers:
        blob = gz(layer) if compress else layer
        blobs[sha(blob)] = blob
        descriptors.append({
            "mediaType": "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else ""),
            "digest": sha(blob), "size": len(blob)})
    blobs[sha(document)] = document
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(document),
                   "size": len(document)},
        "layers": descriptors}).encode()
    blobs[sha(manifest)] = manifest
    index = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha(manifest), "size": len(manifest),
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.split(":")[-1]},
    }]}).encode()
    with tarfile.open(path, "w") as tar:
        put(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put(tar, "index.json", index)
        for digest, blob in blobs.items():
            put(tar, "blobs/sha256/" + digest[7:], blob)
    return path


def multi_platform_archive(path, name, layers, config, architectures=("amd64", "arm64")):
    """An OCI archive with an index of several platforms, as buildx makes them; the index's digest. The layers are shared."""
    blobs, entries = {}, []

    def add(data, kind, **more):
        blobs[sha(data)] = data
        return dict(more, mediaType="application/vnd.oci.image." + kind, digest=sha(data), size=len(data))
    descriptors = [add(gz(layer), "layer.v1.tar+gzip") for layer in layers]
    for architecture in architectures:
        document = image_config(layers, dict(config, Labels={"arch": architecture}), architecture)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": add(document, "config.v1+json"), "layers": descriptors}).encode()
        entries.append(add(manifest, "manifest.v1+json", platform={"os": "linux", "architecture": architecture}))
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}).encode()
    top = {"schemaVersion": 2, "manifests": [add(index, "index.v1+json", annotations={"io.containerd.image.name": name})]}
    with tarfile.open(path, "w") as tar:
        put(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put(tar, "index.json", json.dumps(top).encode())
        for digest, data in blobs.items():
            put(tar, "blobs/sha256/" + digest[7:], data)
    return sha(index)


def busybox_layer():
    busybox = "/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox"
    with open(busybox, "rb") as file:
        program = file.read()
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    layer = Layer()
    for name in ("bin", "etc", "root", "tmp", "usr", "usr/bin", "usr/sbin", "sbin", "var", "home", "proc", "sys", "dev"):
        layer.dir(name, 0o1777 if name == "tmp" else 0o755)
    layer.add("bin/busybox", program, 0o755)
    for applet in applets:
        if applet != "busybox":
            layer.link("bin/" + applet, "busybox")
    layer.add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
                            b"app:x:1000:1000:app:/home:/bin/sh\n")
    layer.add("etc/group", b"root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n")
    return layer.bytes()


BUSYBOX_CONFIG = {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}


def busybox(path, tag="docker.io/library/busybox:latest"):
    return docker_archive(path, tag, [busybox_layer()], BUSYBOX_CONFIG)


def hello_world(path, program, tag="docker.io/library/hello-world:latest"):
    with open(program, "rb") as file:
        layer = Layer().add("hello", file.read(), 0o755).bytes()
    return docker_archive(path, tag, [layer], {"Cmd": ["/hello"], "Env": ["PATH=/bin"]})


def add_program(layer, path):
    """A dynamic program of this machine with its libraries, each at its own path."""
    lines = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout.split("\n")
    files = {path}
    for line in lines:
        words = [word for word in line.split() if word.startswith("/")]
        if words:
            files.add(words[0])
    for name in sorted(files):
        with open(name, "rb") as file:
            layer.add(name.lstrip("/"), file.read(), 0o755)


def redis(path, tag="docker.io/library/redis:latest"):
    """Debian's redis on the busybox layer."""
    layer = Layer()
    for program in ("/usr/bin/redis-server", "/usr/bin/redis-cli"):
        add_program(layer, program)
    layer.dir("data")
    return docker_archive(path, tag, [busybox_layer(), layer.bytes()],
                          {"Cmd": ["redis-server", "--save", ""], "WorkingDir": "/data", "Env": BUSYBOX_CONFIG["Env"]})


def greeting(path, text, tag="docker.io/library/hello-world:latest"):
    return docker_archive(path, tag, [busybox_layer()], {"Cmd": ["echo", text], "Env": BUSYBOX_CONFIG["Env"]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", choices=["busybox", "hello-world"])
    parser.add_argument("out")
    parser.add_argument("--program", help="the static program of hello-world")
    options = parser.parse_args()
    if options.image == "busybox":
        busybox(options.out)
    else:
        if not options.program:
            parser.error("hello-world needs --program FILE")
        hello_world(options.out, options.program)


if __name__ == "__main__":
    main()
