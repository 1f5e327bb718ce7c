// Reads the keys of one YAML mapping into typed values and collects what is
// wrong with them, each at its place.
//
// Not thread-safe; lives while one text is read.
#ifndef ISOFLOP_STUDY_YAML_READER_H_
#define ISOFLOP_STUDY_YAML_READER_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "study/enum_text.h"
#include "study/model_shape.h"
#include "study/source_text.h"
#include "study/yaml_tree.h"

namespace isoflop {

// What a whole reading shares.
struct YamlContext {
  SourceText* source = nullptr;  // marks are noted there
  ErrorList* errors = nullptr;
};

// A number's unit, as the messages name it ("a number of tokens") and the cure
// shows it.
struct NumberKind {
  const char* name;
  const char* examples;
};
inline constexpr NumberKind kTokensKind = {"a number of tokens", "1.5B, 1500M or 1.5e9"};
inline constexpr NumberKind kParamsKind = {"a number of parameters", "125M, 0.5B or 1.25e8"};
inline constexpr NumberKind kFlopsKind = {"a number of FLOPs", "1e18 or 2.15e19"};
inline constexpr NumberKind kCountKind = {"a whole number", "8, 64Ki or 2000"};
inline constexpr NumberKind kPlainKind = {"a number", "0.1, 3e-3 or 20"};
inline constexpr NumberKind kShareKind = {"a share", "5% or 0.05"};
inline constexpr NumberKind kDurationKind = {"a duration", "90s, 10m, 12h or 2d"};

class YamlReader {
 public:
  // `tree` must be a mapping (an error is noted if not; it then reads as empty)
  // and outlive the reader. `path` is its dotted path, "" at the root.
  YamlReader(const YamlTree& tree, std::string path, YamlContext context);

  // Was the key written? Marks it as known either way.
  bool Has(const std::string& key) { return Take(key) != nullptr; }
  // The value under `key`, or nullptr where it is absent or null.
  const YamlTree* Take(const std::string& key);
  // The same, and an error when absent; `cure` shows how to write it.
  const YamlTree* Require(const std::string& key, const std::string& cure);

  // Each reads a key into `*out` and returns true; an absent key leaves `*out`
  // alone; a wrong value is an error. Ranges are inclusive.
  bool Text(const std::string& key, std::string* out);
  bool Flag(const std::string& key, bool* out);
  bool Count(const std::string& key, int64_t* out, int64_t least = 1,
             int64_t most = int64_t{1} << 53, NumberKind kind = kCountKind);
  bool Int(const std::string& key, int* out, int least, int most);
  bool Amount(const std::string& key, double* out, NumberKind kind);  // > 0
  bool Number(const std::string& key, double* out, double least, double most);
  bool Share(const std::string& key, double* out, double least, double most);
  bool Duration(const std::string& key, absl::Duration* out);  // > 0
  template <class E>
  bool Choice(const std::string& key, E* out) {
    const YamlTree* value = Take(key);
    if (value == nullptr) return false;
    const std::string text = ChoiceText(*value, EnumTexts<E>());
    const std::optional<E> parsed = ParseEnum<E>(text);
    if (parsed) *out = *parsed;
    return parsed.has_value();
  }

  // The same for a value that is not directly under a key.
  bool CountValue(const YamlTree& value, int64_t* out, int64_t least, int64_t most, NumberKind kind);
  bool AmountValue(const YamlTree& value, double* out, NumberKind kind);
  bool NumberValue(const YamlTree& value, double* out, double least, double most);
  bool OptionsValue(const YamlTree& value, const std::string& path, std::map<std::string, OptionValue>* out);
  // One of `choices`, else an error with did-you-mean and "". `later` are words
  // of a later release, refused by name.
  std::string ChoiceText(const YamlTree& value, const std::vector<std::string>& choices,
                         const std::vector<std::string>& later = {});
  // A list's items; a scalar is an error.
  const std::vector<YamlTree>* ListValue(const YamlTree& value, const std::string& what, size_t least);

  // Refuses a key whose feature is not in this release: never ignored.
  void Later(const std::string& key, const std::string& feature);
  // Refuses a key that is known but makes no sense here.
  void Misplaced(const std::string& key, const std::string& why);

  void Error(Mark mark, const std::string& what, const std::string& cure = "");
  // Unknown and repeated keys. Call it last.
  void Finish();

  YamlReader Child(const YamlTree& value, const std::string& key) const;
  std::string Path(const std::string& key) const;
  Mark mark() const { return tree_.mark; }
  YamlContext context() const { return context_; }

 private:
  bool IsMisspelt(const std::string& key) const;

  const YamlTree& tree_;
  const std::string path_;
  const YamlContext context_;
  std::vector<std::string> known_;
};

// "'text' is not a number of tokens", for any kind.
std::string NotANumber(const YamlTree& value, NumberKind kind);
// A value as a message names it: its text, "a list" or "a mapping".
std::string Describe(const YamlTree& value);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_YAML_READER_H_
