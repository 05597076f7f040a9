#include "base/json/document.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth::json {

absl::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kFalse:
    case Kind::kTrue:
      return "a boolean";
    case Kind::kNumber:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "unknown";
}

size_t Value::size() const {
  return kind() == Kind::kArray || kind() == Kind::kObject ? node().children : 0;
}

absl::string_view Value::text() const {
  if (kind() != Kind::kString && kind() != Kind::kNumber) return {};
  return absl::string_view(node().text, node().size);
}

absl::string_view Value::raw() const {
  if (kind() != Kind::kArray && kind() != Kind::kObject) return {};
  return absl::string_view(node().text, node().size);
}

Value Value::Find(absl::string_view name) const {
  Value found;
  if (kind() != Kind::kObject) return found;
  for (auto member : *this) {
    if (member.key() == name) found = member.value();
  }
  return found;
}

std::optional<int64_t> Value::AsInt64() const {
  int64_t number = 0;
  if (kind() != Kind::kNumber || !absl::SimpleAtoi(text(), &number)) return std::nullopt;
  return number;
}

std::optional<uint64_t> Value::AsUint64() const {
  uint64_t number = 0;
  if (kind() != Kind::kNumber || !absl::SimpleAtoi(text(), &number)) return std::nullopt;
  return number;
}

Value::Iterator Value::begin() const {
  const Kind container = kind();
  if (container != Kind::kArray && container != Kind::kObject)
    return Iterator(nullptr, 0, container);
  return Iterator(nodes_, index_ + 1, container);
}

Value::Iterator Value::end() const {
  const Kind container = kind();
  if (container != Kind::kArray && container != Kind::kObject)
    return Iterator(nullptr, 0, container);
  return Iterator(nodes_, node().next, container);
}

absl::string_view Value::Iterator::key() const {
  if (container_ != Kind::kObject) return {};
  return absl::string_view(nodes_[index_].text, nodes_[index_].size);
}

Value Value::Iterator::value() const {
  return Value(nodes_, container_ == Kind::kObject ? index_ + 1 : index_);
}

Value::Iterator& Value::Iterator::operator++() {
  index_ = nodes_[container_ == Kind::kObject ? index_ + 1 : index_].next;
  return *this;
}

// Recursive descent over the text; `at_` is the next unread byte.
class Parser {
 public:
  explicit Parser(Document& document)
      : document_(document),
        begin_(document.text_->data()),
        at_(begin_),
        end_(begin_ + document.text_->size()) {}

  absl::Status Run() {
    if (document_.text_->size() >= std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError("JSON text is too long");
    }
    document_.nodes_.reserve(CountNodes());
    if (at_ != end_ && !SkipSpaceTo("a value")) return Error();
    if (!ParseValue(0)) return Error();
    SkipSpace();
    if (at_ != end_) {
      Expect("the end of the text");
      return Error();
    }
    if (document_.nodes_.size() < document_.nodes_.capacity() / 2) document_.nodes_.shrink_to_fit();
    return absl::OkStatus();
  }

 private:
  // At least as many as there will be, so that what is parsed is not copied as it grows: a value
  // is the first of its container or follows a comma or a colon. A hostile text's bound is that
  // each value takes two bytes.
  size_t CountNodes() const {
    size_t marks = 2;
    for (const char* p = begin_; p < end_; ++p) {
      marks += *p == ',' || *p == ':' || *p == '[' || *p == '{' ? 1 : 0;
    }
    return std::min(marks, (document_.text_->size() + 1) / 2 + 1);
  }

  // Remembers what should have stood here; the first wish is the one reported.
  bool Expect(absl::string_view what) {
    if (wish_.empty()) {
      wish_ = std::string(what);
      fault_ = at_;
    }
    return false;
  }

  absl::Status Error() const {
    int line = 1;
    int column = 1;
    for (const char* p = begin_; p < fault_; ++p) {
      ++column;
      if (*p == '\n') {
        ++line;
        column = 1;
      }
    }
    std::string found = "the end of the text";
    if (fault_ != end_) {
      const unsigned char c = static_cast<unsigned char>(*fault_);
      found = c >= 0x20 && c < 0x7f ? absl::StrCat("'", absl::string_view(fault_, 1), "'")
                                    : absl::StrCat("byte 0x", absl::Hex(c, absl::kZeroPad2));
    }
    return absl::InvalidArgumentError(absl::StrCat("JSON line ", line, ", column ", column,
                                                   ": expected ", wish_, ", found ", found));
  }

  void SkipSpace() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool SkipSpaceTo(absl::string_view what) {
    SkipSpace();
    return at_ != end_ ? true : Expect(what);
  }

  uint32_t NewNode(Kind kind) {
    document_.nodes_.push_back({at_, 0, 0, 0, kind});
    return static_cast<uint32_t>(document_.nodes_.size() - 1);
  }
  void Finish(uint32_t index, const char* text, size_t size) {
    internal::Node& node = document_.nodes_[index];
    node.text = text;
    node.size = static_cast<uint32_t>(size);
    node.next = static_cast<uint32_t>(document_.nodes_.size());
  }

  bool ParseValue(int depth) {
    if (depth > kMaxDepth) return Expect(absl::StrCat("at most ", kMaxDepth, " levels of nesting"));
    if (at_ == end_) return Expect("a value");
    switch (*at_) {
      case '{':
        return ParseObject(depth);
      case '[':
        return ParseArray(depth);
      case '"':
        return ParseString();
      case 't':
        return ParseWord("true", Kind::kTrue);
      case 'f':
        return ParseWord("false", Kind::kFalse);
      case 'n':
        return ParseWord("null", Kind::kNull);
      default:
        return ParseNumber();
    }
  }

  bool ParseWord(absl::string_view word, Kind kind) {
    if (static_cast<size_t>(end_ - at_) < word.size() ||
        ::memcmp(at_, word.data(), word.size()) != 0) {
      return Expect("a value");
    }
    const uint32_t index = NewNode(kind);
    at_ += word.size();
    Finish(index, at_, 0);
    return true;
  }

  static bool Digit(char c) { return c >= '0' && c <= '9'; }
  bool Digits() {
    if (at_ == end_ || !Digit(*at_)) return Expect("a digit");
    while (at_ != end_ && Digit(*at_)) ++at_;
    return true;
  }

  bool ParseNumber() {
    const char* start = at_;
    if (*at_ != '-' && !Digit(*at_)) return Expect("a value");
    const uint32_t index = NewNode(Kind::kNumber);
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == '0') {
      ++at_;
    } else if (!Digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!Digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!Digits()) return false;
    }
    Finish(index, start, static_cast<size_t>(at_ - start));
    return true;
  }

  bool ParseArray(int depth) {
    const char* start = at_;
    const uint32_t index = NewNode(Kind::kArray);
    ++at_;
    uint32_t count = 0;
    if (!SkipSpaceTo("a value or ']'")) return false;
    if (*at_ == ']') {
      ++at_;
    } else {
      while (true) {
        if (!SkipSpaceTo("a value") || !ParseValue(depth + 1)) return false;
        ++count;
        if (!SkipSpaceTo("',' or ']'")) return false;
        const char c = *at_;
        if (c != ',' && c != ']') return Expect("',' or ']'");
        ++at_;
        if (c == ']') break;
      }
    }
    Finish(index, start, static_cast<size_t>(at_ - start));
    document_.nodes_[index].children = count;
    return true;
  }

  bool ParseObject(int depth) {
    const char* start = at_;
    const uint32_t index = NewNode(Kind::kObject);
    ++at_;
    uint32_t count = 0;
    if (!SkipSpaceTo("a member name or '}'")) return false;
    if (*at_ == '}') {
      ++at_;
    } else {
      while (true) {
        if (!SkipSpaceTo("a member name")) return false;
        if (*at_ != '"') return Expect("a member name in quotes");
        if (!ParseString()) return false;
        if (!SkipSpaceTo("':'")) return false;
        if (*at_ != ':') return Expect("':'");
        ++at_;
        if (!SkipSpaceTo("a value") || !ParseValue(depth + 1)) return false;
        ++count;
        if (!SkipSpaceTo("',' or '}'")) return false;
        const char c = *at_;
        if (c != ',' && c != '}') return Expect("',' or '}'");
        ++at_;
        if (c == '}') break;
      }
    }
    Finish(index, start, static_cast<size_t>(at_ - start));
    document_.nodes_[index].children = count;
    return true;
  }

  bool ParseString() {
    const uint32_t index = NewNode(Kind::kString);
    const char* start = ++at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\') {
      if (static_cast<unsigned char>(*at_) < 0x20) return Expect("no bare control character");
      ++at_;
    }
    if (at_ == end_) return Expect("'\"'");
    if (*at_ == '"') {
      Finish(index, start, static_cast<size_t>(at_ - start));
      ++at_;
      return true;
    }
    return DecodeString(index, start);
  }

  // A string with escapes is never longer decoded than written, so one buffer of the text's size
  // holds all of them.
  bool DecodeString(uint32_t index, const char* start) {
    if (!document_.decoded_) {
      document_.decoded_.reset(new char[document_.text_->size()]);
      out_ = document_.decoded_.get();
    }
    char* out = out_;
    ::memcpy(out_, start, static_cast<size_t>(at_ - start));
    out_ += at_ - start;
    while (true) {
      if (at_ == end_) return Expect("'\"'");
      const char c = *at_;
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) return Expect("no bare control character");
      if (c != '\\') {
        *out_++ = c;
        ++at_;
        continue;
      }
      ++at_;
      if (at_ == end_ || !DecodeEscape())
        return Expect("an escape: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    }
    Finish(index, out, static_cast<size_t>(out_ - out));
    ++at_;
    return true;
  }

  bool DecodeEscape() {
    const char c = *at_++;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        *out_++ = c;
        return true;
      case 'b':
        *out_++ = '\b';
        return true;
      case 'f':
        *out_++ = '\f';
        return true;
      case 'n':
        *out_++ = '\n';
        return true;
      case 'r':
        *out_++ = '\r';
        return true;
      case 't':
        *out_++ = '\t';
        return true;
      case 'u':
        break;
      default:
        --at_;
        return false;
    }
    uint32_t code = 0;
    if (!Hex4(&code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
      const char* before = at_;
      uint32_t low = 0;
      at_ += 2;
      if (!Hex4(&low)) return false;
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else {
        at_ = before;
      }
    }
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;  // half of a pair
    AppendUtf8(code);
    return true;
  }

  bool Hex4(uint32_t* code) {
    if (end_ - at_ < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = at_[i];
      uint32_t digit = 0;
      if (Digit(c)) {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        return false;
      }
      *code = *code * 16 + digit;
    }
    at_ += 4;
    return true;
  }

  void AppendUtf8(uint32_t code) {
    auto put = [this](uint32_t byte) { *out_++ = static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0 | code >> 6);
      put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3f));
      put(0x80 | (code & 0x3f));
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
      put(0x80 | (code >> 6 & 0x3f));
      put(0x80 | (code & 0x3f));
    }
  }

  Document& document_;
  const char* const begin_;
  const char* at_;
  const char* const end_;
  char* out_ = nullptr;
  std::string wish_;
  const char* fault_ = nullptr;
};

absl::StatusOr<Document> Document::Parse(std::string text) {
  Document document;
  document.text_ = std::make_unique<std::string>(std::move(text));
  absl::Status status = Parser(document).Run();
  if (!status.ok()) return status;
  return document;
}

}  // namespace berth::json
