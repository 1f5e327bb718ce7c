// What a trainer's `final` line says of a trial, with what it said of itself
// before: between the wire and the store. Fields are named like the columns.
#ifndef ISOFLOP_STUDY_TRIAL_RESULT_H_
#define ISOFLOP_STUDY_TRIAL_RESULT_H_

#include <cstdint>
#include <optional>
#include <string>

namespace isoflop {

// Losses in nats a target token. A missing number is nullopt, never 0.
struct TrialResult {
  int64_t step = 0;
  int64_t tokens_trained = 0;
  std::optional<double> final_loss_nats{};
  std::optional<double> final_loss_se{};
  std::optional<double> bits_per_byte{};
  int64_t eval_tokens = 0;
  std::optional<int64_t> eval_bytes{};
  std::string eval_sha256{};
  std::optional<int64_t> unique_tokens{};
  std::optional<double> train_loss_nats{};
  std::optional<double> flops_exact{};
  std::optional<double> wall_seconds{};
  std::optional<double> tokens_per_second{};
  std::optional<double> mfu{};
  std::optional<int64_t> peak_memory_bytes{};
  std::optional<bool> resumed_exact{};
  std::optional<int64_t> params_total{};
  std::string device{};
  std::string precision{};
  std::string program{};
  std::string tokenizer_sha256{};
  std::string sample_text{};  // that the trained model wrote; empty: none
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_TRIAL_RESULT_H_
