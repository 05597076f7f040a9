// What a user may have meant by a word that is nearly right. Pure functions.
#ifndef BERTH_CLIENT_COMMANDS_SUGGESTION_H_
#define BERTH_CLIENT_COMMANDS_SUGGESTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::client {

// Letters to add, drop, change or swap with their neighbour.
size_t EditDistance(absl::string_view a, absl::string_view b);

// " Did you mean \"logs\"?", or nothing when no known word is near.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_SUGGESTION_H_
