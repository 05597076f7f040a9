#include "base/json/writer.h"

#include "absl/strings/str_cat.h"

namespace berth::json {

std::string Quote(absl::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string quoted;
  quoted.reserve(text.size() + 2);
  quoted.push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        quoted.append("\\\"");
        break;
      case '\\':
        quoted.append("\\\\");
        break;
      case '\n':
        quoted.append("\\n");
        break;
      case '\r':
        quoted.append("\\r");
        break;
      case '\t':
        quoted.append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          quoted.append("\\u00");
          quoted.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
          quoted.push_back(kHex[c & 0xf]);
        } else {
          quoted.push_back(c);
        }
    }
  }
  quoted.push_back('"');
  return quoted;
}

void Writer::NewLine() {
  if (layout_ == Layout::kCompact) return;
  text_.push_back('\n');
  text_.append(static_cast<size_t>(depth_) * 2, ' ');
}

void Writer::BeforeValue() {
  if (position_ == Position::kNext) text_.push_back(',');
  if (position_ != Position::kAfterKey && depth_ > 0) NewLine();
  position_ = Position::kNext;
}

Writer& Writer::BeginObject() {
  BeforeValue();
  text_.push_back('{');
  ++depth_;
  position_ = Position::kFirst;
  return *this;
}

Writer& Writer::EndObject() {
  --depth_;
  if (position_ != Position::kFirst) NewLine();
  text_.push_back('}');
  position_ = Position::kNext;
  return *this;
}

Writer& Writer::BeginArray() {
  BeforeValue();
  text_.push_back('[');
  ++depth_;
  position_ = Position::kFirst;
  return *this;
}

Writer& Writer::EndArray() {
  --depth_;
  if (position_ != Position::kFirst) NewLine();
  text_.push_back(']');
  position_ = Position::kNext;
  return *this;
}

Writer& Writer::Key(absl::string_view name) {
  BeforeValue();
  text_.append(Quote(name));
  text_.append(layout_ == Layout::kCompact ? ":" : ": ");
  position_ = Position::kAfterKey;
  return *this;
}

Writer& Writer::String(absl::string_view value) { return Raw(Quote(value)); }
Writer& Writer::Int(int64_t value) { return Raw(absl::StrCat(value)); }
Writer& Writer::Uint(uint64_t value) { return Raw(absl::StrCat(value)); }
Writer& Writer::Boolean(bool value) { return Raw(value ? "true" : "false"); }
Writer& Writer::Null() { return Raw("null"); }

Writer& Writer::Raw(absl::string_view json) {
  BeforeValue();
  text_.append(json.data(), json.size());
  return *this;
}

}  // namespace berth::json
