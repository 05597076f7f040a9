#include "shim/spec/seccomp_profile.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/status/status_macros.h"
#include "shim/spec/field.h"

namespace berth::spec {
namespace {

struct ActionName {
  absl::string_view name;
  SeccompAction action;
};
constexpr ActionName kActions[] = {{"SCMP_ACT_KILL", SeccompAction::kKillThread},
                                   {"SCMP_ACT_KILL_THREAD", SeccompAction::kKillThread},
                                   {"SCMP_ACT_KILL_PROCESS", SeccompAction::kKillProcess},
                                   {"SCMP_ACT_TRAP", SeccompAction::kTrap},
                                   {"SCMP_ACT_ERRNO", SeccompAction::kErrno},
                                   {"SCMP_ACT_TRACE", SeccompAction::kTrace},
                                   {"SCMP_ACT_ALLOW", SeccompAction::kAllow},
                                   {"SCMP_ACT_LOG", SeccompAction::kLog},
                                   {"SCMP_ACT_NOTIFY", SeccompAction::kNotify}};

struct OperatorName {
  absl::string_view name;
  SeccompOperator op;
};
constexpr OperatorName kOperators[] = {{"SCMP_CMP_NE", SeccompOperator::kNotEqual},
                                       {"SCMP_CMP_LT", SeccompOperator::kLess},
                                       {"SCMP_CMP_LE", SeccompOperator::kLessOrEqual},
                                       {"SCMP_CMP_EQ", SeccompOperator::kEqual},
                                       {"SCMP_CMP_GE", SeccompOperator::kGreaterOrEqual},
                                       {"SCMP_CMP_GT", SeccompOperator::kGreater},
                                       {"SCMP_CMP_MASKED_EQ", SeccompOperator::kMaskedEqual}};

struct FlagName {
  absl::string_view name;
  uint32_t bit;
};
constexpr FlagName kFlags[] = {{"SECCOMP_FILTER_FLAG_TSYNC", 1},
                               {"SECCOMP_FILTER_FLAG_LOG", 2},
                               {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4},
                               {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 32}};

constexpr absl::string_view kArchitectures[] = {
    "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64"};

SeccompAction ReadAction(const Field& field) {
  const std::string name = field.String();
  for (const ActionName& entry : kActions) {
    if (entry.name == name) return entry.action;
  }
  field.Fail(absl::StrCat("unknown action \"", name, "\""));
  return SeccompAction::kErrno;
}

std::optional<uint32_t> ReadErrno(const Field& field, SeccompAction action) {
  std::optional<uint32_t> value = field.Uint32();
  if (!value) return value;
  // To SCMP_ACT_TRACE it is a message for the tracer.
  if (action == SeccompAction::kTrace) {
    if (*value > 0xffff) field.Fail("must be at most 65535");
  } else if (action != SeccompAction::kErrno) {
    field.Fail("is only for SCMP_ACT_ERRNO and SCMP_ACT_TRACE");
  } else if (*value > 4095) {
    field.Fail("must be at most 4095");
  }
  return value;
}

void ReadArgument(const Field& entry, SeccompRule& rule) {
  SeccompArgument argument;
  const Field index = entry.Get("index");
  argument.index = index.Uint32().value_or(0);
  if (argument.index > 5) return index.Fail("must be from 0 to 5");
  argument.value = entry.Get("value").Uint64().value_or(0);
  argument.value_two = entry.Get("valueTwo").Uint64().value_or(0);
  const Field op = entry.Get("op");
  const std::string name = op.String();
  for (const OperatorName& known : kOperators) {
    if (known.name != name) continue;
    argument.op = known.op;
    rule.arguments.push_back(argument);
    return;
  }
  op.Fail(absl::StrCat("unknown operator \"", name, "\""));
}

void ReadRule(const Field& entry, SeccompProfile& profile) {
  SeccompRule rule;
  const Field names = entry.Get("names");
  rule.names = names.Strings();
  // Before version 1.0 a rule had one `name`.
  if (rule.names.empty() && entry.Get("name").present()) {
    rule.names.push_back(entry.Get("name").String());
  }
  if (rule.names.empty()) return names.Fail("empty");
  const Field action = entry.Get("action");
  rule.action = ReadAction(action);
  const Field errno_ret = entry.Get("errnoRet");
  rule.errno_value = ReadErrno(errno_ret, rule.action);
  entry.Get("args").ForEach([&](const Field& argument) { ReadArgument(argument, rule); });
  profile.rules.push_back(std::move(rule));
}

uint32_t ReadFlags(const Field& list, std::vector<std::string>* names) {
  uint32_t bits = 0;
  list.ForEach([&](const Field& flag) {
    std::string name = flag.String();
    for (const FlagName& known : kFlags) {
      if (known.name != name) continue;
      bits |= known.bit;
      if (names != nullptr) names->push_back(std::move(name));
      return;
    }
    flag.Fail(absl::StrCat("unknown flag \"", name, "\""));
  });
  return bits;
}

void ReadProfile(const Field& section, SeccompProfile& profile) {
  if (section.value().kind() != json::Kind::kObject) return section.Fail("expected an object");
  const Field default_action = section.Get("defaultAction");
  profile.default_action = ReadAction(default_action);
  const Field default_errno = section.Get("defaultErrnoRet");
  profile.default_errno = ReadErrno(default_errno, profile.default_action);
  section.Get("architectures").ForEach([&](const Field& entry) {
    std::string name = entry.String();
    for (absl::string_view known : kArchitectures) {
      if (known != name) continue;
      profile.architectures.push_back(std::move(name));
      return;
    }
    entry.Fail(absl::StrCat("unknown architecture \"", name, "\""));
  });
  const Field flags = section.Get("flags");
  ReadFlags(flags, &profile.flags);
  section.Get("syscalls").ForEach([&](const Field& entry) { ReadRule(entry, profile); });
}

}  // namespace

absl::StatusOr<SeccompProfile> ParseSeccomp(std::string json) {
  BERTH_ASSIGN_OR_RETURN(json::Document document, json::Document::Parse(std::move(json)),
                         _ << "seccomp");
  Decoder decoder("$.linux.seccomp");
  SeccompProfile profile;
  ReadProfile(Field(decoder, document.root()), profile);
  BERTH_RETURN_IF_ERROR(decoder.status());
  return profile;
}

absl::StatusOr<uint32_t> ParseSeccompFlags(absl::string_view json) {
  BERTH_ASSIGN_OR_RETURN(json::Document document, json::Document::Parse(std::string(json)),
                         _ << "seccomp");
  Decoder decoder("$.linux.seccomp");
  const Field section(decoder, document.root());
  const Field flags = section.Get("flags");
  const uint32_t bits = ReadFlags(flags, nullptr);
  BERTH_RETURN_IF_ERROR(decoder.status());
  return bits;
}

std::vector<std::string> SeccompActionNames() {
  std::vector<std::string> names;
  for (const ActionName& entry : kActions) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> SeccompOperatorNames() {
  std::vector<std::string> names;
  for (const OperatorName& entry : kOperators) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> SeccompArchitectureNames() {
  return {std::begin(kArchitectures), std::end(kArchitectures)};
}

std::vector<std::string> SeccompFlagNames() {
  std::vector<std::string> names;
  for (const FlagName& entry : kFlags) names.emplace_back(entry.name);
  return names;
}

}  // namespace berth::spec
