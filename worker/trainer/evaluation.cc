#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace isoflop {

Evaluation::Evaluation(const LanguageModel& model, const EvalSet& set, int64_t batch_sequences, at::Device device,
                       Communicator& communicator, std::function<void()> sign_of_life)
    : model_(&model),
      set_(&set),
      batch_sequences_(batch_sequences),
      device_(device),
      communicator_(&communicator),
      sign_of_life_(std::move(sign_of_life)) {}

void Evaluation::ForMyWindows(const std::vector<int64_t>& windows,
                              const std::function<void(int64_t, std::span<const float>)>& add) const {
  std::vector<int64_t> mine;
  for (size_t i = static_cast<size_t>(communicator_->rank()); i < windows.size();
       i += static_cast<size_t>(communicator_->world_size())) {
    mine.push_back(windows[i]);
  }
  for (size_t begin = 0; begin < mine.size();) {
    // Windows of one length go together; only the last of the set is shorter.
    const int64_t targets = set_->TargetsIn(mine[begin]);
    size_t end = begin;
    while (end < mine.size() && end < begin + static_cast<size_t>(batch_sequences_) &&
           set_->TargetsIn(mine[end]) == targets) {
      ++end;
    }
    const auto count = static_cast<int64_t>(end - begin);
    at::Tensor tokens = at::empty({count, targets + 1}, at::kLong);
    for (size_t i = begin; i < end; ++i) {
      int64_t* row = tokens.data_ptr<int64_t>() + static_cast<int64_t>(i - begin) * (targets + 1);
      set_->FillWindow(mine[i], std::span<int64_t>(row, static_cast<size_t>(targets + 1)));
    }
    tokens = tokens.to(device_);
    const at::Tensor losses_BT =
        model_->TokenLosses(tokens.narrow(1, 0, targets).contiguous(), tokens.narrow(1, 1, targets).contiguous())
            .cpu()
            .contiguous();
    for (size_t i = begin; i < end; ++i) {
      const float* row = losses_BT.data_ptr<float>() + static_cast<int64_t>(i - begin) * targets;
      add(mine[i], std::span<const float>(row, static_cast<size_t>(targets)));
    }
    begin = end;
    if (sign_of_life_) sign_of_life_();
  }
}

void Evaluation::SumOverRanks(std::span<double> values) const {
  if (communicator_->world_size() == 1) return;
  const at::Tensor host = at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble);
  at::Tensor sums = host.to(device_).clone();
  communicator_->AllReduceSum(sums)->Wait();
  host.copy_(sums);
}

EvalLoss Evaluation::Whole() const {
  std::vector<int64_t> windows(static_cast<size_t>(set_->window_count()));
  std::iota(windows.begin(), windows.end(), int64_t{0});
  EvalLossSums sums(*set_);
  ForMyWindows(windows, [&](int64_t window, std::span<const float> losses) { sums.Add(window, losses); });
  SumOverRanks(sums.values());
  return sums.Result();
}

Evaluation::Glance Evaluation::Spread(int64_t count) const {
  const int64_t all = set_->window_count();
  count = std::min(count, all);
  std::vector<int64_t> windows;
  Glance glance;
  for (int64_t i = 0; i < count; ++i) {
    windows.push_back(i * all / count);
    glance.eval_tokens += set_->TargetsIn(windows.back());
  }
  double sum_nats[1] = {0};
  ForMyWindows(windows, [&](int64_t, std::span<const float> losses) {
    for (float loss : losses) sum_nats[0] += loss;
  });
  SumOverRanks(sum_nats);
  glance.loss_nats = sum_nats[0] / static_cast<double>(glance.eval_tokens);
  return glance;
}

}  // namespace isoflop
