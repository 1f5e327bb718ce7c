#include "worker/trainer/batch_loader.h"

#include <algorithm>
#include <vector>

namespace isoflop {

BatchLoader::BatchLoader(const Dataset& dataset, const TrialSpec& trial, int rank, int world_size)
    : dataset_(&dataset),
      order_(WindowCount(dataset.train_tokens(), trial.sequence_length), dataset.dataset_sha256(),
             static_cast<uint64_t>(trial.seed)),
      batch_sequences_(trial.batch_sequences),
      sequence_length_(trial.sequence_length),
      share_(trial.batch_sequences / world_size),
      first_(rank * share_) {}

void BatchLoader::Fill(int64_t step, int64_t first, int64_t count, std::span<int64_t> inputs,
                       std::span<int64_t> targets) const {
  const auto length = static_cast<size_t>(sequence_length_);
  std::vector<int64_t> window(length + 1);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t sample = step * batch_sequences_ + first_ + first + i;
    dataset_->FillWindow(order_.WindowOfSample(sample), sequence_length_, std::span<int64_t>(window));
    const auto row = static_cast<size_t>(i) * length;
    std::copy_n(window.begin(), length, inputs.begin() + static_cast<std::ptrdiff_t>(row));
    std::copy_n(window.begin() + 1, length, targets.begin() + static_cast<std::ptrdiff_t>(row));
  }
}

}  // namespace isoflop
