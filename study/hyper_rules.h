// From rules to the numbers of one trial: learning rate, batch, weight decay.
//
// Pure; thread-safe. The presets with their sources: docs/study_yaml.md.
#ifndef ISOFLOP_STUDY_HYPER_RULES_H_
#define ISOFLOP_STUDY_HYPER_RULES_H_

#include <cstdint>

#include "study/model_shape.h"
#include "study/study_spec.h"

namespace isoflop {

// nanochat's reference: batches of 2^19 tokens for its depth-12 model at 10.5
// tokens a parameter (110,100,480 in block matrices and head).
inline constexpr double kNanochatBatchTokens = 524288;
inline constexpr double kNanochatReferenceTokens = 10.5 * 110100480;

// Sequences of a global batch for a trial of `params_non_embedding` = N and
// `tokens` = D, at least 1:
//   tokens       value / T (whole, the YAML is checked)
//   sequences    value
//   nanochat     2^19 (D / D_ref)^0.383 tokens, to the nearest power of two
//   olmo-ladder  160 (N / 108e6)^(2/3) sequences of 2048
//   step-law     0.58 D^0.571 tokens
int64_t BatchSequences(const BatchRule& rule, int64_t sequence_length, double params_non_embedding, double tokens);

// The optimiser's numbers of one trial:
//   number       lr = value
//   by width     lr = value (d / at_d_model)^exponent
//   nanochat     lr = value sqrt(B / 2^19), decay = weight_decay sqrt(B / 2^19) D_ref / D
//   olmo-ladder  lr = 0.0047 (N / 108e6)^(-1/3)
//   step-law     lr = 1.79 N^-0.713 D^0.307
//   mup          lr = value; of the blocks times base_width / d
// with B = `batch_tokens`.
OptimizerSpec ResolveOptimizer(const OptimizerRule& rule, const ModelShape& shape, double params_non_embedding,
                               double tokens, double batch_tokens);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_HYPER_RULES_H_
