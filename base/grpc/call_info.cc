#include "base/grpc/call_info.h"

#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth {
namespace {

constexpr size_t kMaxIdentifierBytes = 76;

// Alphanumeric words joined by single '.', '_' or '-'.
bool IsIdentifier(absl::string_view text) {
  if (text.empty() || text.size() > kMaxIdentifierBytes) return false;
  bool after_word = false;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      after_word = true;
    } else if (after_word && (c == '.' || c == '_' || c == '-')) {
      after_word = false;
    } else {
      return false;
    }
  }
  return after_word;
}

std::string Header(const grpc::ServerContextBase& context, const char* name) {
  const auto& headers = context.client_metadata();
  const auto found = headers.find(name);
  if (found == headers.end()) return "";
  return std::string(found->second.data(), found->second.size());
}

}  // namespace

bool CallCancellation::cancelled() const {
  MutexLock lock(&mutex_);
  return cancelled_;
}

void CallCancellation::AddCallback(absl::AnyInvocable<void()> callback) {
  {
    MutexLock lock(&mutex_);
    if (closed_) return;
    if (!cancelled_) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void CallCancellation::Cancel() {
  std::vector<absl::AnyInvocable<void()>> callbacks;
  {
    MutexLock lock(&mutex_);
    if (cancelled_ || closed_) return;
    cancelled_ = true;
    callbacks.swap(callbacks_);
  }
  for (auto& callback : callbacks) callback();
}

void CallCancellation::Close() {
  std::vector<absl::AnyInvocable<void()>> callbacks;  // destroyed outside the lock
  MutexLock lock(&mutex_);
  closed_ = true;
  callbacks.swap(callbacks_);
}

absl::Status CallInfo::RequireNamespace() const {
  if (ns.empty()) {
    return absl::FailedPreconditionError(
        "namespace is required: set the gRPC header \"containerd-namespace\"");
  }
  if (!IsIdentifier(ns)) {
    return absl::InvalidArgumentError(
        absl::StrCat("namespace \"", ns, "\" is not a valid identifier: 1 to ", kMaxIdentifierBytes,
                     " characters, letters and digits joined by single '.', '_' or '-'"));
  }
  return absl::OkStatus();
}

CallInfo ReadCallInfo(const grpc::ServerContextBase& context) {
  CallInfo call;
  call.ns = Header(context, "containerd-namespace");
  call.lease = Header(context, "containerd-lease");
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    call.deadline = absl::FromChrono(deadline);
  }
  return call;
}

}  // namespace berth
