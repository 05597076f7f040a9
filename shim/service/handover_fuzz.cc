// libFuzzer's entry: any bytes as the state that a shim's earlier program left, looked at as
// -upgrade-check does.
//
// The descriptors that a state can name are those from kFirst on; what one is follows from its
// number. No look may write to the journal: the shim that lives on owns it.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/journal/journal.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/os/spawn.h"
#include "base/status/check.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/envelope.h"
#include "shim/io/log_writer.h"
#include "shim/service/serve_command.h"

namespace berth::service {
namespace {

constexpr int kFirst = 100;
constexpr int kCount = 192;

// What the process needs for all its runs.
class Place {
 public:
  Place() {
    const char* parent = ::getenv("TMPDIR");
    directory_ = absl::StrCat(parent == nullptr ? "/tmp" : parent, "/handover-fuzz-XXXXXX");
    BERTH_CHECK(::mkdtemp(directory_.data()) != nullptr);
    arguments_.namespace_name = "fuzz";
    arguments_.id = "c";
    shim_ = *ReadProcessIdentity(::getpid());
    bundle_ = *OpenFile(directory_, O_RDONLY | O_DIRECTORY);
    BERTH_CHECK(journal::Writer::Create(bundle_,
                                        journal::Header{.boot_id = "",
                                                        .namespace_name = arguments_.namespace_name,
                                                        .container_id = arguments_.id,
                                                        .shim = shim_})
                    .ok());
    journal_ = *ReadFile(JournalPath());
    // A process that has ended and was waited for: its pidfd may stand for any process.
    SpawnOptions spawn;
    spawn.executable = "/bin/true";
    spawn.arguments = {"true"};
    auto child = Spawn(spawn);
    BERTH_CHECK(child.ok());
    ended_ = *DupFd(child->pidfd());
    BERTH_CHECK(child->Wait(absl::Minutes(1)).ok());
  }

  const Arguments& arguments() const { return arguments_; }
  const ProcessIdentity& shim() const { return shim_; }
  void CheckJournal() const { BERTH_CHECK(*ReadFile(JournalPath()) == journal_); }

  // Opens descriptor `number`, of the kind that it stands for.
  void Open(int number) const {
    UniqueFd fd = Make(number % 8);
    BERTH_CHECK(fd.valid() && ::dup3(fd.get(), number, O_CLOEXEC) == number);
  }

 private:
  std::string JournalPath() const { return absl::StrCat(directory_, "/", journal::kFileName); }

  UniqueFd Make(int kind) const {
    switch (kind) {
      case 0: {
        int pair[2];
        BERTH_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        const UniqueFd other(pair[1]);
        return UniqueFd(pair[0]);
      }
      case 1:
        return std::move(MakePipe()->read);
      case 2:
        return std::move(MakePipe()->write);
      case 3:
        return *OpenFile(directory_, O_RDONLY | O_DIRECTORY);
      case 4:
        return *OpenFile(JournalPath(), O_RDWR);
      case 5:
        return *DupFd(ended_);
      case 6:
        return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      default: {
        UniqueFd counters(::memfd_create("counters", MFD_CLOEXEC));
        BERTH_CHECK(::ftruncate(counters.get(), sizeof(io::LogCounters)) == 0);
        return counters;
      }
    }
  }

  std::string directory_;
  Arguments arguments_;
  ProcessIdentity shim_;
  UniqueFd bundle_;
  std::string journal_;
  UniqueFd ended_;
};

}  // namespace
}  // namespace berth::service

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using berth::service::kCount;
  using berth::service::kFirst;
  // tests/fuzz/run removes its directory.
  static const auto& place = *new berth::service::Place;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  // The envelope itself: what is in it is checked by a sum that no mutation hits.
  (void)berth::handover::Unwrap(bytes);
  berth::shim::v1::ShimState state;
  if (!state.ParseFromString(bytes)) return 0;
  // A shim's own list is the truth about its process, and here that is about this one.
  std::set<int> open;
  for (const int fd : state.descriptors()) {
    if (fd >= kFirst && fd < kFirst + kCount) open.insert(fd);
  }
  state.clear_descriptors();
  for (const int fd : open) {
    state.add_descriptors(fd);
    place.Open(fd);
  }
  (void)berth::service::LookAtState(place.arguments(),
                                    berth::handover::Wrap(state.SerializeAsString()), place.shim());
  ::close_range(kFirst, kFirst + kCount - 1, 0);
  place.CheckJournal();
  return 0;
}
