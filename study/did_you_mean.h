// "Did you mean": the word among `candidates` that a person most likely meant.
#ifndef ISOFLOP_STUDY_DID_YOU_MEAN_H_
#define ISOFLOP_STUDY_DID_YOU_MEAN_H_

#include <optional>
#include <string>
#include <vector>

namespace isoflop {

// Returns the candidate nearest to `word` in edit distance (insertion,
// deletion, substitution, swap of neighbours; case costs nothing), the first
// of equals. Returns nullopt when none is within a third of the word's length
// (at least one edit, at most three).
std::optional<std::string> DidYouMean(const std::string& word, const std::vector<std::string>& candidates);

// ", did you mean 'model'?", or "" when there is none: to append to a message.
std::string DidYouMeanClause(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_DID_YOU_MEAN_H_
