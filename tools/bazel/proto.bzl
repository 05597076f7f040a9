"""Protocol buffers to C++ with Debian's protoc, offline.

Full code goes into the include root `full/` of the package, lite code into `lite/`. A program sees exactly one of
the two, so `#include "proto/containerd/types/mount.pb.h"` reads the same in the daemon and in the shim.

Targets of berth_proto(name = "x"):
  x_cc     messages, full runtime (reflection, text format, JSON)
  x_grpc   stubs, when the files hold gRPC services (grpc = True)
  x_lite   messages, lite runtime (lite = True)
Never link an _lite target and a _cc target into one program: they define the same symbols.
"""

_PROTOC = "/usr/bin/protoc --proto_path=. --proto_path=/usr/include "
_GENERATED_CODE_OPTIONS = ["-w"]

# Under ThreadSanitizer messages keep the layout that Debian's library was built with.
_LAYOUT = select({
    "//tools/bazel:thread_sanitizer": ["//tests/sanitize:protobuf_layout"],
    "//conditions:default": [],
})

def _generate(name, srcs, protos, root, flags, suffixes):
    """One genrule: protoc over srcs into root; returns nothing, declares <name> and its outputs."""
    outs = [root + "/" + native.package_name() + "/" + src[:-len(".proto")] + s for src in srcs for s in suffixes]
    native.genrule(
        name = name,
        srcs = protos,
        outs = outs,
        cmd = "mkdir -p $(RULEDIR)/{root} && {protoc} {flags} {files}".format(
            root = root,
            protoc = _PROTOC,
            flags = flags.replace("@OUT@", "$(RULEDIR)/" + root),
            files = " ".join([native.package_name() + "/" + src for src in srcs]),
        ),
        visibility = ["//visibility:private"],
    )
    return [o for o in outs if o.endswith(".h")], [o for o in outs if o.endswith(".cc")]

def berth_proto(name, srcs, deps = [], grpc = False, lite = False, full = True, visibility = None):
    """Declares the C++ libraries of some .proto files of this package; deps are names of other berth_proto.

    Without `full` only the lite one, for what none but the shim speaks.
    """
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + [":" + d + "_protos" for d in deps],
        visibility = visibility,
    )
    protos = [":" + name + "_protos"]

    if full:
        headers, sources = _generate(name + "_cc_gen", srcs, protos, "full", "--cpp_out=@OUT@", [".pb.h", ".pb.cc"])
        native.cc_library(
            name = name + "_cc",
            srcs = sources,
            hdrs = headers,
            copts = _GENERATED_CODE_OPTIONS,
            includes = ["full"],
            visibility = visibility,
            deps = [":" + d + "_cc" for d in deps] + ["@protobuf//:lib"] + _LAYOUT,
        )
    if grpc:
        headers, sources = _generate(
            name + "_grpc_gen",
            srcs,
            protos,
            "full",
            "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=@OUT@",
            [".grpc.pb.h", ".grpc.pb.cc"],
        )
        native.cc_library(
            name = name + "_grpc",
            srcs = sources,
            hdrs = headers,
            copts = _GENERATED_CODE_OPTIONS,
            includes = ["full"],
            visibility = visibility,
            deps = [":" + name + "_cc", "@grpc//:lib", "@protobuf//:lib", "@absl//:lib"],
        )
    if lite:
        headers, sources = _generate(name + "_lite_gen", srcs, protos, "lite", "--cpp_out=lite:@OUT@", [".pb.h", ".pb.cc"])
        native.cc_library(
            name = name + "_lite",
            srcs = sources,
            hdrs = headers,
            copts = _GENERATED_CODE_OPTIONS,
            includes = ["lite"],
            visibility = visibility,
            deps = [":" + d + "_lite" for d in deps] + [":google_lite", "@protobuf_lite//:lib"] + _LAYOUT,
        )

def google_lite(name, protos):
    """Lite code for google/protobuf/<p>.proto: libprotobuf-lite.a holds none of the well-known types."""
    headers = ["lite/google/protobuf/" + p + ".pb.h" for p in protos]
    sources = ["lite/google/protobuf/" + p + ".pb.cc" for p in protos]
    native.genrule(
        name = name + "_gen",
        outs = headers + sources,
        cmd = "mkdir -p $(RULEDIR)/lite && " + _PROTOC + "--cpp_out=lite:$(RULEDIR)/lite " +
              " ".join(["google/protobuf/" + p + ".proto" for p in protos]),
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        copts = _GENERATED_CODE_OPTIONS,
        includes = ["lite"],
        visibility = ["//visibility:public"],
        deps = ["@protobuf_lite//:lib"] + _LAYOUT,
    )
