// Builds JSON text: objects, arrays and scalars in the order they are called for.
//
// Invariant: the text is valid JSON when every Begin has its End and every member its Key; bytes
// that are not UTF-8 are passed on as they are. Thread-compatible. Owned by the function that
// builds a text.
#ifndef BERTH_BASE_JSON_WRITER_H_
#define BERTH_BASE_JSON_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace berth::json {

enum class Layout { kCompact, kIndented };

// `text` in quotes, escaped.
std::string Quote(absl::string_view text);

class Writer {
 public:
  explicit Writer(Layout layout = Layout::kCompact) : layout_(layout) {}

  Writer& BeginObject();
  Writer& EndObject();
  Writer& BeginArray();
  Writer& EndArray();
  Writer& Key(absl::string_view name);
  Writer& String(absl::string_view value);
  Writer& Int(int64_t value);
  Writer& Uint(uint64_t value);
  Writer& Boolean(bool value);  // NOLINT: the value is the argument's meaning
  Writer& Null();
  // A complete JSON value that is already text.
  Writer& Raw(absl::string_view json);

  std::string Take() { return std::move(text_); }

 private:
  void BeforeValue();
  void NewLine();
  const Layout layout_;
  std::string text_;
  int depth_ = 0;
  enum class Position { kFirst, kNext, kAfterKey } position_ = Position::kFirst;
};

}  // namespace berth::json

#endif  // BERTH_BASE_JSON_WRITER_H_
