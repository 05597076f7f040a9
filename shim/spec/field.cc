#include "shim/spec/field.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace berth::spec {
namespace {

// A member name that reads as an identifier is written .name, any other ["name"].
bool PlainName(absl::string_view name) {
  if (name.empty()) return false;
  for (char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (!plain) return false;
  }
  return true;
}

}  // namespace

std::string Field::Path() const {
  if (parent_ == nullptr) return decoder_->prefix();
  std::string path = parent_->Path();
  if (index_ != kNoIndex) {
    absl::StrAppend(&path, "[", index_, "]");
  } else if (PlainName(key_)) {
    absl::StrAppend(&path, ".", key_);
  } else {
    absl::StrAppend(&path, "[\"", key_, "\"]");
  }
  return path;
}

void Field::Fail(absl::string_view message) const {
  decoder_->Fail(absl::InvalidArgumentError(absl::StrCat(Path(), ": ", message)));
}

void Field::Unsupported(absl::string_view message) const {
  decoder_->Fail(absl::UnimplementedError(absl::StrCat(Path(), ": ", message)));
}

bool Field::Is(json::Kind kind) const {
  if (!present()) return false;
  if (value_.kind() == kind) return true;
  Fail(absl::StrCat("expected ", json::KindName(kind), ", found ", json::KindName(value_.kind())));
  return false;
}

Field Field::Get(absl::string_view name) const& {
  json::Value value;
  if (Is(json::Kind::kObject)) value = value_.Find(name);
  return Field(decoder_, value, this, name, kNoIndex);
}

std::string Field::String() const {
  if (!Is(json::Kind::kString)) return {};
  absl::string_view text = value_.text();
  if (text.find('\0') != absl::string_view::npos) {
    Fail("holds a NUL character");
    return {};
  }
  return std::string(text);
}

std::optional<bool> Field::OptionalBoolean() const {
  if (!present()) return std::nullopt;
  if (value_.kind() == json::Kind::kTrue) return true;
  if (value_.kind() == json::Kind::kFalse) return false;
  Is(json::Kind::kTrue);  // records the fault
  return std::nullopt;
}

bool Field::Boolean() const { return OptionalBoolean().value_or(false); }

std::optional<int64_t> Field::Int64() const {
  if (!Is(json::Kind::kNumber)) return std::nullopt;
  std::optional<int64_t> number = value_.AsInt64();
  if (!number) Fail(absl::StrCat("expected a 64-bit integer, found ", value_.text()));
  return number;
}

std::optional<uint64_t> Field::Uint64() const {
  if (!Is(json::Kind::kNumber)) return std::nullopt;
  std::optional<uint64_t> number = value_.AsUint64();
  if (!number) Fail(absl::StrCat("expected an integer from 0 to 2^64-1, found ", value_.text()));
  return number;
}

std::optional<uint32_t> Field::Uint32() const {
  if (!Is(json::Kind::kNumber)) return std::nullopt;
  std::optional<uint64_t> number = value_.AsUint64();
  if (!number || *number > std::numeric_limits<uint32_t>::max()) {
    Fail(absl::StrCat("expected an integer from 0 to 4294967295, found ", value_.text()));
    return std::nullopt;
  }
  return static_cast<uint32_t>(*number);
}

std::vector<std::string> Field::Strings() const {
  std::vector<std::string> strings;
  strings.reserve(value_.size());
  ForEach([&](const Field& element) {
    if (!element.present()) return element.Fail("expected a string, found null");
    strings.push_back(element.String());
  });
  return strings;
}

std::string Field::RawObject() const {
  return Is(json::Kind::kObject) ? std::string(value_.raw()) : std::string();
}

}  // namespace berth::spec
