#include "study/did_you_mean.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

// Damerau's distance with swaps of neighbours only (optimal string alignment).
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_last, last, current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) current[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last = std::move(last);
    last = current;
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
  }
  return current[b.size()];
}

}  // namespace

std::optional<std::string> DidYouMean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string lower = absl::AsciiStrToLower(word);
  const size_t allowed = std::clamp<size_t>((word.size() + 2) / 3, 1, 3);
  std::optional<std::string> best;
  size_t best_distance = allowed + 1;
  for (const std::string& candidate : candidates) {
    const std::string lower_candidate = absl::AsciiStrToLower(candidate);
    const size_t longer = std::max(lower.size(), lower_candidate.size());
    const size_t shorter = std::min(lower.size(), lower_candidate.size());
    if (longer - shorter >= best_distance) continue;
    const size_t distance = EditDistance(lower, lower_candidate);
    // A replacement of every letter is no misspelling.
    if (distance < best_distance && distance < longer) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string DidYouMeanClause(const std::string& word, const std::vector<std::string>& candidates) {
  const std::optional<std::string> meant = DidYouMean(word, candidates);
  return meant ? absl::StrCat(", did you mean '", *meant, "'?") : "";
}

}  // namespace isoflop
