// Hashes a stream of bytes into a Digest, by OpenSSL (the CPU's SHA instructions where it has
// them).
//
// Invariant: Current() is the digest of exactly the bytes given to Update() since the last Reset().
// Thread-compatible; owned by the one writer or reader of the stream.
#ifndef BERTH_BASE_DIGEST_HASHER_H_
#define BERTH_BASE_DIGEST_HASHER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest/digest.h"
#include "base/os/unique_fd.h"

namespace berth {

class Hasher {
 public:
  explicit Hasher(DigestAlgorithm algorithm = DigestAlgorithm::kSha256);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void Update(absl::string_view bytes);
  // Updates with the `length` bytes of the file at `offset`. Errors: DATA_LOSS when the file ends
  // before. Blocks: reads.
  absl::Status UpdateFromFile(BorrowedFd file, uint64_t offset, uint64_t length);
  void Reset();
  // May be called at any time; hashing can go on afterwards.
  Digest Current() const;
  DigestAlgorithm algorithm() const { return algorithm_; }

 private:
  struct Context;
  DigestAlgorithm algorithm_;
  std::unique_ptr<Context> context_;
};

// The digest of the whole file, read from its beginning; its position stays. Blocks: reads.
absl::StatusOr<Digest> HashFile(BorrowedFd file, DigestAlgorithm algorithm);

// The digest of a short string.
Digest HashString(absl::string_view bytes, DigestAlgorithm algorithm = DigestAlgorithm::kSha256);

}  // namespace berth

#endif  // BERTH_BASE_DIGEST_HASHER_H_
