// What a value is to a template: its text, and whether it counts as true. Pure functions.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_VALUE_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_VALUE_H_

#include <cstddef>
#include <string>

#include "client/sdk/json_access.h"

namespace berth::client {

// No text that a template makes of values grows beyond this.
inline constexpr size_t kMaxTemplateTextBytes = size_t{16} << 20;

// How a value prints: lists as [a b], maps as map[k:v], nothing as <no value>.
std::string PrintValue(const Json& value);
// What `if` takes for true: all but false, 0, nothing, and what is empty.
bool IsTrue(const Json& value);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_VALUE_H_
