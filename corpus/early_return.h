// Early return on a bad absl::Status, for the .cc files of this room (corpus/
// includes nothing of the house, and Debian 12's Abseil has no such macros).
// Never include it in a header.
#ifndef ISOFLOP_CORPUS_EARLY_RETURN_H_
#define ISOFLOP_CORPUS_EARLY_RETURN_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns `expr`'s status from the enclosing function unless it is OK.
#define ISOFLOP_CORPUS_RETURN_IF_ERROR(expr)           \
  do {                                                 \
    ::absl::Status isoflop_status_ = (expr);           \
    if (!isoflop_status_.ok()) return isoflop_status_; \
  } while (false)

#define ISOFLOP_CORPUS_CONCAT_INNER_(a, b) a##b
#define ISOFLOP_CORPUS_CONCAT_(a, b) ISOFLOP_CORPUS_CONCAT_INNER_(a, b)

// ISOFLOP_CORPUS_ASSIGN_OR_RETURN(auto shard, TokenShard::Map(path));
#define ISOFLOP_CORPUS_ASSIGN_OR_RETURN(lhs, expr)                                         \
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN_IMPL_(ISOFLOP_CORPUS_CONCAT_(isoflop_or_, __LINE__), lhs, \
                                        expr)
#define ISOFLOP_CORPUS_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                          \
  if (!tmp.ok()) return std::move(tmp).status();              \
  lhs = std::move(tmp).value()

#endif  // ISOFLOP_CORPUS_EARLY_RETURN_H_
