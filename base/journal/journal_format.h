// The bytes of a task's journal; docs/formats/journal.md is their description.
//
// Invariant: every record carries a CRC over all its bytes, and a process's record is written to
// the older one of its slot's two copies, so that a reader finds the old or the new one whole at
// any moment. Pure code, thread-safe.
#ifndef BERTH_BASE_JOURNAL_JOURNAL_FORMAT_H_
#define BERTH_BASE_JOURNAL_JOURNAL_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/process_identity.h"

namespace berth::journal {

inline constexpr char kFileName[] = "journal";
inline constexpr uint16_t kMajorVersion = 1;
inline constexpr uint16_t kMinorVersion = 2;  // 1: generations; 2: stdio and pauses

inline constexpr size_t kHeaderBytes = 1024;
inline constexpr size_t kResourcesBytes = 7168;
inline constexpr size_t kSlotsOffset = kHeaderBytes + kResourcesBytes;
inline constexpr size_t kCopyBytes = 256;
inline constexpr size_t kSlotBytes = 2 * kCopyBytes;
inline constexpr size_t kSlotsPerGrowth = 16;
inline constexpr size_t kMaxSlots = 16384;

// How far a process has come. Numbers are on disk: never renumber.
enum class Stage : uint8_t {
  kFree = 0,      // the slot holds no process
  kAdded = 1,     // an exec that was added and not started; an init whose shim waits for Create
  kCreating = 2,  // init: from here on there may be a cgroup, mounts and a process
  kCreated = 3,   // init waits for Start; its pid is known
  kRunning = 4,
  kExited = 5,   // status and time are final
  kDeleted = 6,  // init: removed from the kernel, the bundle may go
};

struct ProcessRecord {
  std::string exec_id;  // empty for init
  Stage stage = Stage::kFree;
  ProcessIdentity process = {};
  uint32_t exit_status = 0;
  absl::Time exited_at = absl::InfinitePast();
  bool exit_announced = false;    // the daemon has acknowledged the exit event
  bool delete_announced = false;  // and the delete event
  bool paused = false;            // while it is kRunning; from minor version 2 on
  // How often the container has been made under this id, from 1. Every record is of one of them.
  uint32_t generation = 1;
};

// The slot of an earlier generation of init, kept until the daemon has acknowledged its end: an
// exec id that no client can use, and the generation.
inline constexpr char kGenerationPrefix[] = "berth-generation-";

struct Header {
  std::string boot_id;
  std::string namespace_name;
  std::string container_id;
  ProcessIdentity shim = {};
};

// What init was made with.
struct Stdio {
  std::string in = {}, out = {}, err = {};
  bool terminal = false;
};

// What Create was told and has taken.
struct Resources {
  std::vector<std::string> cgroup_paths = {};  // of the directories, one per hierarchy
  std::optional<Stdio> stdio = {};             // none: too long, or written by minor version 1
};

// CRC-32 (IEEE 802.3, reflected).
uint32_t Crc32(absl::string_view bytes);

// Errors: INVALID_ARGUMENT for a text that is too long for its field.
absl::StatusOr<std::string> EncodeHeader(const Header& header);
// Errors: DATA_LOSS for a bad magic number or CRC; FAILED_PRECONDITION for a newer major version.
absl::StatusOr<Header> DecodeHeader(absl::string_view bytes);

// Leaves out a stdio that does not fit. Errors: INVALID_ARGUMENT when the cgroups do not fit.
absl::StatusOr<std::string> EncodeResources(const Resources& resources);
// Empty where none were written. Errors: DATA_LOSS.
absl::StatusOr<Resources> DecodeResources(absl::string_view bytes);

absl::StatusOr<std::string> EncodeCopy(const ProcessRecord& record, uint64_t sequence);
struct Copy {
  uint64_t sequence = 0;
  ProcessRecord record;
};
// Errors: DATA_LOSS for a bad CRC; NOT_FOUND for a copy that was never written (all zero).
absl::StatusOr<Copy> DecodeCopy(absl::string_view bytes);

}  // namespace berth::journal

#endif  // BERTH_BASE_JOURNAL_JOURNAL_FORMAT_H_
