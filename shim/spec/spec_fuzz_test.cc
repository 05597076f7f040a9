// A short run of the fuzzing entry: mutations of a rich specification, the same ones every time.
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "shim/spec/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace berth::spec {
namespace {

constexpr char kSeed[] =
    R"({"ociVersion":"1.0.2","process":{"terminal":true,"consoleSize":{"height":1,
"width":2},"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},"args":["a\u00e9\n"],"env":["A=b"],
"cwd":"/","capabilities":{"bounding":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":2}],
"oomScoreAdj":5,"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":3}},"root":{"path":"r"},"mounts":[
{"destination":"/p","type":"bind","source":"/x","options":["rbind","rro","idmap"],"uidMappings":[
{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,"hostID":1,"size":2}]}],"hooks":
{"poststop":[{"path":"/h","timeout":3}]},"annotations":{"a":"b"},"linux":{"namespaces":[{"type":"mount"},
{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,
"hostID":1,"size":2}],"devices":[{"path":"/d","type":"c","major":1,"minor":3}],"resources":{"memory":
{"limit":-1},"unified":{"a":"b"},"blockIO":{"weightDevice":[{"major":1,"minor":2,"weight":3}]}},"seccomp":
{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":
0,"value":1,"op":"SCMP_CMP_EQ"}]}]},"maskedPaths":["/m"],"sysctl":{"user.max_user_namespaces":"1"}}})";

TEST(SpecFuzzTest, SurvivesMutations) {
  ASSERT_TRUE(ParseSpec(kSeed).ok()) << ParseSpec(kSeed).status();
  std::mt19937 random(12345);
  static constexpr char kBytes[] = "{}[],:\"\\u0-9.eEtfn \x00\x80\xff";
  for (int round = 0; round < 5000; ++round) {
    std::string text = kSeed;
    const int changes = 1 + static_cast<int>(random() % 6);
    for (int i = 0; i < changes; ++i) {
      const size_t at = random() % text.size();
      const char byte = kBytes[random() % (sizeof(kBytes) - 1)];
      switch (random() % 4) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        case 2:
          text.erase(at, 1 + random() % 20);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
      }
      if (text.empty()) text = "x";
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
}

}  // namespace
}  // namespace berth::spec
