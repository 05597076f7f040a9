"""A program that is built as always also under a sanitizer: what tests put into containers, where no libraries are."""

def _plain_impl(settings, attr):
    words = {}
    for name in ["copt", "linkopt"]:
        option = "//command_line_option:" + name
        words[option] = [word for word in settings[option] if not word.startswith("-fsanitize=")]
    return words

_plain = transition(
    implementation = _plain_impl,
    inputs = ["//command_line_option:copt", "//command_line_option:linkopt"],
    outputs = ["//command_line_option:copt", "//command_line_option:linkopt"],
)

def _uninstrumented_impl(ctx):
    program = ctx.attr.program[0][DefaultInfo].files_to_run.executable
    link = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = link, target_file = program, is_executable = True)
    return [DefaultInfo(executable = link, files = depset([link]), runfiles = ctx.runfiles([link]))]

uninstrumented = rule(
    implementation = _uninstrumented_impl,
    executable = True,
    attrs = {
        "program": attr.label(mandatory = True, cfg = _plain),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
