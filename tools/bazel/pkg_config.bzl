"""Turns `pkg-config --libs NAME` of a Debian package into a cc_library `@name//:lib`.

With `static`, every `-lX` for which an archive exists is replaced by that archive, the archives stand in one
group (their order then does not matter), and only what is used is linked.
"""

_SYSTEM_LIBS = ["-lpthread", "-lm", "-ldl", "-lrt", "-lc"]

def _run(ctx, args):
    result = ctx.execute(args)
    if result.return_code != 0:
        fail("%s failed: %s (tools/setup installs what the build needs)" % (" ".join(args), result.stderr))
    return result.stdout.strip().split(" ") if result.stdout.strip() else []

def _pkg_config_impl(ctx):
    packages = ctx.attr.packages
    missing = [p for p in packages if ctx.execute(["pkg-config", "--exists", p]).return_code != 0]
    if missing and not ctx.attr.header_only and not ctx.attr.fallback_libs:
        fail("pkg-config knows no %s; tools/setup installs what the build needs" % ", ".join(missing))
    cflags, libs = [], []
    if not missing:
        cflags = _run(ctx, ["pkg-config", "--cflags"] + packages)
        if not ctx.attr.header_only:
            mode = ["--static"] if ctx.attr.static else []
            libs = _run(ctx, ["pkg-config", "--libs"] + mode + packages)
    else:
        libs = ["-l" + lib for lib in ctx.attr.fallback_libs]
    libs = libs + ["-l" + lib for lib in ctx.attr.extra_libs]
    defines = list(ctx.attr.defines)
    if not ctx.attr.header_only:  # whose .pc file may speak of the compiled form
        defines += [f[2:] for f in cflags if f.startswith("-D")]

    plain, archives, seen = [], [], {}
    for flag in libs:
        if not flag or flag in seen or flag.startswith("-L"):
            continue
        seen[flag] = True
        archive = "/usr/lib/x86_64-linux-gnu/lib%s.a" % flag[2:]
        if flag.startswith("-l") and ctx.attr.static and flag not in _SYSTEM_LIBS and ctx.path(archive).exists:
            archives.append(archive)
        elif flag == "-pthread" or flag.startswith("-l"):
            plain.append(flag)
    linkopts = (["-Wl,--start-group"] + archives + ["-Wl,--end-group"] if archives else []) + plain
    ctx.file("BUILD.bazel", """
cc_library(
    name = "lib",
    defines = %r,
    linkopts = %r,
    visibility = ["//visibility:public"],
)
""" % (defines, linkopts))

pkg_config = repository_rule(
    implementation = _pkg_config_impl,
    attrs = {
        "packages": attr.string_list(mandatory = True),
        "static": attr.bool(default = False),
        "header_only": attr.bool(default = False, doc = "what is used of it is compiled into its user"),
        "defines": attr.string_list(),
        "fallback_libs": attr.string_list(),
        "extra_libs": attr.string_list(doc = "libraries that the archives need and their .pc files forget"),
    },
    environ = ["PKG_CONFIG_PATH"],
)
