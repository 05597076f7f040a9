// Forgiving reads of foreign JSON: a field that is missing or of another type reads as empty.
// Thread-safe functions.
#ifndef BERTH_CLIENT_SDK_JSON_ACCESS_H_
#define BERTH_CLIENT_SDK_JSON_ACCESS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// Members keep the order in which they were added, so that documents read as they were written.
using Json = nlohmann::ordered_json;

// Errors: INVALID_ARGUMENT when `text` is no JSON object or array.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// The member, or nullptr when `object` is no object or has none of that name (or null).
const Json* Find(const Json& object, const char* key);

std::string StringAt(const Json& object, const char* key);
int64_t IntegerAt(const Json& object, const char* key);
std::vector<std::string> StringsAt(const Json& object, const char* key);
std::map<std::string, std::string> StringMapAt(const Json& object, const char* key);

// Text for the terminal; bytes that are no UTF-8 are replaced instead of refused.
std::string Dump(const Json& json);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_JSON_ACCESS_H_
