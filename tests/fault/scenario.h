// One thing that a client does step by step while somebody is killed, and what must hold
// afterwards.
//
// Invariant: a step is noted as attempted before its call and as acknowledged after a good answer,
// so what the client knows at the kill is exact. Thread-compatible: Run and Verify never overlap.
// Owned by the harness's main, one for each kill.
#ifndef BERTH_TESTS_FAULT_SCENARIO_H_
#define BERTH_TESTS_FAULT_SCENARIO_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/fault/fault_client.h"

namespace berth::fault {

// Who was killed; both is possible.
struct Victims {
  bool daemon = false;
  bool shim = false;
};

// What was found wrong, by kind.
struct Findings {
  std::vector<std::string> leaks;
  std::vector<std::string> lost_exits;
  std::vector<std::string> wrong_statuses;
  std::vector<std::string> lost_objects;  // acknowledged and gone, or neither usable nor gone
  size_t count() const {
    return leaks.size() + lost_exits.size() + wrong_statuses.size() + lost_objects.size();
  }
};

class Scenario {
 public:
  explicit Scenario(std::string id) : id_(std::move(id)) {}
  virtual ~Scenario() = default;
  virtual const char* kind() const = 0;

  // Goes on until the end or the first error.
  absl::Status Run(FaultClient& client);
  // After the kill, with its daemon gone or not: waits for what goes on beside the steps.
  virtual void Settle() {}
  // Removes everything that is left, by the API.
  virtual void Verify(FaultClient& client, Victims victims, Findings& findings) = 0;

  const std::string& id() const { return id_; }
  // The name of the step that was under way when the last run broke off, or "end".
  std::string under_way() const;

 protected:
  using Action = std::function<absl::Status(FaultClient&)>;
  void Add(absl::string_view name, Action action) {
    steps_.push_back({std::string(name), std::move(action)});
  }
  bool Attempted(absl::string_view name) const;
  bool Acknowledged(absl::string_view name) const;

 private:
  struct Step {
    std::string name;
    Action action;
    bool attempted = false;
    bool acknowledged = false;
  };
  const Step* Find(absl::string_view name) const;

  const std::string id_;
  std::vector<Step> steps_;
  const Step* under_way_ = nullptr;  // of the last run; null: it came to its end
};

// create, start, exec, pause, resume, kill, wait, delete of one container, whose shim becomes
// another program now and then.
std::unique_ptr<Scenario> MakeLifeScenario(std::string id, std::mt19937_64& random);
// import, unpack, commit of an image, and its collection.
std::unique_ptr<Scenario> MakeImageScenario(std::string id, std::mt19937_64& random);
// A writable layer's difference becomes a blob and a committed snapshot, which are collected.
std::unique_ptr<Scenario> MakeCommitScenario(std::string id, std::mt19937_64& random);

}  // namespace berth::fault

#endif  // BERTH_TESTS_FAULT_SCENARIO_H_
