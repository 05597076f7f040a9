// Typed access to a JSON tree that remembers the first fault and where it was.
//
// A Decoder collects one Status; a Field is a value with its path. Reading the wrong kind records
// `$.linux.namespaces[2].type: expected a string, found a number` and yields a default, so that
// parsers read straight on and look at status() once. A Field refers to the Field it came from,
// which must outlive it (hence no Get on temporaries). Thread-compatible; owned by one parse.
#ifndef BERTH_SHIM_SPEC_FIELD_H_
#define BERTH_SHIM_SPEC_FIELD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/json/document.h"

namespace berth::spec {

class Decoder {
 public:
  // `prefix` is the path of the root, "$" for a whole document.
  explicit Decoder(absl::string_view prefix = "$") : prefix_(prefix) {}
  const absl::Status& status() const { return status_; }
  const std::string& prefix() const { return prefix_; }
  void Fail(absl::Status status) { status_.Update(std::move(status)); }

 private:
  const std::string prefix_;
  absl::Status status_;
};

class Field {
 public:
  Field(Decoder& decoder, json::Value value) : decoder_(&decoder), value_(value) {}

  // Set and not null.
  bool present() const { return value_.present() && !value_.is_null(); }
  json::Value value() const { return value_; }
  std::string Path() const;

  // The member `name`; absent when there is none or this is absent. A non-object is a fault.
  Field Get(absl::string_view name) const&;
  Field Get(absl::string_view name) const&& = delete;

  // Absent gives an empty string, false, nullopt. A NUL inside a string is a fault.
  std::string String() const;
  bool Boolean() const;
  std::optional<bool> OptionalBoolean() const;
  std::optional<int64_t> Int64() const;
  std::optional<uint64_t> Uint64() const;
  std::optional<uint32_t> Uint32() const;
  std::vector<std::string> Strings() const;
  // The source text of an object, empty when absent.
  std::string RawObject() const;

  // Calls `visit(const Field&)` for each element of an array.
  template <typename Visit>
  void ForEach(Visit visit) const {
    if (!Is(json::Kind::kArray)) return;
    size_t index = 0;
    for (auto it : value_) visit(Field(decoder_, it.value(), this, {}, index++));
  }
  // Calls `visit(absl::string_view name, const Field&)` for each member of an object.
  template <typename Visit>
  void ForEachMember(Visit visit) const {
    if (!Is(json::Kind::kObject)) return;
    for (auto it : value_) visit(it.key(), Field(decoder_, it.value(), this, it.key(), kNoIndex));
  }

  // Records a fault at this place: INVALID_ARGUMENT, or UNIMPLEMENTED.
  void Fail(absl::string_view message) const;
  void Unsupported(absl::string_view message) const;

 private:
  static constexpr size_t kNoIndex = SIZE_MAX;
  Field(Decoder* decoder, json::Value value, const Field* parent, absl::string_view key,
        size_t index)
      : decoder_(decoder), value_(value), parent_(parent), key_(key), index_(index) {}
  bool Is(json::Kind kind) const;

  Decoder* decoder_;
  json::Value value_;
  const Field* parent_ = nullptr;
  absl::string_view key_;
  size_t index_ = kNoIndex;
};

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_FIELD_H_
