// Where each parameter of a network lies in the flat fp32 buffer: names, shapes
// and offsets, a pure function of the shape. No Torch, no memory: the layout of a
// 70 B network is a few hundred lines.
//
// Flat order: head, matrices of the blocks by layer, vectors (norm gains and
// biases), embeddings. It is the order of the optimiser's groups, of the
// gradient's buckets and of a checkpoint, so weight decay is one contiguous slice
// (head and matrices) and each group one call.
#ifndef ISOFLOP_WORKER_TRAINER_PARAMETER_LAYOUT_H_
#define ISOFLOP_WORKER_TRAINER_PARAMETER_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "study/model_shape.h"

namespace isoflop {

enum class ParameterGroup { kHead, kMatrices, kVectors, kEmbeddings };
inline constexpr int kParameterGroups = 4;

// What a parameter does, which decides how it starts.
enum class ParameterRole {
  kHead,           // logits
  kMatrix,         // any other matrix of a block
  kResidual,       // a matrix whose output is added to the residual stream
  kGates,          // a matrix of an LSTM's four gates
  kGateBias,       // of these, counted with the input's
  kHeadBias,       // of an LSTM's head: zeros, counted with the head
  kGain,           // of a norm: ones
  kBias,           // zeros
  kTokenEmbedding,
  kPositionEmbedding,
};

struct ParameterEntry {
  std::string name;            // "blocks.3.attention.qkv.weight"
  std::vector<int64_t> shape;  // matrices are (outputs, inputs)
  int64_t offset = 0;          // floats from the start of the flat buffer
  int64_t count = 0;           // floats
  ParameterGroup group = ParameterGroup::kMatrices;
  ParameterRole role = ParameterRole::kMatrix;

  friend bool operator==(const ParameterEntry&, const ParameterEntry&) = default;
};

struct ParameterLayout {
  std::vector<ParameterEntry> entries;  // in flat order
  int64_t total = 0;                    // floats in all

  // First float and count of a group's slice; count 0 where it is empty.
  struct Slice {
    int64_t offset = 0;
    int64_t count = 0;
  };
  Slice GroupSlice(ParameterGroup group) const;

  // The entry called `name`, or nullptr.
  const ParameterEntry* Find(const std::string& name) const;

  // What the entries hold, by place: must equal the planner's CountParams.
  ParamCounts Count() const;
};

// The layout of a decoder-only transformer with learned positions (if it has
// them) for `sequence_length` tokens, or of an LSTM language model. The shape is
// possible: heads divide d_model. Any other family ends the process.
ParameterLayout LayOutParameters(const ModelShape& shape, int64_t sequence_length);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_PARAMETER_LAYOUT_H_
