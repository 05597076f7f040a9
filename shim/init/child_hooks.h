// Hooks that run in the container's namespaces: createContainer and startContainer.
//
// Each gets the container's state on its standard input and has its own time limit; the first that
// fails ends the child, with what the hook wrote to its standard error. For the child after clone3.
#ifndef BERTH_SHIM_INIT_CHILD_HOOKS_H_
#define BERTH_SHIM_INIT_CHILD_HOOKS_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "shim/init/reporter.h"
#include "shim/spec/launch_plan.h"

namespace berth::init {

// `in_child` runs in each hook's process before its program.
void RunChildHooks(Reporter& report, const char* kind, const std::vector<spec::Hook>& hooks,
                   const std::string& state_json, absl::FunctionRef<void()> in_child);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_CHILD_HOOKS_H_
