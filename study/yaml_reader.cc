#include "study/yaml_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/did_you_mean.h"
#include "study/format.h"
#include "study/quantity.h"

namespace isoflop {
namespace {

std::string Range(double least, double most) {
  if (most >= std::numeric_limits<double>::max()) return absl::StrCat("at least ", ExactNumber(least));
  return absl::StrCat("within [", ExactNumber(least), ", ", ExactNumber(most), "]");
}

// Text cut so that a message stays a line.
std::string Shown(std::string text) {
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

}  // namespace

std::string Describe(const YamlTree& value) {
  switch (value.kind) {
    case YamlTree::Kind::kNull: return "nothing";
    case YamlTree::Kind::kScalar: return absl::StrCat("'", Shown(value.scalar), "'");
    case YamlTree::Kind::kList: return "a list";
    case YamlTree::Kind::kMap: return "a mapping";
  }
  return "?";
}

std::string NotANumber(const YamlTree& value, NumberKind kind) {
  return absl::StrCat(Describe(value), " is not ", kind.name);
}

YamlReader::YamlReader(const YamlTree& tree, std::string path, YamlContext context)
    : tree_(tree), path_(std::move(path)), context_(context) {
  if (!tree_.is_map()) {
    Error(tree_.mark, absl::StrCat(path_.empty() ? "the study" : path_, " is ", Describe(tree_), ", not a mapping"),
          absl::StrCat(path_.empty() ? "name" : path_, path_.empty() ? ": web-small" : ": {key: value}"));
  }
}

std::string YamlReader::Path(const std::string& key) const {
  return path_.empty() ? key : absl::StrCat(path_, ".", key);
}

const YamlTree* YamlReader::Take(const std::string& key) {
  known_.push_back(key);
  const YamlTree* value = tree_.Find(key);
  if (value == nullptr || value->is_null()) return nullptr;
  context_.source->marks[Path(key)] = value->mark;
  return value;
}

const YamlTree* YamlReader::Require(const std::string& key, const std::string& cure) {
  const YamlTree* value = Take(key);
  if (value == nullptr && !IsMisspelt(key)) Error(tree_.mark, absl::StrCat("'", Path(key), "' is missing"), cure);
  return value;
}

// A key that stands there with a wrong letter is an unknown key, not a missing
// one too.
bool YamlReader::IsMisspelt(const std::string& key) const {
  return std::any_of(tree_.map.begin(), tree_.map.end(), [&](const YamlEntry& entry) {
    return entry.key != key && DidYouMean(entry.key, {key}).has_value() &&
           std::find(known_.begin(), known_.end(), entry.key) == known_.end();
  });
}

bool YamlReader::Text(const std::string& key, std::string* out) {
  const YamlTree* value = Take(key);
  if (value == nullptr) return false;
  if (!value->is_scalar()) {
    Error(value->mark, absl::StrCat(Path(key), " is ", Describe(*value), ", not a word"), absl::StrCat(key, ": word"));
    return false;
  }
  *out = value->scalar;
  return true;
}

bool YamlReader::Flag(const std::string& key, bool* out) {
  const YamlTree* value = Take(key);
  if (value == nullptr) return false;
  const std::string text = ChoiceText(*value, {"true", "false"});
  if (text.empty()) return false;
  *out = text == "true";
  return true;
}

bool YamlReader::Count(const std::string& key, int64_t* out, int64_t least, int64_t most, NumberKind kind) {
  const YamlTree* value = Take(key);
  return value != nullptr && CountValue(*value, out, least, most, kind);
}

bool YamlReader::Int(const std::string& key, int* out, int least, int most) {
  int64_t count = 0;
  if (!Count(key, &count, least, most)) return false;
  *out = static_cast<int>(count);
  return true;
}

bool YamlReader::CountValue(const YamlTree& value, int64_t* out, int64_t least, int64_t most, NumberKind kind) {
  const std::optional<int64_t> count = value.is_scalar() ? ParseCount(value.scalar) : std::nullopt;
  if (!count) {
    Error(value.mark, NotANumber(value, kind), kind.examples);
    return false;
  }
  if (*count < least || *count > most) {
    const bool open = most >= int64_t{1} << 53;
    const std::string range =
        open ? absl::StrCat("at least ", least) : absl::StrCat("within [", least, ", ", most, "]");
    Error(value.mark, absl::StrCat(Describe(value), " is not ", range), absl::StrCat("a number ", range));
    return false;
  }
  *out = *count;
  return true;
}

bool YamlReader::Amount(const std::string& key, double* out, NumberKind kind) {
  const YamlTree* value = Take(key);
  return value != nullptr && AmountValue(*value, out, kind);
}

bool YamlReader::AmountValue(const YamlTree& value, double* out, NumberKind kind) {
  const std::optional<double> amount = value.is_scalar() ? ParseAmount(value.scalar) : std::nullopt;
  if (!amount) {
    Error(value.mark, NotANumber(value, kind), kind.examples);
    return false;
  }
  if (*amount <= 0 || *amount > 1e40) {
    Error(value.mark, absl::StrCat(Describe(value), " is not above 0 and at most 1e40"), kind.examples);
    return false;
  }
  *out = *amount;
  return true;
}

bool YamlReader::Number(const std::string& key, double* out, double least, double most) {
  const YamlTree* value = Take(key);
  return value != nullptr && NumberValue(*value, out, least, most);
}

bool YamlReader::NumberValue(const YamlTree& value, double* out, double least, double most) {
  const std::optional<double> number = value.is_scalar() ? ParsePlainNumber(value.scalar) : std::nullopt;
  if (!number) {
    Error(value.mark, NotANumber(value, kPlainKind), kPlainKind.examples);
    return false;
  }
  if (!(*number >= least && *number <= most)) {
    Error(value.mark, absl::StrCat(Describe(value), " is not ", Range(least, most)),
          absl::StrCat("a number ", Range(least, most)));
    return false;
  }
  *out = *number;
  return true;
}

bool YamlReader::Share(const std::string& key, double* out, double least, double most) {
  const YamlTree* value = Take(key);
  if (value == nullptr) return false;
  const std::optional<double> share = value->is_scalar() ? ParseShare(value->scalar) : std::nullopt;
  if (!share) {
    Error(value->mark, NotANumber(*value, kShareKind), kShareKind.examples);
    return false;
  }
  if (!(*share >= least && *share <= most)) {
    const std::string range =
        absl::StrCat("within [", ExactNumber(least * 100), "%, ", ExactNumber(most * 100), "%]");
    Error(value->mark, absl::StrCat(Describe(*value), " is not ", range), absl::StrCat("a share ", range));
    return false;
  }
  *out = *share;
  return true;
}

bool YamlReader::Duration(const std::string& key, absl::Duration* out) {
  const YamlTree* value = Take(key);
  if (value == nullptr) return false;
  const std::optional<absl::Duration> duration =
      value->is_scalar() ? ParseDuration(value->scalar) : std::nullopt;
  if (!duration || *duration <= absl::ZeroDuration()) {
    Error(value->mark, NotANumber(*value, kDurationKind), kDurationKind.examples);
    return false;
  }
  *out = *duration;
  return true;
}

std::string YamlReader::ChoiceText(const YamlTree& value, const std::vector<std::string>& choices,
                                   const std::vector<std::string>& later) {
  if (value.is_scalar()) {
    if (std::find(choices.begin(), choices.end(), value.scalar) != choices.end()) return value.scalar;
    if (std::find(later.begin(), later.end(), value.scalar) != later.end()) {
      Error(value.mark, absl::StrCat("'", value.scalar, "' comes in a later release"),
            absl::StrCat("one of ", absl::StrJoin(choices, ", ")));
      return "";
    }
    const std::optional<std::string> meant = DidYouMean(value.scalar, choices);
    Error(value.mark, absl::StrCat("unknown value ", Describe(value), DidYouMeanClause(value.scalar, choices)),
          meant ? absl::StrCat("write '", *meant, "'") : absl::StrCat("one of ", absl::StrJoin(choices, ", ")));
    return "";
  }
  Error(value.mark, absl::StrCat(Describe(value), " where a word belongs"),
        absl::StrCat("one of ", absl::StrJoin(choices, ", ")));
  return "";
}

const std::vector<YamlTree>* YamlReader::ListValue(const YamlTree& value, const std::string& what, size_t least) {
  if (!value.is_list()) {
    Error(value.mark, absl::StrCat(Describe(value), " where a list of ", what, " belongs"), "[first, second]");
    return nullptr;
  }
  if (value.list.size() < least) {
    Error(value.mark, absl::StrCat("a list of ", what, " with fewer than ", Plural(static_cast<int64_t>(least), "item")),
          "[first, second]");
    return nullptr;
  }
  return &value.list;
}

bool YamlReader::OptionsValue(const YamlTree& value, const std::string& path,
                              std::map<std::string, OptionValue>* out) {
  if (!value.is_map()) {
    Error(value.mark, absl::StrCat(path, " is ", Describe(value), ", not a mapping"), "{depth: 6, compile: true}");
    return false;
  }
  for (const YamlEntry& entry : value.map) {
    const YamlTree& option = entry.value;
    if (out->contains(entry.key)) {
      Error(entry.key_mark, absl::StrCat("repeated key '", Shown(entry.key), "'"), "keep one of the two");
      continue;
    }
    if (!option.is_scalar()) {
      Error(option.mark, absl::StrCat(path, ".", Shown(entry.key), " is ", Describe(option), ", not a scalar"),
            "true, 6, 0.5 or text");
      continue;
    }
    const std::optional<double> number = option.quoted ? std::nullopt : ParsePlainNumber(option.scalar);
    if (!option.quoted && (option.scalar == "true" || option.scalar == "false")) {
      (*out)[entry.key] = option.scalar == "true";
    } else if (number && std::nearbyint(*number) == *number && std::fabs(*number) <= 9e15) {
      (*out)[entry.key] = static_cast<int64_t>(*number);
    } else if (number) {
      (*out)[entry.key] = *number;
    } else {
      (*out)[entry.key] = option.scalar;
    }
  }
  return true;
}

void YamlReader::Later(const std::string& key, const std::string& feature) {
  if (Has(key)) {
    Error(tree_.Find(key)->mark, absl::StrCat("'", Path(key), "': ", feature, " in a later release"),
          absl::StrCat("delete '", key, "'"));
  }
}

void YamlReader::Misplaced(const std::string& key, const std::string& why) {
  if (Has(key)) {
    Error(tree_.Find(key)->mark, absl::StrCat("'", Path(key), "' ", why), absl::StrCat("delete '", key, "'"));
  }
}

void YamlReader::Error(Mark mark, const std::string& what, const std::string& cure) {
  context_.errors->Add(mark, what, cure);
}

void YamlReader::Finish() {
  std::set<std::string> seen;
  for (const YamlEntry& entry : tree_.map) {
    if (std::find(known_.begin(), known_.end(), entry.key) == known_.end()) {
      std::vector<std::string> candidates = known_;
      std::sort(candidates.begin(), candidates.end());
      candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
      const std::optional<std::string> meant = DidYouMean(entry.key, candidates);
      Error(entry.key_mark, absl::StrCat("unknown key '", Shown(entry.key), "'", DidYouMeanClause(entry.key, candidates)),
            meant ? absl::StrCat("write '", *meant, "'") : absl::StrCat("one of ", absl::StrJoin(candidates, ", ")));
    } else if (!seen.insert(entry.key).second) {
      Error(entry.key_mark, absl::StrCat("repeated key '", entry.key, "'"), "keep one of the two");
    }
  }
}

YamlReader YamlReader::Child(const YamlTree& value, const std::string& key) const {
  return YamlReader(value, Path(key), context_);
}

}  // namespace isoflop
