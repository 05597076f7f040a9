#include "client/format/template_function.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"
#include "client/format/template_printf.h"

namespace berth::client {
namespace {

using Arguments = std::vector<Json>;
using Result = absl::StatusOr<Json>;

absl::Status Fault(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status WantCount(const Arguments& arguments, size_t count) {
  if (arguments.size() == count) return absl::OkStatus();
  return Fault(absl::StrCat("takes ", count, count == 1 ? " argument" : " arguments", ", not ",
                            arguments.size()));
}

absl::StatusOr<std::string> TextOf(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return Fault(absl::StrCat("expected a text, not ", PrintValue(value)));
}

// The one text that most of docker's functions take.
absl::StatusOr<std::string> OnlyText(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 1));
  return TextOf(arguments[0]);
}

Result ToJson(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 1));
  return Json(arguments[0].dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result Lower(const Arguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, OnlyText(arguments));
  return Json(absl::AsciiStrToLower(text));
}

Result Upper(const Arguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, OnlyText(arguments));
  return Json(absl::AsciiStrToUpper(text));
}

Result Title(const Arguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(std::string text, OnlyText(arguments));
  bool starts = true;
  for (char& c : text) {
    if (starts) c = absl::ascii_toupper(static_cast<unsigned char>(c));
    starts = !absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '\'' &&
             static_cast<unsigned char>(c) < 0x80;
  }
  return Json(text);
}

Result Split(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 2));
  BERTH_ASSIGN_OR_RETURN(const std::string text, TextOf(arguments[0]));
  BERTH_ASSIGN_OR_RETURN(const std::string separator, TextOf(arguments[1]));
  Json parts = Json::array();
  for (absl::string_view part : absl::StrSplit(text, separator)) parts.push_back(std::string(part));
  return parts;
}

Result Join(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 2));
  BERTH_ASSIGN_OR_RETURN(const std::string separator, TextOf(arguments[1]));
  if (arguments[0].is_null()) return Json("");
  if (!arguments[0].is_array()) return Fault("expected a list to join");
  std::string text;
  for (size_t i = 0; i < arguments[0].size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : separator, PrintValue(arguments[0][i]));
    if (text.size() > kMaxTemplateTextBytes)
      return absl::ResourceExhaustedError("the text is too long");
  }
  return Json(text);
}

// pad TEXT BEFORE AFTER: spaces around what is not empty.
Result PadText(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 3));
  BERTH_ASSIGN_OR_RETURN(const std::string text, TextOf(arguments[0]));
  for (size_t i = 1; i < 3; ++i) {
    if (!arguments[i].is_number_integer() || arguments[i].get<int64_t>() < 0 ||
        arguments[i].get<int64_t>() > 4096) {
      return Fault("expected a number of spaces up to 4096");
    }
  }
  if (text.empty()) return Json(text);
  return Json(absl::StrCat(std::string(arguments[1].get<size_t>(), ' '), text,
                           std::string(arguments[2].get<size_t>(), ' ')));
}

Result Truncate(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 2));
  BERTH_ASSIGN_OR_RETURN(std::string text, TextOf(arguments[0]));
  if (!arguments[1].is_number_integer() || arguments[1].get<int64_t>() < 0) {
    return Fault("expected a length");
  }
  const size_t length = arguments[1].get<size_t>();
  if (length < text.size()) text.resize(length);
  return Json(text);
}

Result Length(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 1));
  const Json& value = arguments[0];
  if (value.is_string())
    return Json(static_cast<int64_t>(value.get_ref<const std::string&>().size()));
  if (value.is_array() || value.is_object()) return Json(static_cast<int64_t>(value.size()));
  if (value.is_null()) return Json(int64_t{0});
  return Fault(absl::StrCat("only texts, lists and maps have a length, not ", PrintValue(value)));
}

bool IsTextMap(const Json& object) {
  return std::all_of(object.begin(), object.end(), [](const Json& v) { return v.is_string(); });
}

Result Index(const Arguments& arguments) {
  if (arguments.empty()) return Fault("wants a list or map, then an index");
  Json value = arguments[0];
  for (size_t i = 1; i < arguments.size(); ++i) {
    const Json& key = arguments[i];
    if (value.is_array()) {
      const bool is_inside =
          key.is_number_integer() && key.get<int64_t>() >= 0 && key.get<uint64_t>() < value.size();
      if (!is_inside) {
        return Fault(
            absl::StrCat("index ", PrintValue(key), " is outside of a list of ", value.size()));
      }
      value = Json(value[key.get<size_t>()]);
    } else if (value.is_object() && key.is_string()) {
      const auto found = value.find(key.get<std::string>());
      // A map of texts answers "" for what it does not have.
      value = found != value.end() ? Json(*found) : IsTextMap(value) ? Json("") : Json(nullptr);
    } else if (value.is_null()) {
      return Fault("there is nothing to index");
    } else {
      return Fault(absl::StrCat(PrintValue(value), " cannot be indexed by ", PrintValue(key)));
    }
  }
  return value;
}

Result Slice(const Arguments& arguments) {
  if (arguments.empty() || arguments.size() > 3)
    return Fault("wants a list or text, a begin, an end");
  const Json& value = arguments[0];
  if (!value.is_array() && !value.is_string()) return Fault("only lists and texts can be cut");
  const size_t size = value.is_array() ? value.size() : value.get_ref<const std::string&>().size();
  size_t bounds[2] = {0, size};
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (!arguments[i].is_number_integer() || arguments[i].get<int64_t>() < 0 ||
        arguments[i].get<size_t>() > size) {
      return Fault(absl::StrCat("index ", PrintValue(arguments[i]), " is outside of 0 to ", size));
    }
    bounds[i - 1] = arguments[i].get<size_t>();
  }
  if (bounds[0] > bounds[1]) return Fault("the end is before the begin");
  if (value.is_string()) {
    return Json(value.get<std::string>().substr(bounds[0], bounds[1] - bounds[0]));
  }
  Json part = Json::array();
  for (size_t i = bounds[0]; i < bounds[1]; ++i) part.push_back(value[i]);
  return part;
}

// Go puts a space between neighbours of which none is a text.
Result Print(const Arguments& arguments) {
  std::string text;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i - 1].is_string() && !arguments[i].is_string()) text += " ";
    text += PrintValue(arguments[i]);
  }
  return Json(text);
}

Result PrintLine(const Arguments& arguments) {
  std::string text;
  for (const Json& value : arguments) {
    absl::StrAppend(&text, text.empty() ? "" : " ", PrintValue(value));
  }
  return Json(text + "\n");
}

Result PrintFormat(const Arguments& arguments) {
  if (arguments.empty()) return Fault("wants a format");
  BERTH_ASSIGN_OR_RETURN(const std::string format, TextOf(arguments[0]));
  return Json(FormatValues(format, Arguments(arguments.begin() + 1, arguments.end())));
}

Result Not(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 1));
  return Json(!IsTrue(arguments[0]));
}

// Less than 0, 0, more than 0. Errors: values that cannot be compared.
absl::StatusOr<int> Compare(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a == b ? 0 : a < b ? -1 : 1;
  if (a.is_string() && b.is_string()) {
    return a.get_ref<const std::string&>().compare(b.get_ref<const std::string&>());
  }
  return Fault(absl::StrCat(PrintValue(a), " and ", PrintValue(b), " cannot be compared"));
}

Result Equal(const Arguments& arguments) {
  if (arguments.size() < 2) return Fault("wants two values to compare");
  for (size_t i = 1; i < arguments.size(); ++i) {
    const Json& a = arguments[0];
    const Json& b = arguments[i];
    if (a.is_structured() || b.is_structured()) return Fault("lists and maps cannot be compared");
    const bool fits =
        (a.is_number() && b.is_number()) || a.type() == b.type() || a.is_null() || b.is_null();
    if (!fits) {
      return Fault(absl::StrCat(PrintValue(a), " and ", PrintValue(b), " are of different types"));
    }
    if (a == b) return Json(true);
  }
  return Json(false);
}

Result NotEqual(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 2));
  BERTH_ASSIGN_OR_RETURN(const Json equal, Equal(arguments));
  return Json(!equal.get<bool>());
}

template <typename Accepts>
Result Order(const Arguments& arguments) {
  BERTH_RETURN_IF_ERROR(WantCount(arguments, 2));
  BERTH_ASSIGN_OR_RETURN(const int order, Compare(arguments[0], arguments[1]));
  return Json(Accepts()(order, 0));
}

const std::map<std::string, TemplateFunction>& Functions() {
  static const auto& functions = *new std::map<std::string, TemplateFunction>{
      {"eq", Equal},
      {"ge", Order<std::greater_equal<int>>},
      {"gt", Order<std::greater<int>>},
      {"index", Index},
      {"join", Join},
      {"json", ToJson},
      {"le", Order<std::less_equal<int>>},
      {"len", Length},
      {"lower", Lower},
      {"lt", Order<std::less<int>>},
      {"ne", NotEqual},
      {"not", Not},
      {"pad", PadText},
      {"print", Print},
      {"printf", PrintFormat},
      {"println", PrintLine},
      {"slice", Slice},
      {"split", Split},
      {"title", Title},
      {"truncate", Truncate},
      {"upper", Upper},
  };
  return functions;
}

}  // namespace

TemplateFunction FindFunction(absl::string_view name) {
  const auto found = Functions().find(std::string(name));
  return found == Functions().end() ? nullptr : found->second;
}

bool IsLazyFunction(absl::string_view name) { return name == "and" || name == "or"; }

bool NeedsArguments(absl::string_view name) { return name != "print" && name != "println"; }

std::string FunctionNames() {
  std::vector<std::string> names = {"and", "or"};
  for (const auto& [name, function] : Functions()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return absl::StrJoin(names, ", ");
}

}  // namespace berth::client
