"""How a program is linked that needs nothing of the system that it runs on: statically, but not under a sanitizer, whose
runtime is a shared library."""

FULLY_STATIC_FEATURES = select({
    "//tools/bazel:sanitizer": [],
    "//conditions:default": ["fully_static_link"],
})

FULLY_STATIC_LINKOPTS = select({
    "//tools/bazel:sanitizer": [],
    "//conditions:default": ["-static"],
})
