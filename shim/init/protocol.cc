#include "shim/init/protocol.h"

namespace berth::init {

const char* StepName(Step step) {
  switch (step) {
    case Step::kNone:
      return "begin";
    case Step::kNamespaces:
      return "enter namespaces";
    case Step::kUserMapping:
      return "map users";
    case Step::kNetwork:
      return "set up loopback";
    case Step::kPropagation:
      return "set mount propagation";
    case Step::kRootfs:
      return "mount the root filesystem";
    case Step::kBindSources:
      return "open bind sources";
    case Step::kMounts:
      return "mount";
    case Step::kDevices:
      return "make devices";
    case Step::kJoinCgroup:
      return "join the cgroup";
    case Step::kRuntimeHooks:
      return "run runtime hooks";
    case Step::kCreateContainerHooks:
      return "run createContainer hooks";
    case Step::kMaskedPaths:
      return "mask paths";
    case Step::kPivotRoot:
      return "pivot root";
    case Step::kSysctls:
      return "set sysctls";
    case Step::kConsole:
      return "set up the console";
    case Step::kSession:
      return "set up the session";
    case Step::kScheduling:
      return "set scheduling";
    case Step::kLimits:
      return "set resource limits";
    case Step::kLabels:
      return "set security labels";
    case Step::kUser:
      return "become the user";
    case Step::kCapabilities:
      return "set capabilities";
    case Step::kWorkingDirectory:
      return "enter the working directory";
    case Step::kFindProgram:
      return "find the program";
    case Step::kReady:
      return "report ready";
    case Step::kStartContainerHooks:
      return "run startContainer hooks";
    case Step::kSeccomp:
      return "load the seccomp filter";
    case Step::kExec:
      return "exec";
    case Step::kCount:
      break;
  }
  return "unknown step";
}

}  // namespace berth::init
