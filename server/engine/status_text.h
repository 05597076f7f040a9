// The words of the status column of `ps`, which are Docker's. Pure functions.
#ifndef BERTH_SERVER_ENGINE_STATUS_TEXT_H_
#define BERTH_SERVER_ENGINE_STATUS_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/record.pb.h"

namespace berth::engine {

// "5 minutes", "About an hour", "2 weeks".
std::string HumanDuration(absl::Duration duration);
// "Up 5 minutes (healthy)", "Exited (0) 2 hours ago", "Created".
std::string StatusText(const v1::State& state, absl::Time now);
// "running", "exited" ...
absl::string_view StatusWord(v1::Status status);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_STATUS_TEXT_H_
