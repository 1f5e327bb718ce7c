// A YAML text as a plain tree in which every value and key knows its place, and
// repeated keys are still there. The only door to yaml-cpp.
//
// Pure; thread-safe.
#ifndef ISOFLOP_STUDY_YAML_TREE_H_
#define ISOFLOP_STUDY_YAML_TREE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "study/source_text.h"

namespace isoflop {

struct YamlEntry;

struct YamlTree {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Mark mark;
  std::string scalar;    // kScalar
  bool quoted = false;   // "1" is text, 1 a number
  std::vector<YamlTree> list;
  std::vector<YamlEntry> map;  // in the order of the text

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }

  // The last value under `key` of a map, or nullptr.
  const YamlTree* Find(const std::string& key) const;
};

struct YamlEntry {
  std::string key;
  Mark key_mark;
  YamlTree value;
};

// Reads source.text with source.overrides applied in order: each "a.b=value"
// puts a YAML value in the place of a key, or adds it. An empty text is an
// empty map. InvalidArgument, with a picture: not YAML, more than one document,
// over 1 MiB or 100,000 values (aliases count), keys that are no scalars, an
// override without "=" or through a value that is no mapping.
absl::StatusOr<YamlTree> ParseYamlTree(const SourceText& source);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_YAML_TREE_H_
