// berth-shim: one process per container. The composition root; shim/service does the work.
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/lock_checks.h"
#include "base/os/prefault.h"
#include "shim/init/container_init.h"
#include "shim/service/arguments.h"
#include "shim/service/delete_command.h"
#include "shim/service/info_command.h"
#include "shim/service/serve_command.h"
#include "shim/service/start_command.h"

namespace {

absl::Status Run(const std::vector<std::string>& words) {
  const auto arguments = berth::service::ParseArguments(words);
  if (!arguments.ok()) return arguments.status();
  switch (arguments->command) {
    case berth::service::Command::kServe:
      return arguments->take_state < 0 && arguments->check_state < 0
                 ? berth::service::RunServe(*arguments)
                 : berth::service::RunResume(*arguments);
    case berth::service::Command::kStart:
      return berth::service::RunStart(*arguments);
    case berth::service::Command::kDelete:
      return berth::service::RunDelete(*arguments);
    case berth::service::Command::kVersion:
      return berth::service::PrintVersion();
    case berth::service::Command::kInfo:
      return berth::service::PrintInfo();
  }
  return absl::OkStatus();
}

}  // namespace

namespace {

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose own start comes first
// Before constructors, which fault already.
__attribute__((section(".preinit_array"), used)) void (*const kPrefault)() = berth::PrefaultProgram;
#endif

}  // namespace

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  // Inside a container, as its process 1.
  if (argc > 0 && berth::init::IsContainerInit(argv[0])) {
    return berth::init::RunContainerInit(argc, argv);
  }
  const absl::Status status = Run(std::vector<std::string>(argv + 1, argv + argc));
  if (status.ok()) return 0;
  const std::string line = absl::StrCat("berth-shim: ", status.message(), "\n");
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  return 1;
}
