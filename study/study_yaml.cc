#include "study/study_yaml.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "study/status_macros.h"
#include "study/study_yaml_sections.h"
#include "study/yaml_tree.h"

namespace isoflop {
namespace {

bool IsStudyName(const std::string& name) {
  if (name.empty() || name.size() > 64) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!word && (i == 0 || (c != '.' && c != '_' && c != '-'))) return false;
  }
  return true;
}

void ReadHead(YamlReader& root, StudySpec* spec) {
  if (const YamlTree* version = root.Take("version")) {
    if (!version->is_scalar() || version->scalar != "1") {
      root.Error(version->mark, absl::StrCat("version ", Describe(*version), ": this program reads version 1"),
                 "version: 1");
    }
  }
  if (const YamlTree* name = root.Require("name", "name: web-small")) {
    if (root.Text("name", &spec->name) && !IsStudyName(spec->name)) {
      root.Error(name->mark, absl::StrCat(Describe(*name), " is not a study's name"),
                 "up to 64 of a-z 0-9 . _ -, a letter or digit first");
    }
  }
  root.Text("description", &spec->description);
}

// Contradictions between sections.
void CheckAcross(YamlReader& root, const StudySpec& spec) {
  const SourceText& source = spec.source;
  if (spec.resources.slot == SlotChoice::kAny && !spec.precision) {
    root.Error(source.Find("resources.slot"), "slot any mixes GPUs and CPUs: precision must be stated",
               "precision: fp32 or bf16");
  }
  const double sequence_length = static_cast<double>(spec.model.sequence_length);
  if (spec.batch.kind == BatchRule::Kind::kTokens && sequence_length > 0 && spec.batch.value > 0 &&
      std::fmod(spec.batch.value, sequence_length) != 0) {
    const double sequences = std::max(1.0, std::nearbyint(spec.batch.value / sequence_length));
    root.Error(source.Find("batch.tokens"),
               absl::StrCat("a batch of ", static_cast<int64_t>(spec.batch.value),
                            " tokens is no whole number of sequences of ", spec.model.sequence_length),
               absl::StrCat("tokens: ", static_cast<int64_t>(sequences * sequence_length)));
  }
  if (spec.model.family != Family::kCustom && spec.evaluation.sequence_length > spec.model.sequence_length &&
      spec.model.position == Position::kLearned) {
    root.Error(source.Find("evaluation.sequence_length"), "learned positions end at the model's sequence_length",
               absl::StrCat("sequence_length: ", spec.model.sequence_length));
  }
}

}  // namespace

void ReadDataSection(YamlReader& root, DataSpec* data) {
  const YamlTree* section = root.Require("data", "data: {path: data/web}");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "data");
  const bool has_path = reader.Text("path", &data->path) && !data->path.empty();
  const bool has_synthetic = reader.Text("synthetic", &data->synthetic) && !data->synthetic.empty();
  if (has_path == has_synthetic) {
    reader.Error(section->mark, has_path ? "data has both path and synthetic" : "data has neither path nor synthetic",
                 "path: data/web, or synthetic: \"zipf-markov:256,1.1,0.3,7\"");
  }
  if (has_synthetic && !absl::StartsWith(data->synthetic, "zipf-markov:")) {
    reader.Error(reader.Take("synthetic")->mark, absl::StrCat("unknown source '", data->synthetic, "'"),
                 "synthetic: \"zipf-markov:256,1.1,0.3,7\"");
  }
  if (const YamlTree* tokenizer = reader.Take("tokenizer")) {
    if (tokenizer->is_map()) {
      reader.Error(tokenizer->mark, "'data.tokenizer': training a tokenizer comes in a later release",
                   "bytes, or a SentencePiece FILE.model");
    } else if (tokenizer->is_scalar() && (tokenizer->scalar == "bytes" || absl::EndsWith(tokenizer->scalar, ".model"))) {
      data->tokenizer = tokenizer->scalar;
    } else {
      reader.Error(tokenizer->mark, absl::StrCat("unknown tokenizer ", Describe(*tokenizer)),
                   "bytes, or a SentencePiece FILE.model");
    }
  }
  if (const YamlTree* eval = reader.Take("eval")) {
    YamlReader split = reader.Child(*eval, "eval");
    if (split.Share("share", &data->eval.share, 0.001, 0.999)) {
      const double permille = data->eval.share * 1000;
      if (std::fabs(permille - std::nearbyint(permille)) > 1e-9) {
        reader.Error(split.Take("share")->mark, absl::StrCat(Describe(*split.Take("share")), " is no whole permille"),
                     "share: 5% or 0.5%");
      }
    }
    split.Count("max_tokens", &data->eval.max_tokens, 1, int64_t{1} << 40, kTokensKind);
    split.Choice("by", &data->eval.by);
    int64_t seed = 0;
    if (split.Count("seed", &seed, 0)) data->eval.seed = static_cast<uint64_t>(seed);
    split.Finish();
  }
  reader.Choice("if_short", &data->if_short);
  reader.Finish();
}

absl::StatusOr<StudySpec> ParseStudyYaml(const std::string& text, const std::string& source_name,
                                         const std::vector<std::string>& overrides) {
  StudySpec spec;
  spec.source = SourceText{source_name, text, overrides, {}};
  ISOFLOP_ASSIGN_OR_RETURN(const YamlTree tree, ParseYamlTree(spec.source));
  ErrorList errors(&spec.source);
  YamlReader root(tree, "", YamlContext{&spec.source, &errors});
  ReadHead(root, &spec);
  ReadDataSection(root, &spec.data);
  ReadModelSection(root, &spec.model);
  ReadBaselinesSection(root, &spec.baselines);
  ReadGridSection(root, &spec);
  ReadSeedsSections(root, &spec);
  ReadScheduleSection(root, &spec.schedule);
  ReadOptimizerSection(root, &spec);
  ReadBatchSection(root, &spec.batch);
  ReadPrecisionSections(root, &spec);
  ReadEvaluationSection(root, &spec.evaluation);
  ReadResourcesSection(root, &spec.resources);
  ReadLimitsSection(root, &spec.limits);
  ReadRetrySection(root, &spec.retry);
  ReadAnalysisSection(root, &spec.analysis);
  ReadTrainerSection(root, &spec);
  if (errors.empty()) CheckAcross(root, spec);
  root.Finish();
  ISOFLOP_RETURN_IF_ERROR(errors.ToStatus());
  return spec;
}

}  // namespace isoflop
