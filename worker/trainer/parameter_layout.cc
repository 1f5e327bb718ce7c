#include "worker/trainer/parameter_layout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

ParameterGroup GroupOf(ParameterRole role) {
  switch (role) {
    case ParameterRole::kHead:
      return ParameterGroup::kHead;
    case ParameterRole::kMatrix:
    case ParameterRole::kResidual:
    case ParameterRole::kGates:
      return ParameterGroup::kMatrices;
    case ParameterRole::kGain:
    case ParameterRole::kBias:
    case ParameterRole::kGateBias:
    case ParameterRole::kHeadBias:
      return ParameterGroup::kVectors;
    case ParameterRole::kTokenEmbedding:
    case ParameterRole::kPositionEmbedding:
      break;
  }
  return ParameterGroup::kEmbeddings;
}

class LayoutBuilder {
 public:
  void Add(std::string name, std::vector<int64_t> shape, ParameterRole role) {
    ParameterEntry entry;
    entry.name = std::move(name);
    entry.count = 1;
    for (int64_t size : shape) entry.count *= size;
    entry.shape = std::move(shape);
    entry.group = GroupOf(role);
    entry.role = role;
    groups_[static_cast<int>(entry.group)].push_back(std::move(entry));
  }

  ParameterLayout Build() && {
    ParameterLayout layout;
    for (auto& group : groups_) {
      for (ParameterEntry& entry : group) {
        entry.offset = layout.total;
        layout.total += entry.count;
        layout.entries.push_back(std::move(entry));
      }
    }
    return layout;
  }

 private:
  std::vector<ParameterEntry> groups_[kParameterGroups];
};

ParameterLayout LayOutLstm(const ModelShape& shape) {
  const int64_t d = shape.d_model;
  LayoutBuilder builder;
  if (!shape.tied_head) {
    builder.Add("head.weight", {shape.vocab_size, d}, ParameterRole::kHead);
    builder.Add("head.bias", {shape.vocab_size}, ParameterRole::kHeadBias);
  }
  for (int64_t layer = 0; layer < shape.n_layer; ++layer) {
    const std::string name = absl::StrCat("blocks.", layer, ".lstm");
    builder.Add(name + ".input.weight", {4 * d, d}, ParameterRole::kGates);
    builder.Add(name + ".state.weight", {4 * d, d}, ParameterRole::kGates);
    builder.Add(name + ".input.bias", {4 * d}, ParameterRole::kGateBias);
    builder.Add(name + ".state.bias", {4 * d}, ParameterRole::kBias);
  }
  builder.Add("embedding.weight", {shape.vocab_size, d}, ParameterRole::kTokenEmbedding);
  return std::move(builder).Build();
}

}  // namespace

ParameterLayout LayOutParameters(const ModelShape& shape, int64_t sequence_length) {
  if (shape.family == Family::kLstm) return LayOutLstm(shape);
  ISOFLOP_CHECK(shape.family == Family::kTransformer, "family " + ToString(shape.family));
  const int64_t d = shape.d_model;
  // A gated activation needs two projections up: one matrix of twice the rows.
  const int64_t up = shape.activation == Activation::kSwiglu ? 2 * shape.d_ff : shape.d_ff;
  const bool norm_bias = shape.norm == Norm::kLayerNorm && shape.bias;

  LayoutBuilder builder;
  auto norm = [&](const std::string& name) {
    builder.Add(name + ".weight", {d}, ParameterRole::kGain);
    if (norm_bias) builder.Add(name + ".bias", {d}, ParameterRole::kBias);
  };
  auto linear = [&](const std::string& name, int64_t outputs, int64_t inputs, ParameterRole role) {
    builder.Add(name + ".weight", {outputs, inputs}, role);
    if (shape.bias) builder.Add(name + ".bias", {outputs}, ParameterRole::kBias);
  };
  if (!shape.tied_head) builder.Add("head.weight", {shape.vocab_size, d}, ParameterRole::kHead);
  for (int64_t layer = 0; layer < shape.n_layer; ++layer) {
    const std::string block = absl::StrCat("blocks.", layer);
    norm(block + ".attention_norm");
    linear(block + ".attention.qkv", 3 * d, d, ParameterRole::kMatrix);
    linear(block + ".attention.out", d, d, ParameterRole::kResidual);
    norm(block + ".mlp_norm");
    linear(block + ".mlp.up", up, d, ParameterRole::kMatrix);
    linear(block + ".mlp.down", d, shape.d_ff, ParameterRole::kResidual);
  }
  norm("final_norm");
  builder.Add("embedding.weight", {shape.vocab_size, d}, ParameterRole::kTokenEmbedding);
  if (shape.position == Position::kLearned) {
    builder.Add("position.weight", {sequence_length, d}, ParameterRole::kPositionEmbedding);
  }
  return std::move(builder).Build();
}

ParameterLayout::Slice ParameterLayout::GroupSlice(ParameterGroup group) const {
  Slice slice;
  for (const ParameterEntry& entry : entries) {
    if (entry.group != group) continue;
    if (slice.count == 0) slice.offset = entry.offset;
    slice.count += entry.count;
  }
  return slice;
}

const ParameterEntry* ParameterLayout::Find(const std::string& name) const {
  for (const ParameterEntry& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

ParamCounts ParameterLayout::Count() const {
  ParamCounts counts;
  for (const ParameterEntry& entry : entries) {
    switch (entry.role) {
      case ParameterRole::kHead:
      case ParameterRole::kHeadBias:
        counts.head += entry.count;
        break;
      case ParameterRole::kTokenEmbedding:
        counts.embedding += entry.count;
        break;
      case ParameterRole::kPositionEmbedding:
        counts.position += entry.count;
        break;
      default:
        counts.blocks += entry.count;
    }
  }
  return counts;
}

}  // namespace isoflop
