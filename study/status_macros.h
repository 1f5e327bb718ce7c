// Early return on a bad absl::Status, and the check that ends the process on
// a bug of ours. Nothing else: Debian 12's Abseil has neither.
#ifndef ISOFLOP_STUDY_STATUS_MACROS_H_
#define ISOFLOP_STUDY_STATUS_MACROS_H_

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns `expr`'s status from the enclosing function unless it is OK.
#define ISOFLOP_RETURN_IF_ERROR(expr)                     \
  do {                                                    \
    ::absl::Status isoflop_status_ = (expr);              \
    if (!isoflop_status_.ok()) return isoflop_status_;    \
  } while (false)

#define ISOFLOP_CONCAT_INNER_(a, b) a##b
#define ISOFLOP_CONCAT_(a, b) ISOFLOP_CONCAT_INNER_(a, b)

// ISOFLOP_ASSIGN_OR_RETURN(auto plan, PlanStudy(spec, facts));
#define ISOFLOP_ASSIGN_OR_RETURN(lhs, expr) \
  ISOFLOP_ASSIGN_OR_RETURN_IMPL_(ISOFLOP_CONCAT_(isoflop_or_, __LINE__), lhs, expr)
#define ISOFLOP_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) return std::move(tmp).status();       \
  lhs = std::move(tmp).value()

// A bug of ours: prints file, line, condition and `message` (a C string that
// holds the values), then aborts.
#define ISOFLOP_CHECK(condition, message)                                      \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", __FILE__,          \
                   __LINE__, #condition, ::isoflop::CheckText(message).c_str()); \
      std::abort();                                                            \
    }                                                                          \
  } while (false)

#include <string>

namespace isoflop {
inline std::string CheckText(std::string text) { return text; }
}  // namespace isoflop

#endif  // ISOFLOP_STUDY_STATUS_MACROS_H_
