// A line of the table of required numbers and ours.
#ifndef ISOFLOP_TESTS_ANALYSIS_PUBLISHED_TABLE_H_
#define ISOFLOP_TESTS_ANALYSIS_PUBLISHED_TABLE_H_

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/analysis/test_data.h"

namespace isoflop {

// Prints required, ours, relative difference and what is allowed, and demands it.
inline void Demand(const char* id, const std::string& what, double required, double ours, double allowed) {
  static const bool printed_head = [] {
    std::printf("%-10s %-30s %-22s %-22s %-10s %s\n", "id", "quantity", "required", "ours", "difference", "allowed");
    return true;
  }();
  (void)printed_head;
  const double difference = RelativeDifference(ours, required);
  std::printf("%-10s %-30s %-22.13g %-22.13g %-10.1e %-8.0e %s\n", id, what.c_str(), required, ours, difference,
              allowed, difference <= allowed ? "ok" : "FAILED");
  EXPECT_LE(difference, allowed) << id << " " << what << ": " << ours << " for " << required;
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_PUBLISHED_TABLE_H_
