#include "base/journal/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::journal {
namespace {

constexpr char kTemporaryName[] = "journal.tmp";

absl::Status WriteAt(BorrowedFd file, absl::string_view bytes, size_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file.get(), bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "pwrite", kFileName);
    bytes.remove_prefix(written);
    offset += written;
  }
  return absl::OkStatus();
}

absl::Status Allocate(BorrowedFd file, size_t offset, size_t bytes) {
  int failed;
  do {
    failed = ::posix_fallocate(file.get(), offset, bytes);
  } while (failed == EINTR);
  return failed == 0 ? absl::OkStatus() : ErrnoStatus(failed, "fallocate", kFileName);
}

// The newer whole copy of a slot; nothing for one that was never used.
std::optional<Copy> DecodeNewest(absl::string_view slot) {
  std::optional<Copy> best;
  for (size_t at = 0; at < kSlotBytes; at += kCopyBytes) {
    auto copy = DecodeCopy(slot.substr(at, kCopyBytes));
    // A copy that is being written now fails its CRC: the other one is then the state.
    if (copy.ok() && (!best.has_value() || copy->sequence > best->sequence)) {
      best = *std::move(copy);
    }
  }
  return best;
}

// Nothing for a slot without a process.
std::optional<ProcessRecord> DecodeSlot(absl::string_view slot) {
  std::optional<Copy> best = DecodeNewest(slot);
  if (!best.has_value() || best->record.stage == Stage::kFree) return std::nullopt;
  return std::move(best->record);
}

absl::StatusOr<ProcessRecord> DecodeInit(absl::string_view slot) {
  auto init = DecodeSlot(slot);
  if (!init.has_value()) return absl::DataLossError("the journal has no record of init");
  return *std::move(init);
}

// Fills `buffer` from `offset` on. Errors: DATA_LOSS for a file that ends before.
absl::Status ReadWhole(absl::string_view bundle_path, absl::Span<char> buffer, size_t offset) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file,
                         OpenFile(absl::StrCat(bundle_path, "/", kFileName), O_RDONLY));
  ssize_t got;
  do {
    got = ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(errno, "pread", kFileName);
  if (static_cast<size_t>(got) < buffer.size()) {
    return absl::DataLossError("the journal is cut short");
  }
  return absl::OkStatus();
}

// Everything up to init's record.
absl::StatusOr<State> DecodeHead(absl::string_view bytes) {
  State state;
  BERTH_ASSIGN_OR_RETURN(state.header, DecodeHeader(bytes));
  if (bytes.size() < kSlotsOffset + kSlotBytes) {
    return absl::DataLossError("the journal is cut short");
  }
  BERTH_ASSIGN_OR_RETURN(const std::string boot_id, ReadBootId());
  state.this_boot = state.header.boot_id == boot_id;
  BERTH_ASSIGN_OR_RETURN(state.resources,
                         DecodeResources(bytes.substr(kHeaderBytes, kResourcesBytes)));
  BERTH_ASSIGN_OR_RETURN(state.init, DecodeInit(bytes.substr(kSlotsOffset, kSlotBytes)));
  return state;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Writer>> Writer::Create(BorrowedFd bundle, Header header) {
  BERTH_ASSIGN_OR_RETURN(header.boot_id, ReadBootId());
  BERTH_ASSIGN_OR_RETURN(const std::string header_block, EncodeHeader(header));
  ::unlinkat(bundle.get(), kTemporaryName, 0);  // of a shim that was killed here
  BERTH_ASSIGN_OR_RETURN(UniqueFd file,
                         OpenAt(bundle, kTemporaryName, O_RDWR | O_CREAT | O_EXCL, 0600));
  std::unique_ptr<Writer> writer(new Writer(std::move(file), kSlotsPerGrowth));
  const auto fill = [&]() -> absl::Status {
    BERTH_RETURN_IF_ERROR(Allocate(writer->file_, 0, kSlotsOffset + kSlotsPerGrowth * kSlotBytes));
    BERTH_RETURN_IF_ERROR(WriteAt(writer->file_, header_block, 0));
    BERTH_RETURN_IF_ERROR(writer->Write(ProcessRecord{.exec_id = "", .stage = Stage::kAdded}));
    if (::renameat(bundle.get(), kTemporaryName, bundle.get(), kFileName) != 0) {
      return ErrnoStatus(errno, "rename", kFileName);
    }
    return absl::OkStatus();
  };
  if (const absl::Status status = fill(); !status.ok()) {
    ::unlinkat(bundle.get(), kTemporaryName, 0);
    return status;
  }
  return writer;
}

absl::StatusOr<std::unique_ptr<Writer>> Writer::Resume(UniqueFd file, const Header& expected) {
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return ErrnoStatus(errno, "fstat", kFileName);
  std::string content(std::min<size_t>(info.st_size, kSlotsOffset + kMaxSlots * kSlotBytes), '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = ::pread(file.get(), content.data() + size, content.size() - size, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread", kFileName);
    if (got == 0) break;
    size += got;
  }
  const absl::string_view bytes(content.data(), size);
  BERTH_ASSIGN_OR_RETURN(const Header header, DecodeHeader(bytes));
  if (header.container_id != expected.container_id ||
      header.namespace_name != expected.namespace_name || header.shim.pid != expected.shim.pid ||
      header.shim.start_time_ticks != expected.shim.start_time_ticks) {
    return absl::FailedPreconditionError(
        absl::StrCat("the journal is that of task \"", header.container_id, "\" in namespace \"",
                     header.namespace_name, "\" and shim ", header.shim.pid));
  }
  if (size < kSlotsOffset + kSlotsPerGrowth * kSlotBytes) {
    return absl::DataLossError("the journal is cut short");
  }
  std::unique_ptr<Writer> writer(new Writer(std::move(file), (size - kSlotsOffset) / kSlotBytes));
  for (size_t index = 0; index < writer->slots_; ++index) {
    const auto copy = DecodeNewest(bytes.substr(kSlotsOffset + index * kSlotBytes, kSlotBytes));
    if (!copy.has_value()) continue;
    const Slot slot{.index = index, .sequence = copy->sequence};
    if (index == 0) {
      writer->init_ = slot;
      continue;
    }
    // Slots are taken in order, so those before this one were used too.
    writer->first_unused_ = index + 1;
    if (copy->record.stage == Stage::kFree) {
      writer->free_.push_back(slot);
    } else {
      writer->execs_[copy->record.exec_id] = slot;
    }
  }
  if (writer->init_.sequence == 0) return absl::DataLossError("the journal has no record of init");
  return writer;
}

absl::Status Writer::SetResources(const Resources& resources) {
  BERTH_ASSIGN_OR_RETURN(const std::string block, EncodeResources(resources));
  return WriteAt(file_, block, kHeaderBytes);
}

absl::Status Writer::WriteCopy(Slot& slot, const ProcessRecord& record) {
  ++slot.sequence;
  BERTH_ASSIGN_OR_RETURN(const std::string copy, EncodeCopy(record, slot.sequence));
  return WriteAt(file_, copy,
                 kSlotsOffset + slot.index * kSlotBytes + slot.sequence % 2 * kCopyBytes);
}

absl::StatusOr<Writer::Slot> Writer::TakeSlot() {
  if (!free_.empty()) {
    const Slot slot = free_.back();
    free_.pop_back();
    return slot;
  }
  if (first_unused_ == slots_) {
    if (slots_ >= kMaxSlots) return absl::ResourceExhaustedError("too many execs in one task");
    BERTH_RETURN_IF_ERROR(
        Allocate(file_, kSlotsOffset + slots_ * kSlotBytes, kSlotsPerGrowth * kSlotBytes));
    slots_ += kSlotsPerGrowth;
  }
  return Slot{.index = first_unused_++, .sequence = 0};
}

absl::Status Writer::Write(const ProcessRecord& record) {
  if (record.exec_id.empty()) return WriteCopy(init_, record);
  auto found = execs_.find(record.exec_id);
  if (found == execs_.end()) {
    BERTH_ASSIGN_OR_RETURN(const Slot slot, TakeSlot());
    found = execs_.emplace(record.exec_id, slot).first;
  }
  return WriteCopy(found->second, record);
}

absl::Status Writer::Forget(const std::string& exec_id) {
  const auto found = execs_.find(exec_id);
  if (found == execs_.end()) return absl::OkStatus();
  Slot slot = found->second;
  execs_.erase(found);
  const absl::Status status = WriteCopy(slot, ProcessRecord{.exec_id = "", .stage = Stage::kFree});
  free_.push_back(slot);
  return status;
}

absl::StatusOr<State> ReadJournal(BorrowedFd bundle) {
  BERTH_ASSIGN_OR_RETURN(const std::string content,
                         ReadFileAt(bundle, kFileName, kSlotsOffset + kMaxSlots * kSlotBytes));
  const absl::string_view bytes(content);
  BERTH_ASSIGN_OR_RETURN(State state, DecodeHead(bytes));
  for (size_t at = kSlotsOffset + kSlotBytes; at + kSlotBytes <= bytes.size(); at += kSlotBytes) {
    auto exec = DecodeSlot(bytes.substr(at, kSlotBytes));
    if (!exec.has_value()) continue;
    if (absl::StartsWith(exec->exec_id, kGenerationPrefix)) {
      exec->exec_id.clear();
      state.generations.push_back(*std::move(exec));
    } else {
      state.execs.push_back(*std::move(exec));
    }
  }
  std::sort(
      state.generations.begin(), state.generations.end(),
      [](const ProcessRecord& a, const ProcessRecord& b) { return a.generation < b.generation; });
  return state;
}

absl::StatusOr<State> ReadJournal(absl::string_view bundle_path) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd bundle, OpenFile(bundle_path, O_PATH | O_DIRECTORY));
  return ReadJournal(bundle);
}

absl::StatusOr<State> ReadJournalHead(absl::string_view bundle_path) {
  std::array<char, kSlotsOffset + kSlotBytes> head;
  BERTH_RETURN_IF_ERROR(ReadWhole(bundle_path, absl::MakeSpan(head), 0));
  return DecodeHead(absl::string_view(head.data(), head.size()));
}

absl::StatusOr<ProcessRecord> ReadInit(absl::string_view bundle_path) {
  std::array<char, kSlotBytes> slot;
  BERTH_RETURN_IF_ERROR(ReadWhole(bundle_path, absl::MakeSpan(slot), kSlotsOffset));
  return DecodeInit(absl::string_view(slot.data(), slot.size()));
}

}  // namespace berth::journal
