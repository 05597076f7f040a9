"""A fuzz program: an entry (a library with LLVMFuzzerTestOneInput) linked with libFuzzer by --config=fuzz."""

def fuzz_program(name, entry):
    native.cc_binary(
        name = name,
        testonly = True,
        tags = ["manual"],
        deps = [entry],
    )
