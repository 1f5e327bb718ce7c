// The loops between the matrix products, fp32 on the CPU, each one pass over its
// rows: what ATen does in three to six.
//
// No Torch, no threads: a call does rows [begin, end), and its caller,
// fused_layer_ops.cc, gives each thread its own. Compiled for AVX-512, AVX2 and
// plain x86-64; the machine chooses at the start. Sums run in a fixed order: the
// same machine gives the same bits.
//
// Legend: N tokens, D width, F width of the MLP, H heads, K head size, T
// positions, V vocabulary. Rows are contiguous unless a stride is given.
#ifndef ISOFLOP_WORKER_TRAINER_CPU_KERNELS_H_
#define ISOFLOP_WORKER_TRAINER_CPU_KERNELS_H_

#include <cstdint>

namespace isoflop {

// -- Norms ------------------------------------------------------------------

struct NormRows {
  int64_t width = 0;              // D
  const float* gain = nullptr;    // (D)
  const float* bias = nullptr;    // (D), or nullptr
  double eps = 0;
  bool center = false;            // layernorm: subtract the mean
};

// sum = x + delta (delta nullptr: sum is not written, x is the sum), y = norm(sum).
// Keeps per row what the backward needs: `scale` = 1/sqrt(...) and, with
// `center`, `mean`; each (N).
void AddNormForward(const NormRows& norm, const float* x, const float* delta, float* sum, float* y, float* mean,
                    float* scale, int64_t begin, int64_t end);

// d_sum = d_residual (nullptr: zero) + what d_y sends back; adds to d_gain and, if
// not nullptr, d_bias, each (D).
void AddNormBackward(const NormRows& norm, const float* sum, const float* mean, const float* scale, const float* d_y,
                     const float* d_residual, float* d_sum, float* d_gain, float* d_bias, int64_t begin, int64_t end);

// -- Positions --------------------------------------------------------------

// Turns queries and keys of qkv (N, 3 D) in place by RoPE; row n stands at
// position n % T. cos and sin (T, K/2).
void RopeForward(float* qkv, const float* cos, const float* sin, int64_t positions, int64_t heads, int64_t head_size,
                 int64_t begin, int64_t end);

// Where the gradient of queries, keys or values lies: element (b, h, t, k) at
// b * batch + h * head + t * position + k.
struct HeadsView {
  const float* data = nullptr;
  int64_t batch = 0, head = 0, position = 0;
};

// Gathers the three gradients into d_qkv (N, 3 D), queries and keys turned back
// (cos nullptr: not turned).
void RopeBackward(const HeadsView& d_q, const HeadsView& d_k, const HeadsView& d_v, float* d_qkv, const float* cos,
                  const float* sin, int64_t positions, int64_t heads, int64_t head_size, int64_t begin, int64_t end);

// -- Activations ------------------------------------------------------------

// Elements [begin, end) of y and u, or of d_u from d_y and u.
void GeluForward(const float* u, float* y, int64_t begin, int64_t end);
void GeluBackward(const float* u, const float* d_y, float* d_u, int64_t begin, int64_t end);
void Relu2Forward(const float* u, float* y, int64_t begin, int64_t end);
void Relu2Backward(const float* u, const float* d_y, float* d_u, int64_t begin, int64_t end);
// Rows [begin, end): u (N, 2 F), y (N, F).
void SwigluForward(const float* u, float* y, int64_t width, int64_t begin, int64_t end);
void SwigluBackward(const float* u, const float* d_y, float* d_u, int64_t width, int64_t begin, int64_t end);

// -- Loss -------------------------------------------------------------------

// Rows of logits (N, V): writes the loss in nats of `targets` against
// softmax(scale * logits) into losses (N) and, if `gradient`, puts the gradient of
// the loss in place of the logits.
void CrossEntropyRows(float* logits, const int64_t* targets, float* losses, int64_t vocab, float scale, bool gradient,
                      int64_t begin, int64_t end);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CPU_KERNELS_H_
