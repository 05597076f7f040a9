#include "shim/security/filter_specializer.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <string>

#include "base/oci/seccomp_profile.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/unique_fd.h"
#include "gtest/gtest.h"
#include "shim/security/seccomp_program.h"

namespace berth::security {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;

std::string Contents(BorrowedFd fd) {
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
  auto bytes = ReadAll(fd, 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : "";
}

Filter ToFilter(const std::string& bytes, size_t from) {
  Filter filter((bytes.size() - from) / sizeof(struct sock_filter));
  ::memcpy(filter.data(), bytes.data() + from, filter.size() * sizeof(struct sock_filter));
  return filter;
}

// A profile of libseccomp's with random rules, and the values that they compare with.
class RandomProfile {
 public:
  explicit RandomProfile(uint32_t seed) : random_(seed) {
    context_ = ::seccomp_init(Below(2) == 0 ? SCMP_ACT_ERRNO(1) : SCMP_ACT_ALLOW);
    ::seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, Below(2) == 0 ? 2 : 1);
    ::seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(38));
    constexpr uint32_t kMore[] = {SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64};
    for (uint32_t architecture : kMore) {
      if (Below(2) == 0) ::seccomp_arch_add(context_, architecture);
    }
    const int rules = static_cast<int>(Below(200)) + 1;
    for (int i = 0; i < rules; ++i) AddRule();
  }
  ~RandomProfile() { ::seccomp_release(context_); }

  Filter Export() {
    const UniqueFd scratch(::memfd_create("profile", MFD_CLOEXEC));
    EXPECT_EQ(::seccomp_export_bpf(context_, scratch.get()), 0);
    return ToFilter(Contents(scratch), 0);
  }

  struct seccomp_data Call() {
    constexpr uint32_t kArchitectures[] = {
        AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_X86_64, 0, 0xffffffff};
    struct seccomp_data data = {};
    data.arch = kArchitectures[Below(6)];
    const uint32_t number = Below(8) == 0 ? static_cast<uint32_t>(random_()) : Below(480);
    data.nr = static_cast<int>(Below(5) == 0 ? number | kX32Bit : number);
    data.instruction_pointer = random_();
    for (auto& argument : data.args) {
      argument = values_[Below(static_cast<uint32_t>(values_.size()))];
      const uint32_t change = Below(6);
      if (change == 0) ++argument;
      if (change == 1) --argument;
      if (change == 2) argument ^= uint64_t{1} << Below(64);
    }
    return data;
  }

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  uint64_t Value() {
    const uint64_t small = Below(100);
    const uint64_t value = Below(3) == 0 ? small << 32 | Below(5) : small;
    values_.push_back(value);
    return value;
  }

  void AddRule() {
    constexpr uint32_t kActions[] = {SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1), SCMP_ACT_ERRNO(2),
                                     SCMP_ACT_LOG, SCMP_ACT_KILL_PROCESS};
    struct scmp_arg_cmp compares[2] = {};
    const unsigned count = Below(3) == 0 ? 1 + Below(2) : 0;
    for (unsigned i = 0; i < count; ++i) {
      compares[i].arg = i == 0 ? Below(3) : 3 + Below(3);
      compares[i].op = static_cast<enum scmp_compare>(SCMP_CMP_NE + static_cast<int>(Below(7)));
      compares[i].datum_a = Value();
      compares[i].datum_b = compares[i].op == SCMP_CMP_MASKED_EQ ? Value() : 0;
    }
    // Refused where it contradicts another, or says the default action.
    ::seccomp_rule_add_array(context_, kActions[Below(5)], static_cast<int>(Below(460)), count,
                             compares);
  }

  std::mt19937_64 random_;
  scmp_filter_ctx context_;
  std::vector<uint64_t> values_ = {0, 1, ~uint64_t{0}};
};

TEST(FilterSpecializerTest, AnswersAsLibseccompsFilterDoes) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    RandomProfile profile(seed);
    const Filter original = profile.Export();
    ASSERT_FALSE(original.empty());
    const std::optional<Filter> special = Specialize(original);
    ASSERT_TRUE(special) << "seed " << seed;
    for (int i = 0; i < 20000; ++i) {
      const struct seccomp_data call = profile.Call();
      const std::optional<uint32_t> expected = RunFilter(original, call);
      ASSERT_TRUE(expected);
      ASSERT_EQ(RunFilter(*special, call), expected)
          << "seed " << seed << " arch " << call.arch << " nr " << call.nr;
    }
  }
}

// Jumps beyond what an instruction can say.
TEST(FilterSpecializerTest, ReachesFarAnswers) {
  Filter filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  for (uint32_t number = 0; number < 1000; ++number) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number * 7 % 1001)));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const std::optional<Filter> special = Specialize(filter);
  ASSERT_TRUE(special);
  for (int number = -2; number < 1003; ++number) {
    struct seccomp_data call = {};
    call.nr = number;
    EXPECT_EQ(RunFilter(*special, call), RunFilter(filter, call)) << number;
  }
}

TEST(FilterSpecializerTest, DockersProfileBecomesShort) {
  const UniqueFd out(::memfd_create("profile", MFD_CLOEXEC));
  ASSERT_EQ(CompileSeccomp(oci::DefaultSeccompProfile({}).dump(), out), absl::OkStatus());
  const Filter filter = ToFilter(Contents(out), sizeof(SeccompHeader));
  EXPECT_LT(filter.size(), 350u);  // libseccomp's has 1,198
  const auto answer = [&](uint32_t architecture, long number, uint64_t first) {
    struct seccomp_data call = {};
    call.arch = architecture;
    call.nr = static_cast<int>(number);
    call.args[0] = first;
    return RunFilter(filter, call);
  };
#ifdef __x86_64__
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, SYS_read, 0), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, SYS_personality, 8), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, SYS_personality, 5), SECCOMP_RET_ERRNO | 1u);
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, SYS_mount, 0), SECCOMP_RET_ERRNO | 1u);
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, 900, 0), SECCOMP_RET_ERRNO | 1u);
  EXPECT_EQ(answer(AUDIT_ARCH_X86_64, kX32Bit + SYS_read, 0), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(AUDIT_ARCH_I386, 3, 0), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(AUDIT_ARCH_I386, 21 /* mount */, 0), SECCOMP_RET_ERRNO | 1u);
  EXPECT_EQ(answer(AUDIT_ARCH_ARM, 3, 0), SECCOMP_RET_ERRNO | 1u);
#endif
}

TEST(FilterSpecializerTest, LeavesAloneWhatItDoesNotUnderstand) {
  const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_filter number =
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  EXPECT_TRUE(Specialize({allow}));
  EXPECT_FALSE(Specialize({}));
  EXPECT_FALSE(Specialize({number}));  // runs off its end
  EXPECT_FALSE(Specialize({BPF_STMT(BPF_RET | BPF_A, 0)}));
  EXPECT_FALSE(Specialize({number, BPF_STMT(BPF_MISC | BPF_TAX, 0), allow}));
  EXPECT_FALSE(Specialize({BPF_STMT(BPF_JMP | BPF_JA, 1), allow}));
  EXPECT_FALSE(Specialize({BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), allow}));
  EXPECT_FALSE(Specialize({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), allow}));
  EXPECT_FALSE(Specialize({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), allow}));
  // By bits, the answer does not change at a number.
  EXPECT_FALSE(Specialize({number, BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1), allow, allow}));
}

}  // namespace
}  // namespace berth::security
