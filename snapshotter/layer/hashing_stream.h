// The ends of a chain: files, hashed while they are read or written.
//
// Thread-compatible. The descriptor is borrowed.
#ifndef BERTH_SNAPSHOTTER_LAYER_HASHING_STREAM_H_
#define BERTH_SNAPSHOTTER_LAYER_HASHING_STREAM_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/byte_stream.h"

namespace berth::layer {

// Reads a regular file from its beginning, whatever the descriptor's position.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(BorrowedFd file);
  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override;

 private:
  BorrowedFd file_;
  uint64_t offset_ = 0;
};

// Hashes and counts what is read from another source.
class HashingSource final : public ByteSource {
 public:
  HashingSource(ByteSource& below, DigestAlgorithm algorithm) : below_(below), hasher_(algorithm) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override;
  Digest Current() const { return hasher_.Current(); }
  uint64_t bytes_read() const { return read_; }

 private:
  ByteSource& below_;
  Hasher hasher_;
  uint64_t read_ = 0;
};

// Writes at the descriptor's position.
class HashingFileSink final : public ByteSink {
 public:
  explicit HashingFileSink(BorrowedFd file) : file_(file) {}
  absl::Status Write(absl::string_view bytes) override;
  Digest Current() const { return hasher_.Current(); }
  uint64_t bytes_written() const { return written_; }

 private:
  BorrowedFd file_;
  Hasher hasher_;
  uint64_t written_ = 0;
};

// Hashes and counts what passes through.
class HashingSink final : public ByteSink {
 public:
  explicit HashingSink(ByteSink& below) : below_(below) {}
  absl::Status Write(absl::string_view bytes) override;
  Digest Current() const { return hasher_.Current(); }
  uint64_t bytes_written() const { return written_; }

 private:
  ByteSink& below_;
  Hasher hasher_;
  uint64_t written_ = 0;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_HASHING_STREAM_H_
