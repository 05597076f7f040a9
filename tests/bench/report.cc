#include "tests/bench/report.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::bench {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson ToJson(const Samples& samples) {
  return {{"count", samples.count()},
          {"p10", samples.Percentile(0.10)},
          {"p50", samples.Percentile(0.50)},
          {"p90", samples.Percentile(0.90)},
          {"p99", samples.Percentile(0.99)}};
}

std::string Cell(const Samples& samples, double fraction) {
  if (samples.count() == 0) return "-";
  const double value = samples.Percentile(fraction);
  return value < 100 ? absl::StrFormat("%.2f", value) : absl::StrFormat("%.0f", value);
}

std::string TargetText(const Measure& measure) {
  const double value = measure.target.value;
  switch (measure.target.of) {
    case Target::Of::kNone:
      return "";
    case Target::Of::kRatioAtLeast:
      return absl::StrCat(">= ", value, "x");
    case Target::Of::kRatioAtMost:
      return absl::StrCat("<= ", value, "x");
    case Target::Of::kMedianAtMost:
      return absl::StrCat("<= ", value, " ", measure.unit);
  }
  return "";
}

}  // namespace

void Report::AddHeader(absl::string_view name, absl::string_view value) {
  header_.push_back({std::string(name), std::string(value)});
}

const Measure* Report::Find(absl::string_view name) const {
  for (const Measure& measure : measures_) {
    if (measure.name == name) return &measure;
  }
  return nullptr;
}

std::string Report::Table() const {
  std::string out;
  for (const HeaderLine& line : header_) {
    absl::StrAppendFormat(&out, "%-12s %s\n", line.name, line.value);
  }
  absl::StrAppendFormat(&out, "\n%-34s %-5s %9s %9s  %9s %9s  %7s %15s  %s\n", "", "", "berthd p50",
                        "p99", "peer p50", "p99", "ratio", "(p10-p90)", "target");
  for (const Measure& measure : measures_) {
    std::string ratio = "-";
    std::string spread;
    if (measure.ratios.count() > 0) {
      ratio = absl::StrFormat("%.2fx", measure.Ratio(0.5));
      spread = absl::StrFormat("(%.2f-%.2f)", measure.Ratio(0.1), measure.Ratio(0.9));
    }
    absl::StrAppendFormat(&out, "%-34s %-5s %9s %9s  %9s %9s  %7s %15s  %s%s\n", measure.name,
                          measure.unit, Cell(measure.ours, 0.5), Cell(measure.ours, 0.99),
                          Cell(measure.peers, 0.5), Cell(measure.peers, 0.99), ratio, spread,
                          TargetText(measure), measure.Reached() ? "" : "  MISSED");
  }
  return out;
}

std::string Report::Json() const {
  OrderedJson report = {{"header", OrderedJson::object()}, {"measures", OrderedJson::array()}};
  for (const HeaderLine& line : header_) report["header"][line.name] = line.value;
  for (const Measure& measure : measures_) {
    report["measures"].push_back({{"name", measure.name},
                                  {"unit", measure.unit},
                                  {"peer", measure.peer},
                                  {"berthd", ToJson(measure.ours)},
                                  {"peers", ToJson(measure.peers)},
                                  {"ratio", ToJson(measure.ratios)},
                                  {"target", TargetText(measure)},
                                  {"reached", measure.Reached()}});
  }
  return report.dump(2) + "\n";
}

std::vector<std::string> Report::Missed() const {
  std::vector<std::string> missed;
  for (const Measure& measure : measures_) {
    if (!measure.Reached()) missed.push_back(measure.name);
  }
  return missed;
}

}  // namespace berth::bench
