#include "worker/trainer/parameters.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <utility>

#include "corpus/permutation.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// FNV-1a of the name, mixed with the seed.
uint64_t TensorSeed(uint64_t seed, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return SplitMix64(SplitMix64(seed) ^ hash);
}

struct Start {
  enum Kind { kConstant, kNormal, kUniform } kind = kConstant;
  double scale = 0;  // the constant, the deviation, or half the width
};

Start StartOf(const ModelShape& shape, const ParameterEntry& entry) {
  if (entry.role == ParameterRole::kGain) return {Start::kConstant, 1};
  if (entry.role == ParameterRole::kBias || entry.role == ParameterRole::kGateBias || entry.role == ParameterRole::kHeadBias) {
    return {Start::kConstant, 0};
  }
  if (shape.family == Family::kLstm && entry.role == ParameterRole::kTokenEmbedding) {
    return {Start::kNormal, shape.tied_head ? 1 / std::sqrt(static_cast<double>(shape.d_model)) : 1};
  }
  if (entry.role == ParameterRole::kGates) return {Start::kUniform, 1 / std::sqrt(static_cast<double>(shape.d_model))};
  const double residual = 1 / std::sqrt(2.0 * static_cast<double>(shape.n_layer));
  const double fan_in = static_cast<double>(entry.shape.back());
  switch (shape.init) {
    case Init::kGpt2:
      return {Start::kNormal, entry.role == ParameterRole::kResidual ? 0.02 * residual : 0.02};
    case Init::kNanochat:
      if (entry.role == ParameterRole::kResidual) return {Start::kConstant, 0};
      if (entry.role == ParameterRole::kMatrix) return {Start::kUniform, std::sqrt(3 / fan_in)};
      if (entry.role == ParameterRole::kHead) return {Start::kNormal, 1e-3};
      return {Start::kNormal, shape.tied_head ? 0.02 : 0.8};
    case Init::kMup:
      if (entry.role == ParameterRole::kHead) return {Start::kConstant, 0};
      if (entry.role == ParameterRole::kMatrix) return {Start::kNormal, 1 / std::sqrt(fan_in)};
      if (entry.role == ParameterRole::kResidual) return {Start::kNormal, residual / std::sqrt(fan_in)};
      return {Start::kNormal, 0.02};
  }
  return {};
}

}  // namespace

Parameters::Parameters(ParameterLayout layout, at::Device device) : layout_(std::move(layout)) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  at::NoGradGuard no_grad;
  weights_ = at::zeros({layout_.total}, options);
  gradients_with_riders_ = at::zeros({layout_.total + kRiders}, options);
  gradients_ = gradients_with_riders_.narrow(0, 0, layout_.total);
  for (const ParameterEntry& entry : layout_.entries) {
    at::Tensor leaf = weights_.narrow(0, entry.offset, entry.count).view(entry.shape).detach();
    leaf.set_requires_grad(true);
    leaf.mutable_grad() = gradients_.narrow(0, entry.offset, entry.count).view(entry.shape).detach();
    index_.emplace(entry.name, leaves_.size());
    leaves_.push_back(std::move(leaf));
  }
}

const at::Tensor& Parameters::Leaf(const std::string& name) const {
  auto found = index_.find(name);
  ISOFLOP_CHECK(found != index_.end(), name);
  return leaves_[found->second];
}

void Parameters::ZeroGradients() {
  at::NoGradGuard no_grad;
  gradients_with_riders_.zero_();
}

void InitializeParameters(const ModelShape& shape, uint64_t seed, Parameters& parameters) {
  at::NoGradGuard no_grad;
  for (const ParameterEntry& entry : parameters.layout().entries) {
    at::Tensor target = parameters.weights().narrow(0, entry.offset, entry.count).view(entry.shape);
    const Start start = StartOf(shape, entry);
    if (start.kind == Start::kConstant) {
      target.fill_(start.scale);
      if (entry.role == ParameterRole::kGateBias) target.narrow(0, shape.d_model, shape.d_model).fill_(1);  // i, f, g, o
      continue;
    }
    auto generator = at::detail::createCPUGenerator(TensorSeed(seed, entry.name));
    at::Tensor values = at::empty(entry.shape, at::kFloat);
    if (start.kind == Start::kNormal) {
      values.normal_(0, start.scale, generator);
    } else {
      values.uniform_(-start.scale, start.scale, generator);
    }
    target.copy_(values);
  }
}

}  // namespace isoflop
