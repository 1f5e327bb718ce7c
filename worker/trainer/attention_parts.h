// Queries, keys and values of one layer as attention sees them.
#ifndef ISOFLOP_WORKER_TRAINER_ATTENTION_PARTS_H_
#define ISOFLOP_WORKER_TRAINER_ATTENTION_PARTS_H_

#include <ATen/core/Tensor.h>

#include "worker/trainer/layer_ops.h"

namespace isoflop {

struct AttentionParts {
  at::Tensor queries_BHTK, keys_BHTK, values_BHTK;
};

// Splits qkv (N, 3 D) into heads, then norms and turns queries and keys as `spec`
// says. Recorded by autograd; qkv is only read.
AttentionParts SplitHeads(const at::Tensor& qkv, const AttentionSpec& spec);

// RoPE (Su et al. 2021) in the rotate-half form: (x1, x2) -> (x1 cos - x2 sin,
// x2 cos + x1 sin), x1 and x2 the halves of a head, cos and sin (T, K/2).
at::Tensor RotateHalf(const at::Tensor& x_BHTK, const at::Tensor& cos_TR, const at::Tensor& sin_TR);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_ATTENTION_PARTS_H_
