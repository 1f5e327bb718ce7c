#include "worker/trainer/cpu_kernels.h"

#include <bit>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ISOFLOP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ISOFLOP_CLONES
#endif
#define ISOFLOP_INLINE inline __attribute__((always_inline))

namespace isoflop {
namespace {

// e^x to 1e-7 relative by range reduction and a polynomial (Cephes' expf), in
// code that the compiler turns into vectors. NaN stays NaN; below -87 it is 1e-38.
ISOFLOP_INLINE float Exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float n = __builtin_rintf(x * 1.44269504f);
  const float r = x - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

ISOFLOP_INLINE float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

constexpr float kGeluScale = 2 * 0.7978845608f;  // 2 sqrt(2/pi): u/2 (1 + tanh z) = u sigmoid(2 z)
constexpr float kGeluCube = 0.044715f;

ISOFLOP_INLINE float GeluSigmoid(float u) { return Sigmoid(kGeluScale * (u + kGeluCube * u * u * u)); }

}  // namespace

ISOFLOP_CLONES
void AddNormForward(const NormRows& norm, const float* x, const float* delta, float* sum, float* y, float* mean,
                    float* scale, int64_t begin, int64_t end) {
  const int64_t width = norm.width;
  const float inverse_width = 1.0f / static_cast<float>(width);
  for (int64_t row = begin; row < end; ++row) {
    const float* __restrict in = x + row * width;
    if (delta != nullptr) {
      const float* __restrict add = delta + row * width;
      float* __restrict out = sum + row * width;
      for (int64_t i = 0; i < width; ++i) out[i] = in[i] + add[i];
      in = out;
    }
    float center = 0;
    if (norm.center) {
      float total = 0;
      for (int64_t i = 0; i < width; ++i) total += in[i];
      center = total * inverse_width;
      mean[row] = center;
    }
    float squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += (in[i] - center) * (in[i] - center);
    const float factor = 1.0f / std::sqrt(squares * inverse_width + static_cast<float>(norm.eps));
    scale[row] = factor;
    float* __restrict out = y + row * width;
    const float* __restrict gain = norm.gain;
    if (norm.bias != nullptr) {
      const float* __restrict bias = norm.bias;
      for (int64_t i = 0; i < width; ++i) out[i] = (in[i] - center) * factor * gain[i] + bias[i];
    } else {
      for (int64_t i = 0; i < width; ++i) out[i] = (in[i] - center) * factor * gain[i];
    }
  }
}

ISOFLOP_CLONES
void AddNormBackward(const NormRows& norm, const float* sum, const float* mean, const float* scale, const float* d_y,
                     const float* d_residual, float* d_sum, float* d_gain, float* d_bias, int64_t begin, int64_t end) {
  const int64_t width = norm.width;
  const float inverse_width = 1.0f / static_cast<float>(width);
  const float* __restrict gain = norm.gain;
  float* __restrict gain_gradient = d_gain;
  for (int64_t row = begin; row < end; ++row) {
    const float* __restrict in = sum + row * width;
    const float* __restrict up = d_y + row * width;
    float* __restrict out = d_sum + row * width;
    const float center = norm.center ? mean[row] : 0.0f;
    const float factor = scale[row];
    float along = 0, total = 0;  // of the gradient of the normed row, gain taken in
    for (int64_t i = 0; i < width; ++i) {
      const float normed = (in[i] - center) * factor;
      const float g = up[i] * gain[i];
      along += g * normed;
      total += g;
      gain_gradient[i] += up[i] * normed;
    }
    if (d_bias != nullptr) {
      for (int64_t i = 0; i < width; ++i) d_bias[i] += up[i];
    }
    along *= inverse_width;
    total = norm.center ? total * inverse_width : 0.0f;
    if (d_residual != nullptr) {
      const float* __restrict residual = d_residual + row * width;
      for (int64_t i = 0; i < width; ++i) {
        out[i] = residual[i] + factor * (up[i] * gain[i] - total - (in[i] - center) * factor * along);
      }
    } else {
      for (int64_t i = 0; i < width; ++i) {
        out[i] = factor * (up[i] * gain[i] - total - (in[i] - center) * factor * along);
      }
    }
  }
}

ISOFLOP_CLONES
void RopeForward(float* qkv, const float* cos, const float* sin, int64_t positions, int64_t heads, int64_t head_size,
                 int64_t begin, int64_t end) {
  const int64_t half = head_size / 2;
  for (int64_t row = begin; row < end; ++row) {
    const float* __restrict c = cos + row % positions * half;
    const float* __restrict s = sin + row % positions * half;
    // Queries, then keys: 2 H heads side by side.
    float* head = qkv + row * 3 * heads * head_size;
    for (int64_t i = 0; i < 2 * heads; ++i, head += head_size) {
      float* __restrict first = head;
      float* __restrict second = head + half;
      for (int64_t k = 0; k < half; ++k) {
        const float a = first[k], b = second[k];
        first[k] = a * c[k] - b * s[k];
        second[k] = b * c[k] + a * s[k];
      }
    }
  }
}

ISOFLOP_CLONES
void RopeBackward(const HeadsView& d_q, const HeadsView& d_k, const HeadsView& d_v, float* d_qkv, const float* cos,
                  const float* sin, int64_t positions, int64_t heads, int64_t head_size, int64_t begin, int64_t end) {
  const int64_t half = head_size / 2;
  const HeadsView* views[3] = {&d_q, &d_k, &d_v};
  for (int64_t row = begin; row < end; ++row) {
    const int64_t position = row % positions;
    float* out = d_qkv + row * 3 * heads * head_size;
    for (int part = 0; part < 3; ++part) {
      const HeadsView& view = *views[part];
      const float* in = view.data + row / positions * view.batch + position * view.position;
      for (int64_t head = 0; head < heads; ++head, in += view.head, out += head_size) {
        const float* __restrict from = in;
        float* __restrict to = out;
        if (part == 2 || cos == nullptr) {
          for (int64_t k = 0; k < head_size; ++k) to[k] = from[k];
          continue;
        }
        const float* __restrict c = cos + position * half;
        const float* __restrict s = sin + position * half;
        for (int64_t k = 0; k < half; ++k) {
          const float a = from[k], b = from[half + k];
          to[k] = a * c[k] + b * s[k];
          to[half + k] = b * c[k] - a * s[k];
        }
      }
    }
  }
}

ISOFLOP_CLONES
void GeluForward(const float* u, float* y, int64_t begin, int64_t end) {
  const float* __restrict in = u;
  float* __restrict out = y;
  for (int64_t i = begin; i < end; ++i) out[i] = in[i] * GeluSigmoid(in[i]);
}

ISOFLOP_CLONES
void GeluBackward(const float* u, const float* d_y, float* d_u, int64_t begin, int64_t end) {
  const float* __restrict in = u;
  const float* __restrict up = d_y;
  float* __restrict out = d_u;
  for (int64_t i = begin; i < end; ++i) {
    const float x = in[i];
    const float s = GeluSigmoid(x);
    out[i] = up[i] * (s + x * s * (1.0f - s) * kGeluScale * (1.0f + 3.0f * kGeluCube * x * x));
  }
}

ISOFLOP_CLONES
void Relu2Forward(const float* u, float* y, int64_t begin, int64_t end) {
  const float* __restrict in = u;
  float* __restrict out = y;
  for (int64_t i = begin; i < end; ++i) out[i] = in[i] < 0.0f ? 0.0f : in[i] * in[i];
}

ISOFLOP_CLONES
void Relu2Backward(const float* u, const float* d_y, float* d_u, int64_t begin, int64_t end) {
  const float* __restrict in = u;
  const float* __restrict up = d_y;
  float* __restrict out = d_u;
  for (int64_t i = begin; i < end; ++i) out[i] = in[i] < 0.0f ? 0.0f : 2.0f * in[i] * up[i];
}

ISOFLOP_CLONES
void SwigluForward(const float* u, float* y, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* __restrict gate = u + row * 2 * width;
    const float* __restrict value = gate + width;
    float* __restrict out = y + row * width;
    for (int64_t i = 0; i < width; ++i) out[i] = gate[i] * Sigmoid(gate[i]) * value[i];
  }
}

ISOFLOP_CLONES
void SwigluBackward(const float* u, const float* d_y, float* d_u, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* __restrict gate = u + row * 2 * width;
    const float* __restrict value = gate + width;
    const float* __restrict up = d_y + row * width;
    float* __restrict d_gate = d_u + row * 2 * width;
    float* __restrict d_value = d_gate + width;
    for (int64_t i = 0; i < width; ++i) {
      const float s = Sigmoid(gate[i]);
      d_gate[i] = up[i] * value[i] * s * (1.0f + gate[i] * (1.0f - s));
      d_value[i] = up[i] * gate[i] * s;
    }
  }
}

ISOFLOP_CLONES
void CrossEntropyRows(float* logits, const int64_t* targets, float* losses, int64_t vocab, float scale, bool gradient,
                      int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    float* __restrict x = logits + row * vocab;
    float top = x[0];
    for (int64_t i = 0; i < vocab; ++i) top = x[i] > top ? x[i] : top;
    const float target = x[targets[row]];
    float total = 0;
    for (int64_t i = 0; i < vocab; ++i) {
      const float e = Exp(scale * (x[i] - top));
      total += e;
      x[i] = e;
    }
    losses[row] = std::log(total) - scale * (target - top);
    if (!gradient) continue;
    const float factor = scale / total;
    for (int64_t i = 0; i < vocab; ++i) x[i] *= factor;
    x[targets[row]] -= scale;
  }
}

}  // namespace isoflop
