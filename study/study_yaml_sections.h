// The sections of the study YAML, one function each; ParseStudyYaml calls them
// in the order of the text's documentation. Internal to study/.
#ifndef ISOFLOP_STUDY_STUDY_YAML_SECTIONS_H_
#define ISOFLOP_STUDY_STUDY_YAML_SECTIONS_H_

#include <string>
#include <vector>

#include "study/enum_text.h"
#include "study/study_spec.h"
#include "study/yaml_reader.h"

namespace isoflop {

template <>
struct EnumValues<IfShort> {
  static std::vector<IfShort> All() { return {IfShort::kError, IfShort::kDrop, IfShort::kRepeat}; }
};
template <>
struct EnumValues<EvalBy> {
  static std::vector<EvalBy> All() { return {EvalBy::kDocument, EvalBy::kDirectory, EvalBy::kChapter}; }
};
template <>
struct EnumValues<GridKind> {
  static std::vector<GridKind> All() { return {GridKind::kIsoflop, GridKind::kProduct, GridKind::kList}; }
};
template <>
struct EnumValues<CountConvention> {
  static std::vector<CountConvention> All() {
    return {CountConvention::kNonEmbeddingPlusHead, CountConvention::kTotal, CountConvention::kNonEmbedding};
  }
};
template <>
struct EnumValues<FlopsConvention> {
  static std::vector<FlopsConvention> All() { return {FlopsConvention::k6nd, FlopsConvention::kExact}; }
};
template <>
struct EnumValues<SlotChoice> {
  static std::vector<SlotChoice> All() { return {SlotChoice::kGpu, SlotChoice::kCpu, SlotChoice::kAny}; }
};
template <>
struct EnumValues<FitObjective> {
  static std::vector<FitObjective> All() {
    return {FitObjective::kHuber, FitObjective::kLad, FitObjective::kMse, FitObjective::kMseRaw};
  }
};
template <>
struct EnumValues<FitWeights> {
  static std::vector<FitWeights> All() {
    return {FitWeights::kNone, FitWeights::kByRun, FitWeights::kInverseVariance};
  }
};
template <>
struct EnumValues<LossUnit> {
  static std::vector<LossUnit> All() { return {LossUnit::kNats, LossUnit::kBitsPerByte}; }
};

// Each reads one section of `root` into the spec; what is wrong is in the
// context's errors.
void ReadDataSection(YamlReader& root, DataSpec* data);
void ReadModelSection(YamlReader& root, ModelSpec* model);  // study_yaml_model.cc
void ReadBaselinesSection(YamlReader& root, std::vector<BaselineSpec>* baselines);  // study_yaml_baselines.cc
void ReadTrainerSection(YamlReader& root, StudySpec* spec);
void ReadGridSection(YamlReader& root, StudySpec* spec);    // study_yaml_grid.cc
void ReadSeedsSections(YamlReader& root, StudySpec* spec);
void ReadScheduleSection(YamlReader& root, ScheduleRule* schedule);  // study_yaml_training.cc
void ReadOptimizerSection(YamlReader& root, StudySpec* spec);
void ReadBatchSection(YamlReader& root, BatchRule* batch);
void ReadPrecisionSections(YamlReader& root, StudySpec* spec);
void ReadEvaluationSection(YamlReader& root, EvaluationSpec* evaluation);
void ReadResourcesSection(YamlReader& root, ResourcesSpec* resources);  // study_yaml_running.cc
void ReadLimitsSection(YamlReader& root, LimitsSpec* limits);
void ReadRetrySection(YamlReader& root, RetrySpec* retry);
void ReadAnalysisSection(YamlReader& root, AnalysisSpec* analysis);

// A length: "2%", "1M" tokens or "40 steps".
bool ReadLength(YamlReader& reader, const std::string& key, Length* out);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_STUDY_YAML_SECTIONS_H_
