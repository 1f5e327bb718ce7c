#include "study/hyper_rules.h"

#include <algorithm>
#include <cmath>

namespace isoflop {
namespace {

constexpr double kOlmoReferenceParams = 108e6;

}  // namespace

int64_t BatchSequences(const BatchRule& rule, int64_t sequence_length, double params_non_embedding, double tokens) {
  const auto positions = static_cast<double>(sequence_length);
  double sequences = 0;
  switch (rule.kind) {
    case BatchRule::Kind::kTokens:
      sequences = rule.value / positions;
      break;
    case BatchRule::Kind::kSequences:
      sequences = rule.value;
      break;
    case BatchRule::Kind::kNanochat: {
      const double exact = kNanochatBatchTokens * std::pow(tokens / kNanochatReferenceTokens, 0.383);
      sequences = std::exp2(std::nearbyint(std::log2(exact))) / positions;
      break;
    }
    case BatchRule::Kind::kOlmoLadder:
      sequences = 160 * std::pow(params_non_embedding / kOlmoReferenceParams, 2.0 / 3.0) * 2048 / positions;
      break;
    case BatchRule::Kind::kStepLaw:
      sequences = 0.58 * std::pow(tokens, 0.571) / positions;
      break;
  }
  return std::max<int64_t>(1, std::llround(sequences));
}

OptimizerSpec ResolveOptimizer(const OptimizerRule& rule, const ModelShape& shape, double params_non_embedding,
                               double tokens, double batch_tokens) {
  OptimizerSpec optimizer;
  optimizer.weight_decay = rule.weight_decay;
  optimizer.beta1 = rule.beta1;
  optimizer.beta2 = rule.beta2;
  optimizer.eps = rule.eps;
  optimizer.clip_norm = rule.clip_norm;
  optimizer.lr_scale_blocks = rule.lr_scale_blocks;
  optimizer.lr_scale_embedding = rule.lr_scale_embedding;
  optimizer.lr_scale_head = rule.lr_scale_head;
  const LearningRateRule& rate = rule.lr_peak;
  const auto width = static_cast<double>(shape.d_model);
  switch (rate.kind) {
    case LearningRateRule::Kind::kNumber:
      optimizer.lr_peak = rate.value;
      break;
    case LearningRateRule::Kind::kByWidth:
      optimizer.lr_peak = rate.value * std::pow(width / rate.at_d_model, rate.exponent);
      break;
    case LearningRateRule::Kind::kNanochat: {
      const double batch_scale = std::sqrt(batch_tokens / kNanochatBatchTokens);
      optimizer.lr_peak = rate.value * batch_scale;
      optimizer.weight_decay = rule.weight_decay * batch_scale * kNanochatReferenceTokens / tokens;
      break;
    }
    case LearningRateRule::Kind::kOlmoLadder:
      optimizer.lr_peak = 0.0047 * std::pow(params_non_embedding / kOlmoReferenceParams, -1.0 / 3.0);
      break;
    case LearningRateRule::Kind::kStepLaw:
      optimizer.lr_peak = 1.79 * std::pow(params_non_embedding, -0.713) * std::pow(tokens, 0.307);
      break;
    case LearningRateRule::Kind::kMup:
      optimizer.lr_peak = rate.value;
      optimizer.lr_scale_blocks *= static_cast<double>(rate.base_width) / width;
      break;
  }
  return optimizer;
}

}  // namespace isoflop
