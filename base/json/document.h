// A parsed JSON text (RFC 8259): an immutable tree of nodes in one array.
//
// Written for config.json inside the shim: 70 KB of docker's default spec cost one allocation for
// the text and one for the nodes, strings without escapes stay where they are, and freeing it gives
// all of the memory back. Invariant: every Value is valid while its Document lives and does not
// move its text. Nesting is limited to kMaxDepth, so that hostile input cannot exhaust the stack.
// Immutable after Parse, thread-safe.
#ifndef BERTH_BASE_JSON_DOCUMENT_H_
#define BERTH_BASE_JSON_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::json {

inline constexpr int kMaxDepth = 128;

enum class Kind : uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

// "an object", "a string" ... for messages.
absl::string_view KindName(Kind kind);

namespace internal {
struct Node {
  const char* text;   // string: decoded; number: as written; array, object: its source text
  uint32_t size;      // of `text` in bytes
  uint32_t next;      // index behind this node and all below it
  uint32_t children;  // array: elements; object: members (a key node and a value node each)
  Kind kind;
};
}  // namespace internal

// A node of a Document; cheap to copy. A default Value is absent and behaves like null.
class Value {
 public:
  class Iterator;
  Value() = default;

  bool present() const { return nodes_ != nullptr; }
  Kind kind() const { return present() ? node().kind : Kind::kNull; }
  bool is_null() const { return kind() == Kind::kNull; }
  // Elements of an array or members of an object, else 0.
  size_t size() const;
  // The text of a string (decoded) or a number (as written), else empty.
  absl::string_view text() const;
  // An array's or object's own source text, for hashing and passing on.
  absl::string_view raw() const;
  // The member `name`; absent when there is none. Of repeated names the last wins, as in most
  // parsers.
  Value Find(absl::string_view name) const;
  // Numbers: an integer in range, written without fraction or exponent.
  std::optional<int64_t> AsInt64() const;
  std::optional<uint64_t> AsUint64() const;

  // Walks the elements of an array, or the members of an object (key() is then set).
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class Document;
  Value(const internal::Node* nodes, uint32_t index) : nodes_(nodes), index_(index) {}
  const internal::Node& node() const { return nodes_[index_]; }
  const internal::Node* nodes_ = nullptr;
  uint32_t index_ = 0;
};

class Value::Iterator {
 public:
  Iterator(const internal::Node* nodes, uint32_t index, Kind container)
      : nodes_(nodes), index_(index), container_(container) {}
  Iterator operator*() const { return *this; }
  absl::string_view key() const;
  Value value() const;
  Iterator& operator++();
  bool operator!=(const Iterator& other) const { return index_ != other.index_; }

 private:
  const internal::Node* nodes_;
  uint32_t index_;
  Kind container_;
};

class Document {
 public:
  // Errors: INVALID_ARGUMENT with line, column and what was expected.
  static absl::StatusOr<Document> Parse(std::string text);
  Document(Document&&) noexcept = default;
  Document& operator=(Document&&) noexcept = default;

  Value root() const { return Value(nodes_.data(), 0); }

 private:
  friend class Parser;
  Document() = default;
  std::unique_ptr<std::string> text_;  // by pointer: a moved short string would move its bytes
  std::unique_ptr<char[]> decoded_;    // strings that had escapes
  std::vector<internal::Node> nodes_;
};

}  // namespace berth::json

#endif  // BERTH_BASE_JSON_DOCUMENT_H_
