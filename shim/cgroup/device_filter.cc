#include "shim/cgroup/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::cgroup {
namespace {

long Bpf(int command, union bpf_attr& attr) {
  return ::syscall(SYS_bpf, command, &attr, sizeof(attr));
}

spec::DeviceRule Allow(char type, std::optional<uint32_t> major, std::optional<uint32_t> minor,
                       absl::string_view access) {
  spec::DeviceRule rule;
  rule.allow = true;
  rule.type = type;
  rule.major = major;
  rule.minor = minor;
  rule.read = access == "rwm";
  rule.write = access == "rwm";
  rule.mknod = true;
  return rule;
}

// Registers: r2 device type, r3 access, r4 major, r5 minor; r1 is scratch once they are loaded.
bpf_insn Load(uint8_t reg, int16_t offset) {
  return {BPF_LDX | BPF_W | BPF_MEM, reg, BPF_REG_1, offset, 0};
}
bpf_insn Alu(uint8_t op, uint8_t reg, int32_t value) {
  return {static_cast<uint8_t>(BPF_ALU | op | BPF_K), reg, 0, 0, value};
}
bpf_insn Move(uint8_t to, uint8_t from) { return {BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0}; }
bpf_insn JumpIfNot(uint8_t reg, int32_t value, int16_t offset) {
  return {BPF_JMP | BPF_JNE | BPF_K, reg, 0, offset, value};
}

int AccessBits(const spec::DeviceRule& rule) {
  return (rule.mknod ? BPF_DEVCG_ACC_MKNOD : 0) | (rule.read ? BPF_DEVCG_ACC_READ : 0) |
         (rule.write ? BPF_DEVCG_ACC_WRITE : 0);
}

// One rule: checks that jump behind it when they fail, then the verdict. False when there was
// nothing to check: what would follow is never reached, which the verifier refuses.
bool AppendRule(const spec::DeviceRule& rule, std::vector<bpf_insn>& program) {
  std::vector<bpf_insn> block;
  if (rule.type != 'a') {
    block.push_back(
        JumpIfNot(BPF_REG_2, rule.type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK, 0));
  }
  constexpr int kAll = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  const int access = AccessBits(rule);
  if (access != kAll) {
    block.push_back(Move(BPF_REG_1, BPF_REG_3));
    if (rule.allow) {
      // Every access that is asked for must be granted here.
      block.push_back(Alu(BPF_AND, BPF_REG_1, kAll & ~access));
      block.push_back(JumpIfNot(BPF_REG_1, 0, 0));
    } else {
      block.push_back(Alu(BPF_AND, BPF_REG_1, access));
      block.push_back({BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0});
    }
  }
  if (rule.major) block.push_back(JumpIfNot(BPF_REG_4, static_cast<int32_t>(*rule.major), 0));
  if (rule.minor) block.push_back(JumpIfNot(BPF_REG_5, static_cast<int32_t>(*rule.minor), 0));
  const bool conditional = !block.empty();
  block.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, rule.allow ? 1 : 0});
  block.push_back({BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
  for (size_t i = 0; i < block.size(); ++i) {
    if (BPF_CLASS(block[i].code) == BPF_JMP && BPF_OP(block[i].code) != BPF_EXIT) {
      block[i].off = static_cast<int16_t>(block.size() - i - 1);
    }
  }
  program.insert(program.end(), block.begin(), block.end());
  return conditional;
}

absl::StatusOr<UniqueFd> LoadProgram(const std::vector<bpf_insn>& program) {
  union bpf_attr attr;
  ::memset(&attr, 0, sizeof(attr));
  static constexpr char kLicense[] = "Apache";
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uintptr_t>(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = reinterpret_cast<uintptr_t>(kLicense);
  ::memcpy(attr.prog_name, "berth_devices", sizeof("berth_devices"));
  const long fd = Bpf(BPF_PROG_LOAD, attr);  // bpf(2) descriptors are CLOEXEC
  if (fd < 0) return ErrnoStatus(errno, "load the device filter (bpf)");
  return UniqueFd(static_cast<int>(fd));
}

// The one program attached to `directory`, or invalid: an update replaces it in one step.
UniqueFd AttachedProgram(int directory) {
  union bpf_attr attr;
  ::memset(&attr, 0, sizeof(attr));
  uint32_t ids[2] = {};
  attr.query.target_fd = static_cast<uint32_t>(directory);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = reinterpret_cast<uintptr_t>(ids);
  attr.query.prog_cnt = 2;
  if (Bpf(BPF_PROG_QUERY, attr) != 0 || attr.query.prog_cnt != 1) return UniqueFd();
  ::memset(&attr, 0, sizeof(attr));
  attr.prog_id = ids[0];
  const long fd = Bpf(BPF_PROG_GET_FD_BY_ID, attr);
  return UniqueFd(fd < 0 ? -1 : static_cast<int>(fd));
}

}  // namespace

std::vector<spec::DeviceRule> WithDefaultDevices(const std::vector<spec::DeviceRule>& rules) {
  std::vector<spec::DeviceRule> all = rules;
  for (char type : {'c', 'b'}) all.push_back(Allow(type, std::nullopt, std::nullopt, "m"));
  for (uint32_t minor : {3, 5, 7, 8, 9}) all.push_back(Allow('c', 1, minor, "rwm"));
  for (uint32_t minor : {0, 1, 2}) all.push_back(Allow('c', 5, minor, "rwm"));
  all.push_back(Allow('c', 136, std::nullopt, "rwm"));
  return all;
}

std::string DeviceRuleText(const spec::DeviceRule& rule) {
  // v1 takes a bare "a" for everything, and the wildcard for a missing number.
  const std::string major = rule.major ? absl::StrCat(*rule.major) : "*";
  const std::string minor = rule.minor ? absl::StrCat(*rule.minor) : "*";
  return absl::StrCat(absl::string_view(&rule.type, 1), " ", major, ":", minor, " ",
                      rule.read ? "r" : "", rule.write ? "w" : "", rule.mknod ? "m" : "");
}

std::string RdmaLine(const spec::RdmaLimit& limit) {
  std::string line = limit.device;
  if (limit.handles) absl::StrAppend(&line, " hca_handle=", *limit.handles);
  if (limit.objects) absl::StrAppend(&line, " hca_object=", *limit.objects);
  return line;
}

std::vector<bpf_insn> CompileDeviceFilter(const std::vector<spec::DeviceRule>& rules) {
  std::vector<bpf_insn> program;
  program.push_back(Load(BPF_REG_2, 0));
  program.push_back(Move(BPF_REG_3, BPF_REG_2));
  program.push_back(Alu(BPF_AND, BPF_REG_2, 0xffff));
  program.push_back(Alu(BPF_RSH, BPF_REG_3, 16));
  program.push_back(Load(BPF_REG_4, 4));
  program.push_back(Load(BPF_REG_5, 8));
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (!AppendRule(*rule, program)) return program;
  }
  program.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0});
  program.push_back({BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
  return program;
}

absl::Status AttachDeviceFilter(BorrowedFd directory, const std::vector<spec::DeviceRule>& rules) {
  if (rules.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(UniqueFd program,
                         LoadProgram(CompileDeviceFilter(WithDefaultDevices(rules))));
  // Attaching needs a real descriptor of the directory, not an O_PATH one.
  BERTH_ASSIGN_OR_RETURN(UniqueFd target, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  const UniqueFd old = AttachedProgram(target.get());
  union bpf_attr attr;
  ::memset(&attr, 0, sizeof(attr));
  attr.target_fd = static_cast<uint32_t>(target.get());
  attr.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (old.valid()) {
    attr.attach_flags |= BPF_F_REPLACE;
    attr.replace_bpf_fd = static_cast<uint32_t>(old.get());
  }
  if (Bpf(BPF_PROG_ATTACH, attr) != 0) return ErrnoStatus(errno, "attach the device filter (bpf)");
  return absl::OkStatus();
}

}  // namespace berth::cgroup
