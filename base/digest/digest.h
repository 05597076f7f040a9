// The name of a blob by its content: "sha256:<64 hex digits>", sha384 or sha512.
//
// Invariant: a Digest that exists is valid: a known algorithm and the right number of lower-case
// hex digits, so it can be used as a path component. Immutable value; owned by whoever holds it.
#ifndef BERTH_BASE_DIGEST_DIGEST_H_
#define BERTH_BASE_DIGEST_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

enum class DigestAlgorithm : uint8_t { kSha256, kSha384, kSha512 };

// "sha256", "sha384", "sha512".
absl::string_view DigestAlgorithmName(DigestAlgorithm algorithm);

class Digest {
 public:
  // Errors: INVALID_ARGUMENT, naming what is wrong with `text`.
  static absl::StatusOr<Digest> Parse(absl::string_view text);
  // `bytes` is the raw hash value. Requires: its length is that of the algorithm.
  static Digest FromBytes(DigestAlgorithm algorithm, absl::string_view bytes);

  DigestAlgorithm algorithm() const { return algorithm_; }
  // "algorithm:hex".
  const std::string& text() const { return text_; }
  absl::string_view hex() const;

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }
  friend bool operator!=(const Digest& a, const Digest& b) { return a.text_ != b.text_; }
  friend bool operator<(const Digest& a, const Digest& b) { return a.text_ < b.text_; }
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.text_);
  }

 private:
  Digest(DigestAlgorithm algorithm, std::string text)
      : algorithm_(algorithm), text_(std::move(text)) {}
  DigestAlgorithm algorithm_;
  std::string text_;
};

}  // namespace berth

#endif  // BERTH_BASE_DIGEST_DIGEST_H_
