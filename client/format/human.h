// Sizes and lengths of time in the words that docker prints. Pure functions.
#ifndef BERTH_CLIENT_FORMAT_HUMAN_H_
#define BERTH_CLIENT_FORMAT_HUMAN_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace berth::client {

// "1.09GB": powers of 1000, `digits` significant ones.
std::string DecimalSize(double bytes, int digits = 3);
// "1.944MiB": powers of 1024, four significant digits.
std::string BinarySize(double bytes);

// "Less than a second", "5 seconds", "About a minute", "3 hours", "2 weeks".
std::string HumanDuration(absl::Duration duration);
// "5 seconds ago"; of a moment that is not known, "N/A".
std::string HumanAgo(absl::Time moment, absl::Time now);

// "2026-01-02 15:04:05 +0000 UTC", as docker's CreatedAt.
std::string HumanMoment(absl::Time moment);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_HUMAN_H_
