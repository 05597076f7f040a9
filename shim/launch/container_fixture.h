// A bundle in a temporary directory, a loop, and one container at a time: what tests of containers
// need.
//
// Thread-compatible. Owned by each test.
#ifndef BERTH_SHIM_LAUNCH_CONTAINER_FIXTURE_H_
#define BERTH_SHIM_LAUNCH_CONTAINER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "base/loop/loop.h"
#include "gtest/gtest.h"
#include "shim/launch/container.h"

namespace berth::launch {

// The parts of config.json that tests vary.
struct SpecParts {
  std::string program = "/bin/payload";
  std::string cwd = "/";
  std::string hostname;
  std::string root_path = "rootfs";
  bool root_readonly = false;
  std::string user = R"({"uid":0,"gid":0})";
  std::string capabilities =
      R"({"bounding":["CAP_CHOWN","CAP_KILL"],"permitted":["CAP_CHOWN","CAP_KILL"],
      "effective":["CAP_CHOWN","CAP_KILL"]})";
  std::string process_members;  // `"name":value,` ...
  std::string linux_members;
  std::string hooks;  // members of the object
  std::vector<std::string> mounts;
  std::vector<std::string> namespaces = {"pid", "network", "ipc", "uts", "mount"};
  std::vector<std::pair<std::string, std::string>> joined;  // replace new ones of their kind
};

struct Outcome {
  absl::Status create;
  absl::Status start;
  absl::Status cleanup;
  std::string output;
  std::string errors;
  int exit_code = -1;
  std::vector<std::string> cgroup_paths;
  std::vector<std::string> warnings;
};

class ContainerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  std::string Path(const std::string& name) const { return bundle_ + "/" + name; }
  void WriteFile(const std::string& name, const std::string& text, mode_t mode = 0644);
  void ChownTree(const std::string& name, uid_t uid, gid_t gid);
  void AddMount(const std::string& destination, const std::string& type, const std::string& source,
                const std::vector<std::string>& options, const std::string& members = "");
  void WriteConfig(const std::vector<std::string>& args);
  CreateOptions Options();

  // Create, start, wait, clean up.
  Outcome RunPayload(const std::vector<std::string>& args);
  // The halves of it.
  absl::Status CreateContainer(const std::vector<std::string>& args);
  Outcome FinishContainer();
  // A container that runs until StopServing.
  void StartServing(const std::vector<std::string>& args = {"serve"});
  void StopServing();
  Outcome ExecPayload(const std::vector<std::string>& args,
                      const std::string& program = "/bin/payload", const std::string& members = "",
                      const std::string& cwd = "/");

  absl::Status Await(absl::FunctionRef<void(Container::Done)> call);
  // Reaps the process of `pidfd`; its exit code, or 128 + signal.
  int WaitForExit(BorrowedFd pidfd);
  // With v2 only, the file of the one group; `controller` then does not matter.
  std::string CgroupFile(const std::string& controller, const std::string& file);
  static bool HasV2Only();
  // Mounts, and leftovers of ours among cgroups and processes.
  std::string HostFacts();
  // The line of mountinfo for `point`.
  static std::string MountLine(const std::string& mountinfo, const std::string& point);
  static bool HasResourceCapability();
  static int CountDescriptors();

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Container> container_;
  SpecParts spec_;
  std::string id_;
  std::string bundle_;
  std::vector<RootfsMount> rootfs_mounts_;
  UniqueFd out_;
  UniqueFd err_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CONTAINER_FIXTURE_H_
