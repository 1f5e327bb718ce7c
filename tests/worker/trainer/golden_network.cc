#include "tests/worker/trainer/golden_network.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "corpus/permutation.h"
#include "worker/trainer/safetensors.h"

namespace isoflop {
namespace {

constexpr int64_t kVocab = 7;

uint64_t Fnv1a(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

ModelShape BaseShape() {
  ModelShape shape;
  shape.d_model = 8;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 12;
  shape.vocab_size = kVocab;
  return shape;
}

}  // namespace

std::vector<GoldenCase> GoldenCases() {
  std::vector<GoldenCase> cases;
  for (Norm norm : {Norm::kRmsNorm, Norm::kLayerNorm}) {
    for (Position position : {Position::kRope, Position::kLearned, Position::kSinusoidal}) {
      for (Activation activation : {Activation::kGelu, Activation::kSwiglu, Activation::kRelu2}) {
        ModelShape shape = BaseShape();
        shape.norm = norm;
        shape.position = position;
        shape.activation = activation;
        cases.push_back({ToString(norm) + "-" + ToString(position) + "-" + ToString(activation), shape});
      }
    }
  }
  ModelShape shape = BaseShape();
  shape.tied_head = true;
  cases.push_back({"tied", shape});
  shape = BaseShape();
  shape.qk_norm = true;
  cases.push_back({"qk-norm", shape});
  shape = BaseShape();
  shape.norm = Norm::kLayerNorm;
  shape.position = Position::kLearned;
  shape.bias = true;
  cases.push_back({"bias", shape});
  shape = BaseShape();
  shape.init = Init::kMup;
  shape.mup_base_width = 4;
  cases.push_back({"mup", shape});
  return cases;
}

std::vector<GoldenCase> GoldenLstmCases() {
  ModelShape shape;
  shape.family = Family::kLstm;
  shape.d_model = 8;
  shape.n_layer = 2;
  shape.n_head = 1;
  shape.vocab_size = kVocab;
  ModelShape tied = shape;
  tied.tied_head = true;
  return {{"lstm", shape}, {"lstm-tied", tied}};
}

void FillByName(Parameters& parameters) {
  at::NoGradGuard no_grad;
  for (const ParameterEntry& entry : parameters.layout().entries) {
    const double start = entry.role == ParameterRole::kGain ? 1 : 0;
    at::Tensor values = at::empty({entry.count}, at::kFloat);
    for (int64_t i = 0; i < entry.count; ++i) {
      const double unit =
          static_cast<double>(SplitMix64(Fnv1a(entry.name) + static_cast<uint64_t>(i)) >> 40) / 16777216.0 - 0.5;
      values.data_ptr<float>()[i] = static_cast<float>(start + 0.8 * unit);
    }
    parameters.weights().narrow(0, entry.offset, entry.count).copy_(values);
  }
}

GoldenTokens TokensOfStep(int64_t step) {
  at::Tensor window = at::empty({kGoldenBatch, kGoldenPositions + 1}, at::kLong);
  for (int64_t i = 0; i < window.numel(); ++i) {
    window.data_ptr<int64_t>()[i] = static_cast<int64_t>(SplitMix64(static_cast<uint64_t>(1000 * step + i)) % kVocab);
  }
  return {window.narrow(1, 0, kGoldenPositions).contiguous(), window.narrow(1, 1, kGoldenPositions).contiguous()};
}

at::Tensor RandomTokens(int64_t vocab_size, int64_t rows, int64_t positions) {
  return at::randint(vocab_size, {rows, positions}, at::detail::createCPUGenerator(/*seed=*/1), at::TensorOptions().dtype(at::kLong));
}

at::Tensor Recorded(const std::string& name) {
  const auto read = [](const std::string& golden) {
    std::ifstream file(ISOFLOP_SOURCE_DIR "/tests/worker/trainer/golden/" + golden, std::ios::binary);
    return new std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  };
  static const std::string* const kTransformers = read("transformer.safetensors");
  static const std::string* const kLstms = read("lstm.safetensors");
  const std::string* const kBytes = name.starts_with("lstm") ? kLstms : kTransformers;
  const auto header = ParseSafetensorsHeader(*kBytes, static_cast<int64_t>(kBytes->size()));
  if (!header.ok()) {
    ADD_FAILURE() << header.status();
    return at::zeros({1});
  }
  for (const SafetensorsEntry& entry : header->entries) {
    if (entry.name != name) continue;
    at::Tensor values = at::empty(entry.shape, at::kFloat);
    std::memcpy(values.data_ptr<float>(), kBytes->data() + header->data_offset + entry.begin,
                static_cast<size_t>(entry.end - entry.begin));
    return values;
  }
  ADD_FAILURE() << name << " was not recorded; run tools/record_reference.py";
  return at::zeros({1});
}

double RelativeDistance(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide_a = a.detach().to(at::kDouble), wide_b = b.detach().to(at::kDouble);
  return ((wide_a - wide_b).norm() / wide_b.norm().clamp_min(1e-12)).item<double>();
}

void PrintRow(const std::string& test, const std::string& required, double reached) {
  std::printf("| %s | %s | %.2g |\n", test.c_str(), required.c_str(), reached);
}

}  // namespace isoflop
