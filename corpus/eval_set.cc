#include "corpus/eval_set.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>

namespace isoflop {
namespace {

std::size_t Index(std::int64_t value) { return static_cast<std::size_t>(value); }

void CheckPlaces(std::size_t places, std::int64_t wanted, const char* what) {
  if (static_cast<std::int64_t>(places) == wanted) return;
  std::fprintf(stderr, "eval_set.cc: %zu places for %lld %s\n", places,
               static_cast<long long>(wanted), what);
  std::abort();
}

}  // namespace

EvalSet::EvalSet(const Dataset& dataset, std::int64_t sequence_length)
    : dataset_(&dataset),
      sequence_length_(sequence_length),
      target_count_(std::max<std::int64_t>(0, dataset.eval_tokens() - 1)) {
  const std::int64_t block_tokens = dataset.manifest().block_tokens;
  const std::int64_t eot_id = dataset.eot_id().value_or(-1);
  std::vector<std::int64_t> tokens;
  for (std::int64_t begin = 0; begin < dataset.eval_tokens();) {
    tokens.resize(Index(std::min<std::int64_t>(dataset.eval_tokens() - begin, 1 << 16)));
    dataset.FillEval(begin, tokens);
    for (const std::int64_t token : tokens) {
      const bool opens = block_tokens > 0 ? begin % block_tokens == 0 : token == eot_id;
      if (opens || begin == 0) {
        document_begins_.push_back(begin);
        document_targets_.push_back(0);
      }
      if (begin > 0) {
        ++document_targets_.back();
        if (!dataset.token_bytes().empty()) target_bytes_ += dataset.token_bytes()[Index(token)];
      }
      ++begin;
    }
  }
}

std::int64_t EvalSet::window_count() const {
  return (target_count_ + sequence_length_ - 1) / sequence_length_;
}

std::int64_t EvalSet::TargetsIn(std::int64_t window) const {
  return std::min(sequence_length_, target_count_ - window * sequence_length_);
}

void EvalSet::FillWindow(std::int64_t window, std::span<std::int64_t> tokens) const {
  CheckPlaces(tokens.size(), TargetsIn(window) + 1, "tokens");
  dataset_->FillEval(window * sequence_length_, tokens);
}

void EvalSet::FillWindow(std::int64_t window, std::span<std::int32_t> tokens) const {
  std::vector<std::int64_t> wide(tokens.size());
  FillWindow(window, std::span<std::int64_t>(wide));
  std::transform(wide.begin(), wide.end(), tokens.begin(),
                 [](std::int64_t token) { return static_cast<std::int32_t>(token); });
}

void EvalSet::FillDocuments(std::int64_t window, std::span<std::int64_t> documents) const {
  CheckPlaces(documents.size(), TargetsIn(window), "documents");
  std::int64_t target = window * sequence_length_ + 1;
  auto next = std::upper_bound(document_begins_.begin(), document_begins_.end(), target);
  for (std::int64_t& document : documents) {
    while (next != document_begins_.end() && *next <= target) ++next;
    document = next - document_begins_.begin() - 1;
    ++target;
  }
}

void EvalSet::FillBytes(std::int64_t window, std::span<std::int64_t> bytes) const {
  CheckPlaces(bytes.size(), TargetsIn(window), "byte counts");
  const std::span<const std::uint16_t> token_bytes = dataset_->token_bytes();
  dataset_->FillEval(window * sequence_length_ + 1, bytes);
  for (std::int64_t& entry : bytes) entry = token_bytes.empty() ? 0 : token_bytes[Index(entry)];
}

EvalLossSums::EvalLossSums(const EvalSet& set)
    : set_(&set), values_(Index(set.document_count() + 1), 0.0) {}

void EvalLossSums::Add(std::int64_t window, std::span<const double> losses_nats) {
  CheckPlaces(losses_nats.size(), set_->TargetsIn(window), "losses");
  std::vector<std::int64_t> documents(losses_nats.size());
  std::vector<std::int64_t> bytes(losses_nats.size());
  set_->FillDocuments(window, documents);
  set_->FillBytes(window, bytes);
  for (std::size_t i = 0; i < losses_nats.size(); ++i) {
    values_[Index(documents[i])] += losses_nats[i];
    if (bytes[i] > 0) values_.back() += losses_nats[i];
  }
}

void EvalLossSums::Add(std::int64_t window, std::span<const float> losses_nats) {
  const std::vector<double> wide(losses_nats.begin(), losses_nats.end());
  Add(window, std::span<const double>(wide));
}

EvalLoss EvalLossSums::Result() const {
  EvalLoss result;
  result.eval_tokens = set_->target_count();
  result.eval_bytes = set_->target_bytes();
  if (result.eval_tokens == 0) return result;
  double sum_nats = 0;
  for (std::size_t d = 0; d + 1 < values_.size(); ++d) sum_nats += values_[d];
  const auto sum_targets = static_cast<double>(result.eval_tokens);
  const double mean = sum_nats / sum_targets;
  result.loss_nats = mean;

  double squares = 0;
  double documents = 0;
  for (std::size_t d = 0; d + 1 < values_.size(); ++d) {
    const auto targets = static_cast<double>(set_->document_targets()[d]);
    if (targets == 0) continue;
    const double residual = values_[d] - mean * targets;
    squares += residual * residual;
    documents += 1;
  }
  if (documents >= 2) {
    result.loss_se = std::sqrt(documents / (documents - 1) * squares) / sum_targets;
  }
  if (result.eval_bytes > 0) {
    result.bits_per_byte =
        values_.back() / (std::numbers::ln2 * static_cast<double>(result.eval_bytes));
  }
  return result;
}

}  // namespace isoflop
