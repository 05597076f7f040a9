// Reads a tar stream (ustar, pax, GNU long names) that a client sends piece by piece.
//
// The bytes are foreign: every number is checked before it is used, no buffer grows by what a
// header says beyond kMaxRecordsBytes, and members that cannot be understood (sparse ones, bad
// checksums) end the reading. Paths come out as they are, for the handler to check.
// Thread-compatible; owned by one upload.
#ifndef BERTH_SERVER_ENGINE_TAR_READER_H_
#define BERTH_SERVER_ENGINE_TAR_READER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "snapshotter/layer/entry.h"

namespace berth::engine {

class TarReader {
 public:
  static constexpr size_t kMaxRecordsBytes = 1 << 20;  // of one member's long names and records

  // An error ends the reading.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual absl::Status OnEntry(const layer::Entry& entry) = 0;
    virtual absl::Status OnData(absl::string_view data) = 0;  // of the last entry, a file
    virtual absl::Status OnEntryEnd() = 0;
  };

  // `handler` is borrowed.
  explicit TarReader(Handler& handler) : handler_(handler) {}

  // The next piece, of any size. Errors: INVALID_ARGUMENT for what is no tar; the handler's.
  absl::Status Feed(absl::string_view bytes);
  // No more comes. Errors: INVALID_ARGUMENT for an archive that was cut short.
  absl::Status Finish();

 private:
  enum class State { kHeader, kRecords, kData, kPadding, kEnd };
  using Records = std::map<std::string, std::string>;

  absl::Status OnHeader();
  absl::Status OnMember(char type, layer::Entry entry, uint64_t size);
  absl::Status OnRecords();
  absl::Status OnMemberEnd();
  absl::Status Describe(layer::Entry& entry, uint64_t& size) const;

  Handler& handler_;
  State state_ = State::kHeader;
  std::string block_;      // of a header
  std::string collected_;  // of kRecords
  char records_type_ = 0;
  uint64_t left_ = 0;  // of kRecords and kData
  uint64_t padding_ = 0;
  Records global_;
  Records local_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_TAR_READER_H_
