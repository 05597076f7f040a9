// The half of seccomp_program.h that needs libseccomp.
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/security/filter_specializer.h"
#include "shim/security/seccomp_program.h"
#include "shim/spec/seccomp_profile.h"

namespace berth::security {
namespace {

using spec::SeccompAction;
using spec::SeccompOperator;

uint32_t ActionValue(SeccompAction action, std::optional<uint32_t> errno_value) {
  switch (action) {
    case SeccompAction::kKillThread:
      return SCMP_ACT_KILL_THREAD;
    case SeccompAction::kKillProcess:
      return SCMP_ACT_KILL_PROCESS;
    case SeccompAction::kTrap:
      return SCMP_ACT_TRAP;
    case SeccompAction::kErrno:
      return SCMP_ACT_ERRNO(errno_value.value_or(EPERM));
    case SeccompAction::kTrace:
      return SCMP_ACT_TRACE(errno_value.value_or(EPERM));
    case SeccompAction::kAllow:
      return SCMP_ACT_ALLOW;
    case SeccompAction::kLog:
      return SCMP_ACT_LOG;
    case SeccompAction::kNotify:
      return SCMP_ACT_NOTIFY;
  }
  return SCMP_ACT_KILL_PROCESS;
}

enum scmp_compare OperatorValue(SeccompOperator op) {
  switch (op) {
    case SeccompOperator::kNotEqual:
      return SCMP_CMP_NE;
    case SeccompOperator::kLess:
      return SCMP_CMP_LT;
    case SeccompOperator::kLessOrEqual:
      return SCMP_CMP_LE;
    case SeccompOperator::kEqual:
      return SCMP_CMP_EQ;
    case SeccompOperator::kGreaterOrEqual:
      return SCMP_CMP_GE;
    case SeccompOperator::kGreater:
      return SCMP_CMP_GT;
    case SeccompOperator::kMaskedEqual:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

struct scmp_arg_cmp Compare(const spec::SeccompArgument& argument) {
  struct scmp_arg_cmp compare;
  compare.arg = argument.index;
  compare.op = OperatorValue(argument.op);
  compare.datum_a = argument.value;
  compare.datum_b = argument.value_two;
  return compare;
}

absl::Status RuleError(int error, const std::string& name, size_t index) {
  return Annotate(ErrnoStatus(-error, "add seccomp rule for", name),
                  absl::StrCat("$.linux.seccomp.syscalls[", index, "]"));
}

// libseccomp joins conditions on different arguments by AND. Two on the same argument are meant as
// alternatives, each a rule of its own.
absl::Status AddConditions(scmp_filter_ctx context, uint32_t action, int number,
                           const std::vector<spec::SeccompArgument>& arguments) {
  bool repeated = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    for (size_t j = 0; j < i; ++j) repeated |= arguments[i].index == arguments[j].index;
  }
  std::vector<struct scmp_arg_cmp> compares;
  for (const spec::SeccompArgument& argument : arguments) compares.push_back(Compare(argument));
  if (!repeated) {
    const int error = ::seccomp_rule_add_array(
        context, action, number, static_cast<unsigned>(compares.size()), compares.data());
    return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, "seccomp_rule_add");
  }
  for (const struct scmp_arg_cmp& compare : compares) {
    const int error = ::seccomp_rule_add_array(context, action, number, 1, &compare);
    if (error != 0) return ErrnoStatus(-error, "seccomp_rule_add");
  }
  return absl::OkStatus();
}

absl::Status AddRules(scmp_filter_ctx context, const spec::SeccompProfile& profile) {
  const uint32_t default_action = ActionValue(profile.default_action, profile.default_errno);
  for (size_t index = 0; index < profile.rules.size(); ++index) {
    const spec::SeccompRule& rule = profile.rules[index];
    const uint32_t action = ActionValue(rule.action, rule.errno_value);
    // The same as the default: libseccomp refuses such a rule, and it would change nothing.
    if (action == default_action) continue;
    for (const std::string& name : rule.names) {
      const int number = ::seccomp_syscall_resolve_name(name.c_str());
      // Profiles name calls of other architectures and of newer kernels.
      if (number == __NR_SCMP_ERROR) continue;
      absl::Status status = AddConditions(context, action, number, rule.arguments);
      if (!status.ok()) return RuleError(-ErrnoOf(status), name, index);
    }
  }
  return absl::OkStatus();
}

absl::Status AddArchitectures(scmp_filter_ctx context, const spec::SeccompProfile& profile) {
  for (const std::string& name : profile.architectures) {
    absl::string_view bare = name;
    absl::ConsumePrefix(&bare, "SCMP_ARCH_");
    const uint32_t arch = ::seccomp_arch_resolve_name(absl::AsciiStrToLower(bare).c_str());
    if (arch == 0) {
      return absl::UnimplementedError(
          absl::StrCat("$.linux.seccomp.architectures: libseccomp does not know \"", name, "\""));
    }
    const int error = ::seccomp_arch_add(context, arch);
    if (error != 0 && error != -EEXIST) return ErrnoStatus(-error, "seccomp_arch_add", name);
  }
  return absl::OkStatus();
}

// The largest native system call number that the profile names.
int LargestNamed(const spec::SeccompProfile& profile) {
  int largest = -1;
  for (const spec::SeccompRule& rule : profile.rules) {
    for (const std::string& name : rule.names) {
      largest = std::max(largest, ::seccomp_syscall_resolve_name(name.c_str()));
    }
  }
  return largest;
}

// A C library tries new system calls and falls back on ENOSYS; a profile that is older than the
// kernel would say EPERM and break it. So calls beyond all that the profile names get ENOSYS,
// unless the profile chose its default errno itself.
Filter UnknownCallsPrologue(const spec::SeccompProfile& profile) {
  Filter prologue;
#if defined(__x86_64__) || defined(__aarch64__)
#if defined(__x86_64__)
  constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
  constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif
  constexpr uint32_t kX32Bit = 0x40000000;
  const bool denies = profile.default_action == SeccompAction::kErrno ||
                      profile.default_action == SeccompAction::kKillThread ||
                      profile.default_action == SeccompAction::kKillProcess ||
                      profile.default_action == SeccompAction::kTrap;
  const int largest = LargestNamed(profile);
  if (!denies || profile.default_errno || largest < 0) return prologue;
  prologue = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(largest), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
#endif
  return prologue;
}

constexpr uint32_t kWaitKillable = 1u << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

uint32_t FlagBits(const spec::SeccompProfile& profile) {
  uint32_t bits = 0;
  for (const std::string& name : profile.flags) {
    if (name == "SECCOMP_FILTER_FLAG_TSYNC") bits |= SECCOMP_FILTER_FLAG_TSYNC;
    if (name == "SECCOMP_FILTER_FLAG_LOG") bits |= SECCOMP_FILTER_FLAG_LOG;
    if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") bits |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") bits |= kWaitKillable;
  }
  for (const spec::SeccompRule& rule : profile.rules) {
    if (rule.action == SeccompAction::kNotify) bits |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  }
  // It speaks of notifications, and the kernel refuses it in a filter that sends none.
  if ((bits & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) bits &= ~kWaitKillable;
  return bits;
}

}  // namespace

absl::Status CompileSeccomp(const std::string& json, BorrowedFd out) {
  BERTH_ASSIGN_OR_RETURN(const spec::SeccompProfile profile, spec::ParseSeccomp(json));
  if (profile.default_action == SeccompAction::kNotify) {
    return absl::InvalidArgumentError(
        "$.linux.seccomp.defaultAction: SCMP_ACT_NOTIFY as the default would wait for ever");
  }
  scmp_filter_ctx context =
      ::seccomp_init(ActionValue(profile.default_action, profile.default_errno));
  if (context == nullptr) {
    return absl::UnimplementedError(
        "$.linux.seccomp.defaultAction: libseccomp or the kernel lacks this action");
  }
  const absl::Cleanup release = [context] { ::seccomp_release(context); };
  // A call by an architecture that is not listed gets the default action, not libseccomp's kill.
  ::seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH,
                     ActionValue(profile.default_action, profile.default_errno));
  ::seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0);
  // A binary tree instead of a list: long profiles cost every system call of the container.
  ::seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  BERTH_RETURN_IF_ERROR(AddArchitectures(context, profile));
  BERTH_RETURN_IF_ERROR(AddRules(context, profile));

  const UniqueFd scratch(::memfd_create("berth-seccomp", MFD_CLOEXEC));
  if (!scratch.valid()) return ErrnoStatus(errno, "memfd_create");
  const int error = ::seccomp_export_bpf(context, scratch.get());
  if (error != 0) return ErrnoStatus(-error, "compile the seccomp profile");
  if (::lseek(scratch.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "lseek");
  BERTH_ASSIGN_OR_RETURN(const std::string body, ReadAll(scratch, 1u << 22));

  Filter filter = UnknownCallsPrologue(profile);
  const size_t prologue_size = filter.size();
  filter.resize(prologue_size + body.size() / sizeof(struct sock_filter));
  ::memcpy(filter.data() + prologue_size, body.data(),
           (filter.size() - prologue_size) * sizeof(struct sock_filter));
  std::optional<Filter> special = Specialize(filter);
  if (special && special->size() < filter.size()) filter = *std::move(special);
  if (filter.size() > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(
        absl::StrCat("$.linux.seccomp: the compiled profile has ", filter.size(),
                     " instructions; the kernel takes ", BPF_MAXINSNS));
  }
  SeccompHeader header = {};
  ::memcpy(header.magic, "BERTHSC1", sizeof(header.magic));
  header.flags = FlagBits(profile);
  header.count = static_cast<uint32_t>(filter.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(reinterpret_cast<const char*>(filter.data()),
               filter.size() * sizeof(struct sock_filter));
  return WriteAll(out, bytes);
}

}  // namespace berth::security
