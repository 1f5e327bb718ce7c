// The sections `model` and `trainer`.
#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "study/did_you_mean.h"
#include "study/format.h"
#include "study/ladders.h"
#include "study/quantity.h"
#include "study/study_yaml_sections.h"

namespace isoflop {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxDepth = 1000;

// [d_model, n_layer, n_head]; of an LSTM, which has no heads, [d_model, n_layer]
bool ReadShape(YamlReader& reader, const YamlTree& value, Family family, LadderShape* shape) {
  const bool has_heads = family != Family::kLstm;
  if (!value.is_list() || value.list.size() != (has_heads ? 3 : 2)) {
    reader.Error(value.mark, absl::StrCat(Describe(value), " is not a shape", has_heads ? "" : " of an LSTM"),
                 has_heads ? "[d_model, n_layer, n_head]" : "[d_model, n_layer]");
    return false;
  }
  if (!has_heads) {
    shape->n_head = 1;
    return reader.CountValue(value.list[0], &shape->d_model, 1, kMaxWidth, kCountKind) &&
           reader.CountValue(value.list[1], &shape->n_layer, 1, kMaxDepth, kCountKind);
  }
  const bool read = reader.CountValue(value.list[0], &shape->d_model, 1, kMaxWidth, kCountKind) &&
                    reader.CountValue(value.list[1], &shape->n_layer, 1, kMaxDepth, kCountKind) &&
                    reader.CountValue(value.list[2], &shape->n_head, 1, kMaxWidth, kCountKind);
  if (!read) return false;
  if (shape->d_model % shape->n_head != 0) {
    int64_t heads = shape->n_head;
    while (shape->d_model % heads != 0) --heads;
    reader.Error(value.mark,
                 absl::StrCat(Plural(shape->n_head, "head"), " do not divide d_model ", shape->d_model),
                 absl::StrCat("[", shape->d_model, ", ", shape->n_layer, ", ", heads, "]"));
    return false;
  }
  return true;
}

void ReadPreset(YamlReader& reader, const YamlTree& value, ModelSpec* model) {
  std::vector<std::string> names;
  for (const LadderPreset& preset : AllLadderPresets()) names.emplace_back(preset.name);
  const LadderPreset* preset = FindLadderPreset(reader.ChoiceText(value, names));
  if (preset == nullptr) return;
  model->ladder.preset = preset->name;
  model->ladder.shapes = preset->shapes;
  if (preset->sequence_length) model->sequence_length = *preset->sequence_length;
  if (preset->activation) model->activation = *preset->activation;
  if (preset->qk_norm) model->qk_norm = *preset->qk_norm;
}

void ReadRule(YamlReader& model_reader, const YamlTree& value, LadderSpec* ladder) {
  YamlReader rule = model_reader.Child(value, "ladder");
  rule.Require("width_per_layer", "width_per_layer: 64");
  rule.Require("head_size", "head_size: 128");
  rule.Count("width_per_layer", &ladder->width_per_layer, 1, kMaxWidth);
  rule.Count("head_size", &ladder->head_size, 1, kMaxWidth);
  if (rule.Has("depths")) {
    if (const auto* depths = rule.ListValue(*rule.Take("depths"), "depths", 1)) {
      for (const YamlTree& item : *depths) {
        int64_t depth = 0;
        if (rule.CountValue(item, &depth, 1, kMaxDepth, kCountKind)) ladder->depths.push_back(depth);
      }
    }
    for (const char* key : {"from", "to", "sizes"}) rule.Misplaced(key, "and 'depths' exclude each other");
  } else {
    rule.Require("from", "depths: [10, 12, 14], or from: 10M, to: 1B, sizes: 9");
    const bool has_from = rule.Amount("from", &ladder->from_params, kParamsKind);
    rule.Require("to", "to: 1B");
    const bool has_to = rule.Amount("to", &ladder->to_params, kParamsKind);
    rule.Require("sizes", "sizes: 9");
    rule.Int("sizes", &ladder->sizes, 1, 200);
    if (has_from && has_to && ladder->from_params >= ladder->to_params) {
      rule.Error(rule.Take("to")->mark, "'to' is not above 'from'", "from: 10M, to: 1B");
    }
  }
  rule.Finish();
}

void ReadCustomSize(YamlReader& model_reader, const YamlTree& value, size_t index, LadderSpec* ladder) {
  YamlReader size = model_reader.Child(value, absl::StrCat("ladder[", index, "]"));
  CustomSize custom;
  size.Require("id", "{id: s, params_blocks: 9M, params_embedding: 4M}");
  size.Text("id", &custom.id);
  size.Require("params_blocks", "params_blocks: 9M");
  size.Count("params_blocks", &custom.counts.blocks, 1, int64_t{1} << 53, kParamsKind);
  size.Count("params_embedding", &custom.counts.embedding, 0, int64_t{1} << 53, kParamsKind);
  size.Count("params_head", &custom.counts.head, 0, int64_t{1} << 53, kParamsKind);
  size.Count("params_position", &custom.counts.position, 0, int64_t{1} << 53, kParamsKind);
  if (const YamlTree* options = size.Take("options")) {
    size.OptionsValue(*options, size.Path("options"), &custom.options);
  }
  for (const CustomSize& other : ladder->custom) {
    if (!custom.id.empty() && other.id == custom.id) {
      size.Error(value.mark, absl::StrCat("two sizes are called '", custom.id, "'"), "give each an id of its own");
    }
  }
  ladder->custom.push_back(std::move(custom));
  size.Finish();
}

void ReadLadder(YamlReader& reader, ModelSpec* model) {
  const bool lstm = model->family == Family::kLstm;
  const YamlTree* ladder = reader.Require(
      "ladder", lstm ? "ladder: [[64, 1], [128, 2]], each [d_model, n_layer]"
                     : "ladder: cpu-bytes, or [[d_model, n_layer, n_head], ...], or {depths: [10, 12]}");
  if (ladder == nullptr) return;
  if (model->family == Family::kCustom) {
    if (const auto* sizes = reader.ListValue(*ladder, "sizes {id: s, params_blocks: 9M}", 1)) {
      for (size_t i = 0; i < sizes->size(); ++i) ReadCustomSize(reader, (*sizes)[i], i, &model->ladder);
    }
    return;
  }
  if (lstm && !ladder->is_list()) {
    reader.Error(ladder->mark, "presets and rules of a ladder are for transformers", "ladder: [[64, 1], [128, 2]]");
  } else if (ladder->is_scalar()) {
    ReadPreset(reader, *ladder, model);
  } else if (ladder->is_map()) {
    ReadRule(reader, *ladder, &model->ladder);
  } else if (const auto* shapes = reader.ListValue(*ladder, lstm ? "shapes [d_model, n_layer]" : "shapes [d_model, n_layer, n_head]", 1)) {
    for (const YamlTree& item : *shapes) {
      LadderShape shape;
      if (ReadShape(reader, item, model->family, &shape)) model->ladder.shapes.push_back(shape);
    }
  }
}

// "4x", "8/3x", "2.5x" of d_model, or a number.
void ReadFeedForward(YamlReader& reader, ModelSpec* model) {
  const LadderPreset* preset = FindLadderPreset(model->ladder.preset);
  if (preset != nullptr && preset->d_ff_multiple) {
    model->d_ff = FeedForward{*preset->d_ff_multiple, 0, model->activation == Activation::kSwiglu ? 64 : 1};
  } else if (model->activation == Activation::kSwiglu) {
    model->d_ff = FeedForward{8.0 / 3.0, 0, 64};
  }
  const YamlTree* value = reader.Take("d_ff");
  if (value == nullptr) return;
  absl::string_view text = value->scalar;
  if (value->is_scalar() && absl::ConsumeSuffix(&text, "x")) {
    std::optional<double> multiple;
    const size_t slash = text.find('/');
    if (slash == absl::string_view::npos) {
      multiple = ParsePlainNumber(std::string(text));
    } else {
      const auto above = ParsePlainNumber(std::string(text.substr(0, slash)));
      const auto below = ParsePlainNumber(std::string(text.substr(slash + 1)));
      if (above && below && *below > 0) multiple = *above / *below;
    }
    if (multiple && *multiple > 0 && *multiple <= 64) {
      model->d_ff = FeedForward{*multiple, 0, model->activation == Activation::kSwiglu ? 64 : 1};
      return;
    }
  } else if (value->is_scalar()) {
    if (const auto width = ParseCount(value->scalar); width && *width >= 1 && *width <= kMaxWidth) {
      model->d_ff = FeedForward{0, *width, 1};
      return;
    }
  }
  reader.Error(value->mark, absl::StrCat(Describe(*value), " is not a width of the feed-forward layer"),
               "4x (of d_model), 8/3x or 512");
}

}  // namespace

void ReadModelSection(YamlReader& root, ModelSpec* model) {
  const YamlTree* section = root.Require("model", "model: {ladder: cpu-bytes}");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "model");
  if (const YamlTree* family = reader.Take("family")) {
    const std::string text = reader.ChoiceText(*family, {"transformer", "lstm", "custom"});
    if (text == "custom") model->family = Family::kCustom;
    if (text == "lstm") model->family = Family::kLstm;
  }
  ReadLadder(reader, model);
  const bool needs_length = model->sequence_length == 0;
  if (needs_length) reader.Require("sequence_length", "sequence_length: 1024");
  reader.Count("sequence_length", &model->sequence_length, 1, 1 << 24, kTokensKind);
  int64_t vocab_size = 0;
  if (reader.Count("vocab_size", &vocab_size, 2, 1 << 26)) model->vocab_size = vocab_size;
  if (model->family == Family::kCustom) {
    for (const char* key : {"d_ff", "norm", "position", "activation", "init", "tied_head", "qk_norm", "bias",
                            "dropout"}) {
      reader.Misplaced(key, "says nothing to a custom trainer; its sizes take options");
    }
  } else if (model->family == Family::kLstm) {
    for (const char* key : {"d_ff", "norm", "position", "activation", "init", "qk_norm", "bias"}) {
      reader.Misplaced(key, "says nothing to an LSTM; it takes tied_head and dropout");
    }
    reader.Flag("tied_head", &model->tied_head);
    reader.Number("dropout", &model->dropout, 0, 0.99);
  } else {
    reader.Choice("norm", &model->norm);
    reader.Choice("position", &model->position);
    reader.Choice("activation", &model->activation);
    reader.Choice("init", &model->init);
    reader.Flag("tied_head", &model->tied_head);
    reader.Flag("qk_norm", &model->qk_norm);
    reader.Flag("bias", &model->bias);
    reader.Number("dropout", &model->dropout, 0, 0.99);
    ReadFeedForward(reader, model);
  }
  if (model->position == Position::kRope && model->family == Family::kTransformer) {
    for (const LadderShape& shape : model->ladder.shapes) {
      if (shape.d_model / shape.n_head % 2 != 0) {
        reader.Error(reader.Take("ladder")->mark,
                     absl::StrCat("head size ", shape.d_model / shape.n_head, " of [", shape.d_model, ", ",
                                  shape.n_layer, ", ", shape.n_head, "] is odd; rope turns pairs"),
                     "fewer heads, or position: learned");
        break;
      }
    }
    if (model->ladder.is_rule() && model->ladder.head_size % 2 != 0) {
      reader.Error(reader.Take("ladder")->mark,
                   absl::StrCat("head_size ", model->ladder.head_size, " is odd; rope turns pairs"),
                   "an even head_size, or position: learned");
    }
  }
  reader.Finish();
}

void ReadTrainerSection(YamlReader& root, StudySpec* spec) {
  const YamlTree* section = root.Take("trainer");
  if (section == nullptr || section->is_scalar()) {
    if (section != nullptr) root.ChoiceText(*section, {"builtin"});
    if (spec->model.family == Family::kCustom) {
      root.Error(section == nullptr ? root.mark() : section->mark, "family custom without a trainer of its own",
                 "trainer: {command: [python, train.py]}");
    }
    return;
  }
  YamlReader reader = root.Child(*section, "trainer");
  CustomTrainerSpec trainer;
  if (const YamlTree* command = reader.Require("command", "command: [python, train.py]")) {
    if (const auto* words = reader.ListValue(*command, "words (no shell)", 1)) {
      for (const YamlTree& word : *words) {
        if (word.is_scalar()) {
          trainer.command.push_back(word.scalar);
        } else {
          reader.Error(word.mark, absl::StrCat("trainer.command: ", Describe(word), " is not a word"),
                       "command: [python, train.py]");
        }
      }
    }
  }
  reader.Choice("launch", &trainer.launch);
  if (const YamlTree* sources = reader.Take("sources")) {
    if (const auto* files = reader.ListValue(*sources, "files", 1)) {
      for (const YamlTree& file : *files) {
        if (file.is_scalar() && !absl::StartsWith(file.scalar, "/")) {
          trainer.sources.push_back(file.scalar);
        } else {
          reader.Error(file.mark, absl::StrCat("trainer.sources: ", Describe(file), " is not a file beside the study"),
                       "sources: [train.py]");
        }
      }
    }
  }
  if (const YamlTree* value = reader.Take("env"); value != nullptr && value->is_map()) {
    for (const YamlEntry& entry : value->map) {
      if (!entry.value.is_scalar() || absl::StartsWith(entry.key, "ISOFLOP_")) {
        reader.Error(entry.key_mark, absl::StrCat("trainer.env: '", entry.key, "' cannot be set"),
                     "env: {WANDB_MODE: offline}");
      } else {
        trainer.env[entry.key] = entry.value.scalar;
      }
    }
  } else if (value != nullptr) {
    reader.Error(value->mark, absl::StrCat("trainer.env is ", Describe(*value), ", not a mapping"),
                 "env: {WANDB_MODE: offline}");
  }
  if (const YamlTree* options = reader.Take("options")) {
    reader.OptionsValue(*options, "trainer.options", &trainer.options);
  }
  reader.Finish();
  spec->trainer = std::move(trainer);
}

}  // namespace isoflop
