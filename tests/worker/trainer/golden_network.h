// The small networks of tools/record_reference.py, filled as that script fills
// them, and what PyTorch said about them (golden/*.safetensors).
#ifndef ISOFLOP_TESTS_WORKER_TRAINER_GOLDEN_NETWORK_H_
#define ISOFLOP_TESTS_WORKER_TRAINER_GOLDEN_NETWORK_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "study/model_shape.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

inline constexpr int64_t kGoldenBatch = 2, kGoldenPositions = 5, kGoldenSteps = 20;

struct GoldenCase {
  std::string name;
  ModelShape shape;
};

// Every norm x position x activation, then tied, qk-norm, bias and muP.
std::vector<GoldenCase> GoldenCases();

// Two layers through torch.nn.LSTM: with a head of its own, and tied.
std::vector<GoldenCase> GoldenLstmCases();

// Fills every parameter by its name, as the script does.
void FillByName(Parameters& parameters);

// Inputs and targets of `step`, each (B, T).
struct GoldenTokens {
  at::Tensor inputs_BT, targets_BT;
};
GoldenTokens TokensOfStep(int64_t step);

// (rows, T) tokens drawn uniformly from V, the same whatever ran before: Torch's own
// generator would hand each test what the others left of it.
at::Tensor RandomTokens(int64_t vocab_size, int64_t rows, int64_t positions);

// A recorded tensor, "rmsnorm-rope-gelu/logits" say; fails the test where it is
// not there.
at::Tensor Recorded(const std::string& name);

// |a - b| / |b|, L2.
double RelativeDistance(const at::Tensor& a, const at::Tensor& b);

// Prints "| test | required | reached |": a row of the table that
// tools/trainer_table.sh puts together.
void PrintRow(const std::string& test, const std::string& required, double reached);

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_TRAINER_GOLDEN_NETWORK_H_
