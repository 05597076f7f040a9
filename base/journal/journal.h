// A task's journal: what a shim has done for one container, readable when the shim is gone.
//
// Invariant: every block that a known process may ever need is allocated before the process is
// added, so recording an exit never meets ENOSPC; Write returns after the record is in the page
// cache, where it survives any end of the shim (a power cut ends the task as well: the boot id then
// differs). The file appears whole under its name. Written by one shim; read by its `delete`
// command and by the daemon, at any time. Writer: thread-compatible, owned by shim/service.
// ReadJournal: thread-safe.
#ifndef BERTH_BASE_JOURNAL_JOURNAL_H_
#define BERTH_BASE_JOURNAL_JOURNAL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/journal/journal_format.h"
#include "base/os/unique_fd.h"

namespace berth::journal {

class Writer {
 public:
  // Makes <bundle>/journal, in the place of any older one, with init's record at kAdded.
  // `header.boot_id` is filled in. Errors: RESOURCE_EXHAUSTED when the disk is full.
  static absl::StatusOr<std::unique_ptr<Writer>> Create(BorrowedFd bundle, Header header);

  // Goes on with `file`, which another Writer of this process made, in an earlier program. Errors:
  // FAILED_PRECONDITION when it is not of the task and the shim that `expected` names; as
  // ReadJournal's.
  static absl::StatusOr<std::unique_ptr<Writer>> Resume(UniqueFd file, const Header& expected);
  BorrowedFd file() const { return file_; }

  // Records the cgroup directories, before they are used, and what init is made with.
  absl::Status SetResources(const Resources& resources);
  // Writes the process's record; the first time for an exec id takes a slot. Errors:
  // RESOURCE_EXHAUSTED, only for a new exec, when the disk or the table is full.
  absl::Status Write(const ProcessRecord& record);
  // Frees the slot of a deleted exec. An unknown id is ignored.
  absl::Status Forget(const std::string& exec_id);

 private:
  struct Slot {
    size_t index = 0;
    uint64_t sequence = 0;
  };
  Writer(UniqueFd file, size_t slots) : file_(std::move(file)), slots_(slots) {}
  absl::Status WriteCopy(Slot& slot, const ProcessRecord& record);
  absl::StatusOr<Slot> TakeSlot();

  const UniqueFd file_;
  size_t slots_;             // allocated
  size_t first_unused_ = 1;  // beyond it no slot was ever taken; 0 is init's
  std::vector<Slot> free_;   // given back, with the sequence to go on from
  Slot init_;
  absl::flat_hash_map<std::string, Slot> execs_;
};

struct State {
  Header header;
  bool this_boot = false;  // false: every process in here is gone
  Resources resources;
  ProcessRecord init;
  std::vector<ProcessRecord> execs;
  // Earlier generations of init whose end the daemon has not acknowledged, in order; with an empty
  // exec id.
  std::vector<ProcessRecord> generations;
};

// Errors: NOT_FOUND where there is no journal; DATA_LOSS where it is damaged; FAILED_PRECONDITION
// for a newer major version.
absl::StatusOr<State> ReadJournal(BorrowedFd bundle);
absl::StatusOr<State> ReadJournal(absl::string_view bundle_path);
// The same without execs and earlier generations, by one read.
absl::StatusOr<State> ReadJournalHead(absl::string_view bundle_path);
// Init's record alone, by one read. Errors: as above.
absl::StatusOr<ProcessRecord> ReadInit(absl::string_view bundle_path);

}  // namespace berth::journal

#endif  // BERTH_BASE_JOURNAL_JOURNAL_H_
