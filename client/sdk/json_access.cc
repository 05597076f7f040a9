#include "client/sdk/json_access.h"

namespace berth::client {

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_structured()) {
    return absl::InvalidArgumentError("this is no JSON document");
  }
  return json;
}

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return nullptr;
  return &*member;
}

std::string StringAt(const Json& object, const char* key) {
  const Json* member = Find(object, key);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

int64_t IntegerAt(const Json& object, const char* key) {
  const Json* member = Find(object, key);
  return member != nullptr && member->is_number_integer() ? member->get<int64_t>() : 0;
}

std::vector<std::string> StringsAt(const Json& object, const char* key) {
  std::vector<std::string> result;
  const Json* member = Find(object, key);
  if (member == nullptr || !member->is_array()) return result;
  for (const Json& element : *member) {
    if (element.is_string()) result.push_back(element.get<std::string>());
  }
  return result;
}

std::map<std::string, std::string> StringMapAt(const Json& object, const char* key) {
  std::map<std::string, std::string> result;
  const Json* member = Find(object, key);
  if (member == nullptr || !member->is_object()) return result;
  for (const auto& [name, value] : member->items()) {
    if (value.is_string()) result[name] = value.get<std::string>();
  }
  return result;
}

std::string Dump(const Json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace berth::client
