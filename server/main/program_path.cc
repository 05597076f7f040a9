#include "server/main/program_path.h"

#include <filesystem>
#include <system_error>

namespace berth {

absl::StatusOr<std::string> ProgramPath(absl::string_view configured, absl::string_view name) {
  if (!configured.empty()) return std::string(configured);
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("read /proc/self/exe: " + error.message());
  return (self.parent_path() / std::string(name)).string();
}

}  // namespace berth
