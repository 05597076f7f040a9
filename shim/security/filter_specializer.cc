#include "shim/security/filter_specializer.h"

#include <stddef.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace berth::security {
namespace {

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint16_t kGoto = BPF_JMP | BPF_JA;
constexpr uint32_t kNumber = offsetof(struct seccomp_data, nr);
constexpr uint32_t kArchitecture = offsetof(struct seccomp_data, arch);
constexpr size_t kNearest = 255;  // what a conditional jump passes over at the most

bool IsConditional(uint16_t code) {
  return code == (BPF_JMP | BPF_JEQ | BPF_K) || code == (BPF_JMP | BPF_JGT | BPF_K) ||
         code == (BPF_JMP | BPF_JGE | BPF_K) || code == (BPF_JMP | BPF_JSET | BPF_K);
}

bool Holds(uint16_t code, uint32_t left, uint32_t right) {
  switch (code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
      return left == right;
    case BPF_JMP | BPF_JGT | BPF_K:
      return left > right;
    case BPF_JMP | BPF_JGE | BPF_K:
      return left >= right;
    default:
      return (left & right) != 0;
  }
}

// Only what libseccomp writes, and jumps that stay inside.
bool IsUnderstood(const Filter& filter) {
  for (size_t at = 0; at < filter.size(); ++at) {
    const struct sock_filter& instruction = filter[at];
    const size_t left = filter.size() - at - 1;
    if (instruction.code == kReturn) continue;
    if (left == 0) return false;
    if (instruction.code == kLoad) {
      if (instruction.k % 4 != 0 || instruction.k >= sizeof(struct seccomp_data)) return false;
    } else if (instruction.code == kGoto) {
      if (instruction.k >= left) return false;
    } else if (IsConditional(instruction.code)) {
      if (std::max(instruction.jt, instruction.jf) >= left) return false;
    } else if (instruction.code != kAnd) {
      return false;
    }
  }
  return !filter.empty();
}

// A part of a filter that knows architecture and number: an answer, or what is done with the
// arguments. Equal parts are one, found by their content.
struct Node {
  uint16_t code = kReturn;
  uint32_t k = 0;
  int next = -1;  // or where the condition holds
  int otherwise = -1;

  bool operator<(const Node& other) const {
    return std::tie(code, k, next, otherwise) <
           std::tie(other.code, other.k, other.next, other.otherwise);
  }
};

class Nodes {
 public:
  int Of(const Node& node) {
    // A choice between equals is none.
    if (IsConditional(node.code) && node.next == node.otherwise) return node.next;
    if (node.code == kLoad || node.code == kAnd) {
      // Nobody asks for what is loaded here.
      const uint16_t next = nodes_[static_cast<size_t>(node.next)].code;
      if (next == kReturn || next == kLoad) return node.next;
    }
    const auto [found, is_new] = numbers_.emplace(node, static_cast<int>(nodes_.size()));
    if (is_new) nodes_.push_back(node);
    return found->second;
  }
  const Node& operator[](int number) const { return nodes_[static_cast<size_t>(number)]; }

 private:
  std::vector<Node> nodes_;
  std::map<Node, int> numbers_;
};

// What is left of a filter for one architecture and number.
class Residue {
 public:
  Residue(const Filter& filter, Nodes& nodes, uint32_t architecture, uint32_t number)
      : filter_(filter), nodes_(nodes), architecture_(architecture), number_(number) {}

  int Whole() { return From(0, 0); }

 private:
  // `accumulator`: its value where that is known.
  int From(size_t at, std::optional<uint32_t> accumulator) {
    const auto key = std::make_pair(at, accumulator);
    if (auto known = made_.find(key); known != made_.end()) return known->second;
    const int made = Make(at, accumulator);
    made_.emplace(key, made);
    return made;
  }

  int Make(size_t at, std::optional<uint32_t> accumulator) {
    const struct sock_filter& now = filter_[at];
    if (now.code == kReturn) return nodes_.Of({kReturn, now.k, -1, -1});
    if (now.code == kGoto) return From(at + 1 + now.k, accumulator);
    if (now.code == kLoad && now.k == kNumber) return From(at + 1, number_);
    if (now.code == kLoad && now.k == kArchitecture) return From(at + 1, architecture_);
    if (now.code == kLoad) {
      return nodes_.Of({kLoad, now.k, From(at + 1, std::nullopt), -1});
    }
    if (now.code == kAnd) {
      if (accumulator) return From(at + 1, *accumulator & now.k);
      return nodes_.Of({kAnd, now.k, From(at + 1, std::nullopt), -1});
    }
    const size_t yes = at + 1 + now.jt;
    const size_t no = at + 1 + now.jf;
    if (accumulator) return From(Holds(now.code, *accumulator, now.k) ? yes : no, accumulator);
    const int if_yes = From(yes, accumulator);
    return nodes_.Of({now.code, now.k, if_yes, From(no, accumulator)});
  }

  const Filter& filter_;
  Nodes& nodes_;
  const uint32_t architecture_;
  const uint32_t number_;
  std::map<std::pair<size_t, std::optional<uint32_t>>, int> made_;
};

// Where the outcome of the filter's comparisons with number and architecture may change: each value
// begins a range in which it does not. Nothing where it changes otherwise (bits are asked for).
struct Bounds {
  std::set<uint32_t> architectures = {0};
  std::set<uint32_t> numbers = {0};
};

class BoundsFinder {
 public:
  explicit BoundsFinder(const Filter& filter) : filter_(filter) {}

  std::optional<Bounds> Find() {
    Visit(0, kOther);
    if (!clear_) return std::nullopt;
    return std::move(bounds_);
  }

 private:
  // The accumulator's content is said by the offset that it was loaded from.
  static constexpr uint32_t kOther = std::numeric_limits<uint32_t>::max();

  void Visit(size_t at, uint32_t content) {
    if (!visited_.emplace(at, content).second) return;
    const struct sock_filter& now = filter_[at];
    const bool is_known = content == kNumber || content == kArchitecture;
    if (now.code == kReturn) return;
    if (now.code == kGoto) return Visit(at + 1 + now.k, content);
    if (now.code == kLoad) return Visit(at + 1, now.k);
    if (now.code == kAnd) {
      clear_ = clear_ && !is_known;
      return Visit(at + 1, content);
    }
    if (is_known) {
      clear_ = clear_ && now.code != (BPF_JMP | BPF_JSET | BPF_K);
      std::set<uint32_t>& bounds = content == kNumber ? bounds_.numbers : bounds_.architectures;
      bounds.insert(now.k);
      if (now.k != std::numeric_limits<uint32_t>::max()) bounds.insert(now.k + 1);
    }
    Visit(at + 1 + now.jt, content);
    Visit(at + 1 + now.jf, content);
  }

  const Filter& filter_;
  std::set<std::pair<size_t, uint32_t>> visited_;
  Bounds bounds_;
  bool clear_ = true;
};

// The first value of each range, and what it leads to.
using Ranges = std::vector<std::pair<uint32_t, int>>;

void Extend(Ranges& ranges, uint32_t first, int leads_to) {
  if (ranges.empty() || ranges.back().second != leads_to) ranges.emplace_back(first, leads_to);
}

// Writes from the end, as all jumps go forward.
class Writer {
 public:
  explicit Writer(const Nodes& nodes) : nodes_(nodes) {}

  // A place is how many instructions stand from there to the end.
  using Place = size_t;

  Place Write(int number) {
    if (auto written = written_.find(number); written != written_.end()) return written->second;
    const Node& node = nodes_[number];
    Place place;
    if (node.code == kReturn) {
      place = Put(BPF_STMT(kReturn, node.k));
    } else if (IsConditional(node.code)) {
      const Place otherwise = Write(node.otherwise);
      const Place next = Write(node.next);
      place = Branch(node.code, node.k, next, otherwise);
    } else {
      const Place next = Write(node.next);
      Reach(next);
      place = Put(BPF_STMT(node.code, node.k));
    }
    written_.emplace(number, place);
    return place;
  }

  // The choice of a range by the accumulator.
  template <typename WriteTarget>
  Place Choose(const Ranges& ranges, WriteTarget write_target) {
    return ChooseAmong(ranges, 0, ranges.size(), write_target);
  }

  Place Put(struct sock_filter instruction) {
    backwards_.push_back(instruction);
    return backwards_.size();
  }

  // What is written next goes on at `place`.
  void Reach(Place place) {
    if (place != backwards_.size()) Put(Detour(place));
  }

  Filter Take() {
    std::reverse(backwards_.begin(), backwards_.end());
    return std::move(backwards_);
  }

 private:
  template <typename WriteTarget>
  Place ChooseAmong(const Ranges& ranges, size_t begin, size_t end, WriteTarget write_target) {
    if (end - begin == 1) return write_target(ranges[begin].second);
    const size_t middle = (begin + end) / 2;
    const Place above = ChooseAmong(ranges, middle, end, write_target);
    const Place below = ChooseAmong(ranges, begin, middle, write_target);
    return Branch(BPF_JMP | BPF_JGE | BPF_K, ranges[middle].first, above, below);
  }

  // An answer is repeated, to others there is a way.
  struct sock_filter Detour(Place place) const {
    const struct sock_filter& target = backwards_[place - 1];
    if (target.code == kReturn) return target;
    return BPF_STMT(kGoto, static_cast<uint32_t>(backwards_.size() - place));
  }

  Place Branch(uint16_t code, uint32_t k, Place yes, Place no) {
    // One detour makes the other's way longer by one.
    if (backwards_.size() - no > kNearest - 1) no = Put(Detour(no));
    if (backwards_.size() - yes > kNearest) yes = Put(Detour(yes));
    const auto jt = static_cast<uint8_t>(backwards_.size() - yes);
    const auto jf = static_cast<uint8_t>(backwards_.size() - no);
    return Put(BPF_JUMP(code, k, jt, jf));
  }

  const Nodes& nodes_;
  Filter backwards_;
  std::map<int, Place> written_;
};

// Whether both answer the same at both ends of each range, with arguments of which the filter
// knows some.
bool Agree(const Filter& one, const Filter& other, const Bounds& bounds) {
  std::vector<uint32_t> words = {0, 1, std::numeric_limits<uint32_t>::max()};
  for (const struct sock_filter& instruction : one) {
    if (IsConditional(instruction.code)) words.push_back(instruction.k);
  }
  size_t next_word = 0;
  for (uint32_t architecture : bounds.architectures) {
    for (uint32_t first : bounds.numbers) {
      for (uint32_t number : {first, first - 1}) {
        struct seccomp_data data = {};
        data.nr = static_cast<int>(number);
        data.arch = architecture;
        for (auto& argument : data.args) {
          const uint64_t high = words[next_word++ % words.size()];
          argument = next_word % 3 == 0 ? high << 32 : words[(next_word * 7) % words.size()];
        }
        if (RunFilter(one, data) != RunFilter(other, data)) return false;
      }
    }
  }
  return true;
}

}  // namespace

std::optional<uint32_t> RunFilter(const Filter& filter, const struct seccomp_data& data) {
  uint32_t accumulator = 0;
  for (size_t at = 0; at < filter.size(); ++at) {
    const struct sock_filter& now = filter[at];
    if (now.code == kReturn) return now.k;
    if (now.code == kGoto) {
      at += now.k;
    } else if (now.code == kAnd) {
      accumulator &= now.k;
    } else if (IsConditional(now.code)) {
      at += Holds(now.code, accumulator, now.k) ? now.jt : now.jf;
    } else if (now.code == kLoad && now.k <= sizeof(data) - sizeof(accumulator)) {
      ::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + now.k, sizeof(accumulator));
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<Filter> Specialize(const Filter& filter) {
  if (!IsUnderstood(filter)) return std::nullopt;
  const std::optional<Bounds> bounds = BoundsFinder(filter).Find();
  if (!bounds) return std::nullopt;
  Nodes nodes;
  std::vector<Ranges> by_number;  // those that differ
  Ranges by_architecture;         // to the index of one of them
  for (uint32_t architecture : bounds->architectures) {
    Ranges ranges;
    for (uint32_t number : bounds->numbers) {
      Extend(ranges, number, Residue(filter, nodes, architecture, number).Whole());
    }
    auto same = std::find(by_number.begin(), by_number.end(), ranges);
    Extend(by_architecture, architecture, static_cast<int>(same - by_number.begin()));
    if (same == by_number.end()) by_number.push_back(std::move(ranges));
  }
  Writer writer(nodes);
  std::map<int, Writer::Place> written;
  const auto write_ranges = [&](int index) {
    if (auto known = written.find(index); known != written.end()) return known->second;
    const Ranges& ranges = by_number[static_cast<size_t>(index)];
    Writer::Place place = writer.Choose(ranges, [&](int node) { return writer.Write(node); });
    if (ranges.size() > 1) {
      writer.Reach(place);
      place = writer.Put(BPF_STMT(kLoad, kNumber));
    }
    written.emplace(index, place);
    return place;
  };
  const Writer::Place chosen = writer.Choose(by_architecture, write_ranges);
  writer.Reach(chosen);
  writer.Put(BPF_STMT(kLoad, kArchitecture));
  Filter result = writer.Take();
  if (!Agree(filter, result, *bounds)) return std::nullopt;
  return result;
}

}  // namespace berth::security
