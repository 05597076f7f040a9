#include "tests/bench/in_parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/os/mutex.h"

namespace berth::bench {

absl::Status InParallel(int clients, int from, int to, absl::FunctionRef<absl::Status(int)> act) {
  std::atomic<int> next{from};
  Mutex mutex;
  absl::Status first;
  std::vector<std::thread> threads;
  for (int client = 0; client < std::min(clients, to - from); ++client) {
    threads.emplace_back([&] {
      for (int number = next++; number < to; number = next++) {
        const absl::Status status = act(number);
        if (status.ok()) continue;
        next = to;
        MutexLock lock(&mutex);
        first.Update(status);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace berth::bench
