// An owned file descriptor, and a borrowed one for parameters.
//
// Invariant: a UniqueFd closes what it holds exactly once. close() is never retried: on Linux the
// descriptor is gone even when it fails with EINTR. errno is kept across the close. No conversion
// to int or bool: ask get() or valid(). Thread-compatible.
#ifndef BERTH_BASE_OS_UNIQUE_FD_H_
#define BERTH_BASE_OS_UNIQUE_FD_H_

#include <utility>

namespace berth {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives up ownership; the caller closes the returned descriptor.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  // Closes what is held and takes `fd`.
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// A descriptor that somebody else owns and keeps open for the duration of the call.
class BorrowedFd {
 public:
  explicit BorrowedFd(int fd) : fd_(fd) {}
  BorrowedFd(const UniqueFd& fd) : fd_(fd.get()) {}  // NOLINT: lending is implicit
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

}  // namespace berth

#endif  // BERTH_BASE_OS_UNIQUE_FD_H_
