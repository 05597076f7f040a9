#include "base/digest/hasher.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

const EVP_MD* Method(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::kSha256:
      return EVP_sha256();
    case DigestAlgorithm::kSha384:
      return EVP_sha384();
    case DigestAlgorithm::kSha512:
      return EVP_sha512();
  }
  return nullptr;
}

}  // namespace

struct Hasher::Context {
  Context() : running(EVP_MD_CTX_new()) { BERTH_CHECK(running != nullptr); }
  ~Context() { EVP_MD_CTX_free(running); }
  EVP_MD_CTX* running;
};

Hasher::Hasher(DigestAlgorithm algorithm)
    : algorithm_(algorithm), context_(std::make_unique<Context>()) {
  Reset();
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::Reset() {
  BERTH_CHECK(EVP_DigestInit_ex(context_->running, Method(algorithm_), nullptr) == 1);
}

void Hasher::Update(absl::string_view bytes) {
  BERTH_CHECK(EVP_DigestUpdate(context_->running, bytes.data(), bytes.size()) == 1);
}

absl::Status Hasher::UpdateFromFile(BorrowedFd file, uint64_t offset, uint64_t length) {
  std::vector<char> buffer(std::min<uint64_t>(length, kReadBytes));
  while (length > 0) {
    const size_t want = std::min<uint64_t>(length, buffer.size());
    const ssize_t got = ::pread(file.get(), buffer.data(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    if (got == 0) {
      return absl::DataLossError(
          absl::StrCat("the file ends at byte ", offset, ", ", length, " bytes early"));
    }
    Update(absl::string_view(buffer.data(), static_cast<size_t>(got)));
    offset += static_cast<uint64_t>(got);
    length -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

Digest Hasher::Current() const {
  Context copy;
  BERTH_CHECK(EVP_MD_CTX_copy_ex(copy.running, context_->running) == 1);
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  BERTH_CHECK(EVP_DigestFinal_ex(copy.running, value, &size) == 1);
  return Digest::FromBytes(algorithm_,
                           absl::string_view(reinterpret_cast<const char*>(value), size));
}

absl::StatusOr<Digest> HashFile(BorrowedFd file, DigestAlgorithm algorithm) {
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  Hasher hasher(algorithm);
  BERTH_RETURN_IF_ERROR(hasher.UpdateFromFile(file, 0, static_cast<uint64_t>(info.st_size)))
      << "hash the file";
  return hasher.Current();
}

Digest HashString(absl::string_view bytes, DigestAlgorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.Update(bytes);
  return hasher.Current();
}

}  // namespace berth
