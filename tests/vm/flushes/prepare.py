#!/usr/bin/env python3
"""Makes what the guest of the power cuts at flushes works with: archives of images, a registry's configuration, and what their layers hold.

    prepare.py GUEST_DIRECTORY EXPECTED.json

EXPECTED.json: {"images": {name: ID}, "layers": {chain id: {path: sha256 of the file}},
"volume": {path: sha256 of the file}}: the last is what a volume gets from the image one.
"""
import hashlib
import io
import json
import os
import random
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "testing"))
import images  # noqa: E402


def files_of(layer):
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {member.name: hashlib.sha256(tar.extractfile(member).read()).hexdigest() for member in tar if member.isreg()}


def chain_ids(layers):
    chain = []
    for layer in layers:
        digest = images.sha(layer)
        chain.append(digest if not chain else images.sha(("%s %s" % (chain[-1], digest)).encode()))
    return chain


def random_layer(seed, file_count, largest):
    """Files of which no two are alike, in directories, so that unpacking has something to lose."""
    source = random.Random(seed)
    layer = images.Layer()
    for number in range(file_count):
        folder = "data%d" % (number % 7)
        if number < 7:
            layer.dir(folder)
        layer.add("%s/file%d" % (folder, number), source.randbytes(source.randrange(largest)))
    return layer.bytes()


def main():
    directory, expected_path = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    busybox = images.busybox_layer()
    expected = {"images": {}, "layers": {}}
    # One file of a few hundred KiB, and more small ones than are synced one by one.
    for name, layers in (("one", [busybox, random_layer(1, 15, 100000)]),
                         ("two", [busybox, random_layer(2, 60, 3000), random_layer(3, 3, 9000)]),
                         ("three", [busybox, random_layer(4, 40, 20000)])):
        images.docker_archive("%s/%s.tar" % (directory, name), "docker.io/library/%s:latest" % name, layers, images.BUSYBOX_CONFIG)
        identity = images.sha(images.image_config(layers, images.BUSYBOX_CONFIG))
        chain = chain_ids(layers)
        expected["images"][name] = identity
        expected["layers"].update({key: files_of(layer) for key, layer in zip(chain, layers)})
        with open("%s/%s.id" % (directory, name), "w") as file:
            file.write(identity)
        if name == "one":
            expected["volume"] = {path[6:]: digest for path, digest in files_of(layers[1]).items() if path.startswith("data0/")}
            with open(directory + "/chain", "w") as file:
                file.write(chain[-1] + "\n")
    with open(directory + "/registry.yml", "w") as file:
        json.dump({"version": 0.1, "log": {"level": "error"}, "http": {"addr": "127.0.0.1:5000"},
                   "storage": {"filesystem": {"rootdirectory": "/run/registry"}}}, file)
    with open(expected_path, "w") as file:
        json.dump(expected, file)


if __name__ == "__main__":
    main()
