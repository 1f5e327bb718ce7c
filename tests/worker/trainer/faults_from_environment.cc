// Faults of a test build of isoflop-trainer: ISOFLOP_FAULT is a list of
//
//   NAME@PLACE[:STEP][,rank:R]     oom@step:5,rank:1   nan@step:3   oom@probe
//
// with `;` between them. Without a step: the first time; without a rank: on all.
// Each happens once in a process.
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "study/status_macros.h"
#include "worker/trainer/faults.h"

namespace isoflop {
namespace {

struct Fault {
  std::string name, place;
  int64_t step = -1;  // -1: any
  int64_t rank = -1;
  bool happened = false;
};

std::vector<Fault> ReadFaults() {
  std::vector<Fault> faults;
  const char* text = std::getenv("ISOFLOP_FAULT");
  if (text == nullptr) return faults;
  for (const std::string& one : std::vector<std::string>(absl::StrSplit(text, ';', absl::SkipEmpty()))) {
    Fault fault;
    const std::vector<std::string> parts = absl::StrSplit(one, ',');
    const std::vector<std::string> name_place = absl::StrSplit(parts[0], '@');
    ISOFLOP_CHECK(name_place.size() == 2 && parts.size() <= 2, one);
    const std::vector<std::string> place_step = absl::StrSplit(name_place[1], ':');
    fault.name = name_place[0];
    fault.place = place_step[0];
    ISOFLOP_CHECK(place_step.size() == 1 || absl::SimpleAtoi(place_step[1], &fault.step), one);
    ISOFLOP_CHECK(parts.size() == 1 || (parts[1].rfind("rank:", 0) == 0 && absl::SimpleAtoi(parts[1].substr(5), &fault.rank)), one);
    faults.push_back(fault);
  }
  return faults;
}

}  // namespace

std::string FaultDue(const std::string& place, int64_t step, int rank) {
  static std::vector<Fault> faults = ReadFaults();
  for (Fault& fault : faults) {
    if (fault.happened || fault.place != place) continue;
    if ((fault.step >= 0 && fault.step != step) || (fault.rank >= 0 && fault.rank != rank)) continue;
    fault.happened = true;
    return fault.name;
  }
  return "";
}

}  // namespace isoflop
