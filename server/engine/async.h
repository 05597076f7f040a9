// Functions of several steps that hold no thread between them: C++20 coroutines over the daemon's
// executor and its callbacks.
//
//   Async<absl::Status> Stop(Id id) {
//     AwaitCall<Empty> kill(executor_, [&](auto done) { tasks_.Kill(..., std::move(done)); });
//     const absl::StatusOr<Empty> killed = co_await kill;
//     ...
//   }
//
// Invariant: a coroutine runs on one thread at a time, always one of the executor's (or that of
// whoever began it, until its first wait); it may block for a disk there. It begins when awaited or
// passed to Begin, and owns its arguments, so take them by value. Awaitables are named objects:
// g++ 12 destroys temporaries of an awaited expression wrongly in some cases. Thread-compatible.
#ifndef BERTH_SERVER_ENGINE_ASYNC_H_
#define BERTH_SERVER_ENGINE_ASYNC_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "base/status/status_macros.h"

namespace berth::engine {

template <typename T>
class [[nodiscard]] Async {
 public:
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> continuation;

    Async get_return_object() {
      return Async(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        const std::coroutine_handle<> next = self.promise().continuation;
        return next ? next : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void unhandled_exception() { std::terminate(); }
    template <typename U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
  };

  Async(Async&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Async& operator=(Async&&) = delete;
  ~Async() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return *std::move(handle_.promise().value); }

 private:
  explicit Async(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace async_internal {

// Runs from its call to its end and then destroys itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void unhandled_exception() { std::terminate(); }
    void return_void() {}
  };
};

template <typename T>
Detached Run(Async<T> work, absl::AnyInvocable<void(T)> done) {
  T result = co_await work;
  done(std::move(result));
}

}  // namespace async_internal

// Runs `work` until its first wait on this thread, and `done` with its result at its end.
template <typename T>
void Begin(Async<T> work, absl::AnyInvocable<void(T)> done) {
  async_internal::Run(std::move(work), std::move(done));
}
template <typename T>
void Begin(Async<T> work) {
  async_internal::Run(std::move(work), absl::AnyInvocable<void(T)>([](T) {}));
}

// Awaits whatever hands its one result to a callback, from any thread.
template <typename T>
class Await {
 public:
  using Callback = absl::AnyInvocable<void(T)>;
  Await(Executor& executor, absl::AnyInvocable<void(Callback)> call)
      : executor_(executor), call_(std::move(call)) {}

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) {
    // Local: the callback may come, and end the coroutine that owns this, before the call returns.
    absl::AnyInvocable<void(Callback)> call = std::move(call_);
    call([this, awaiting](T value) {
      result_.emplace(std::move(value));
      executor_.PostContinuation([awaiting] { awaiting.resume(); });
    });
  }
  T await_resume() { return *std::move(result_); }

 private:
  Executor& executor_;
  absl::AnyInvocable<void(Callback)> call_;
  std::optional<T> result_;
};
template <typename Response>
using AwaitCall = Await<absl::StatusOr<Response>>;

}  // namespace berth::engine

// As BERTH_RETURN_IF_ERROR and BERTH_ASSIGN_OR_RETURN, in coroutines. The expression must not hold
// a co_await.
#define BERTH_CO_RETURN_IF_ERROR(expression)                                                     \
  if (auto berth_status = (expression); ::berth::status_internal::ToStatus(berth_status).ok()) { \
  } else /* NOLINT */                                                                            \
    co_return absl::Status(::berth::status_internal::ToStatus(berth_status))
#define BERTH_CO_ASSIGN_OR_RETURN(lhs, expression) \
  BERTH_CO_ASSIGN_(BERTH_STATUS_CONCAT_(berth_status_or_, __LINE__), lhs, expression)
#define BERTH_CO_ASSIGN_(temp, lhs, expression)       \
  auto temp = (expression);                           \
  if (!temp.ok()) co_return std::move(temp).status(); \
  lhs = *std::move(temp)

#endif  // BERTH_SERVER_ENGINE_ASYNC_H_
