#include "base/digest/digest.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status/check.h"

namespace berth {
namespace {

constexpr DigestAlgorithm kAlgorithms[] = {DigestAlgorithm::kSha256, DigestAlgorithm::kSha384,
                                           DigestAlgorithm::kSha512};

size_t HashBytes(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::kSha256:
      return 32;
    case DigestAlgorithm::kSha384:
      return 48;
    case DigestAlgorithm::kSha512:
      return 64;
  }
  return 0;
}

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

absl::string_view DigestAlgorithmName(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::kSha256:
      return "sha256";
    case DigestAlgorithm::kSha384:
      return "sha384";
    case DigestAlgorithm::kSha512:
      return "sha512";
  }
  return "";
}

absl::StatusOr<Digest> Digest::Parse(absl::string_view text) {
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("digest \"", text, "\" has no \"algorithm:\" in front"));
  }
  const absl::string_view name = text.substr(0, colon);
  const absl::string_view hex = text.substr(colon + 1);
  for (DigestAlgorithm algorithm : kAlgorithms) {
    if (name != DigestAlgorithmName(algorithm)) continue;
    const size_t digits = 2 * HashBytes(algorithm);
    if (hex.size() != digits || !std::all_of(hex.begin(), hex.end(), IsLowerHex)) {
      return absl::InvalidArgumentError(absl::StrCat("digest \"", text, "\" must have ", digits,
                                                     " lower-case hex digits after \"", name,
                                                     ":\""));
    }
    return Digest(algorithm, std::string(text));
  }
  return absl::InvalidArgumentError(absl::StrCat("digest \"", text, "\" has the algorithm \"", name,
                                                 "\"; known are sha256, sha384 and sha512"));
}

Digest Digest::FromBytes(DigestAlgorithm algorithm, absl::string_view bytes) {
  BERTH_CHECK(bytes.size() == HashBytes(algorithm));
  return Digest(algorithm,
                absl::StrCat(DigestAlgorithmName(algorithm), ":", absl::BytesToHexString(bytes)));
}

absl::string_view Digest::hex() const {
  return absl::string_view(text_).substr(DigestAlgorithmName(algorithm_).size() + 1);
}

}  // namespace berth
