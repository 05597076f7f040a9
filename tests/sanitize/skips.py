"""Integration and fault tests that cannot work under a sanitizer: part of the test's id -> reason."""

TESTS = {
    "OptionsTest.test_init": "berth-shim is a container's process 1 here, and is dynamic in this build: a container has no libasan",
}
