// Steps of init that are about the container rather than its process: namespaces, loopback,
// sysctls, names, time offsets, memory policy.
//
// For the child after clone3.
#ifndef BERTH_SHIM_INIT_CONTAINER_SETUP_H_
#define BERTH_SHIM_INIT_CONTAINER_SETUP_H_

#include <vector>

#include "shim/init/init_main.h"
#include "shim/init/reporter.h"

namespace berth::init {

void JoinNamespaces(Reporter& report, const std::vector<JoinedNamespace>& joined);
// unshare(2) of `flags`; with CLONE_NEWTIME the offsets are written and the namespace entered.
void MakeNamespaces(Reporter& report, const spec::LaunchPlan& plan, int flags);
void RaiseLoopback(Reporter& report);
// `proc`: a descriptor of a trusted procfs.
void WriteSysctls(Reporter& report, const spec::LaunchPlan& plan, int proc);
void SetNames(Reporter& report, const spec::LaunchPlan& plan);
void SetPersonality(Reporter& report, const spec::LaunchPlan& plan);
void SetMemoryPolicy(Reporter& report, const spec::LaunchPlan& plan);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_CONTAINER_SETUP_H_
