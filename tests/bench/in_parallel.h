// Many calls of one kind by a few clients at once.
//
// Thread-safe.
#ifndef BERTH_TESTS_BENCH_IN_PARALLEL_H_
#define BERTH_TESTS_BENCH_IN_PARALLEL_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace berth::bench {

// `act` for every number of [from, to), by `clients` threads; the first error ends it.
absl::Status InParallel(int clients, int from, int to, absl::FunctionRef<absl::Status(int)> act);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_IN_PARALLEL_H_
