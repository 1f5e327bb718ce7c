// A text that a person wrote, with the place of each key in it, and an error as
// a picture:
//
//   study.yaml:14:1: unknown key 'modle', did you mean 'model'?
//     modle: {ladder: cpu-bytes}
//     ^
//   cure: ...
#ifndef ISOFLOP_STUDY_SOURCE_TEXT_H_
#define ISOFLOP_STUDY_SOURCE_TEXT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace isoflop {

// Counted from 1; line 0: unknown.
struct Mark {
  int line = 0;
  int column = 0;
  int override_number = 0;  // 0: in the text; k: in the k-th of `overrides`
};

struct SourceText {
  std::string name;  // "study.yaml"
  std::string text;
  std::vector<std::string> overrides;  // of --set, "grid.budgets=[1e17]"
  // By dotted path: "grid.budgets", "model.ladder[3]". A value's mark, but for
  // unknown keys, whose own mark is the error's.
  std::map<std::string, Mark> marks;

  // The mark of `path`, else of its nearest parent that has one.
  Mark Find(const std::string& path) const;

  // The error picture at `mark`; without a mark only `name: what`. In an
  // override the place is `--set grid.budgets`. `cure` may be empty (when the
  // message holds it).
  std::string Picture(Mark mark, const std::string& what, const std::string& cure) const;
};

// Up to 20 errors in the order of the text, as one InvalidArgument.
//
// Not thread-safe.
class ErrorList {
 public:
  static constexpr size_t kMaxErrors = 20;

  explicit ErrorList(const SourceText* source) : source_(source) {}  // must outlive the list

  void Add(Mark mark, const std::string& what, const std::string& cure = "");
  void AddAt(const std::string& path, const std::string& what, const std::string& cure = "");
  bool empty() const { return errors_.empty(); }
  size_t size() const { return errors_.size(); }

  // OkStatus when empty. More than kMaxErrors: the rest is counted in a line.
  absl::Status ToStatus() const;

 private:
  struct Error {
    Mark mark;
    std::string picture;
  };
  const SourceText* source_;
  std::vector<Error> errors_;
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_SOURCE_TEXT_H_
