"""What cannot work under a sanitizer, each with the reason why."""

# Bazel target -> reason.
TARGETS = {}
# Integration and fault tests of the asan build: part of the test's id -> reason.
TESTS = {
    "OptionsTest.test_init": "berth-shim is a container's process 1 here, and is dynamic in this build: a container has no libasan",
}
