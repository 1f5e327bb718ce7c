#include "corpus/zipf_markov.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "corpus/permutation.h"

namespace isoflop {
namespace {

constexpr char kPrefix[] = "zipf-markov:";

std::string ShortestText(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end);
}

// 5000000, 5M, 0.5B; -1: no such number.
std::int64_t ParseTokens(std::string text) {
  double factor = 1;
  if (!text.empty()) {
    for (const auto& [letter, value] : {std::pair{'K', 1e3}, {'M', 1e6}, {'B', 1e9}}) {
      if (text.back() == letter) factor = value;
    }
    if (factor != 1) text.pop_back();
  }
  double number = 0;
  if (!absl::SimpleAtod(text, &number) || !(number * factor <= 1e12)) return -1;
  return std::llround(number * factor);
}

std::size_t FirstAbove(const std::vector<double>& sums, double uniform) {
  const auto found = std::upper_bound(sums.begin(), sums.end(), uniform * sums.back());
  return std::min(static_cast<std::size_t>(found - sums.begin()), sums.size() - 1);
}

}  // namespace

absl::StatusOr<ZipfMarkov> ZipfMarkov::Parse(const std::string& spec) {
  const auto invalid = [&](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.synthetic: '", spec, "': ", what,
                     "; cure: zipf-markov:V,s,q,seed[,tokens], as zipf-markov:256,1.1,0.3,7"));
  };
  if (!absl::StartsWith(spec, kPrefix)) return invalid("no such synthetic source");
  const std::vector<std::string> parts =
      absl::StrSplit(spec.substr(sizeof(kPrefix) - 1), ',');
  if (parts.size() != 4 && parts.size() != 5) return invalid("wants four or five numbers");
  ZipfMarkov source;
  if (!absl::SimpleAtoi(parts[0], &source.vocab_size_) || source.vocab_size_ < 2 ||
      source.vocab_size_ > 4096) {
    return invalid(absl::StrCat("V '", parts[0], "' is not in [2, 4096]"));
  }
  if (!absl::SimpleAtod(parts[1], &source.exponent_) ||
      !(source.exponent_ >= 0 && source.exponent_ <= 10)) {
    return invalid(absl::StrCat("s '", parts[1], "' is not in [0, 10]"));
  }
  if (!absl::SimpleAtod(parts[2], &source.q_) || !(source.q_ >= 0 && source.q_ <= 1)) {
    return invalid(absl::StrCat("q '", parts[2], "' is not in [0, 1]"));
  }
  if (!absl::SimpleAtoi(parts[3], &source.seed_)) {
    return invalid(absl::StrCat("seed '", parts[3], "' is not a whole number from 0 on"));
  }
  if (parts.size() == 5) source.train_tokens_ = ParseTokens(parts[4]);
  if (source.train_tokens_ < 2 * kZipfMarkovDocumentTokens) {
    return invalid(absl::StrCat("tokens '", parts[4], "' is not a number from 2048 to 1e12"));
  }
  source.Solve();
  return source;
}

void ZipfMarkov::Solve() {
  const auto size = static_cast<std::size_t>(vocab_size_);
  zipf_.resize(size);
  for (std::size_t r = 0; r < size; ++r) {
    zipf_[r] = std::pow(static_cast<double>(r + 1), -exponent_);
  }
  const double total = std::accumulate(zipf_.begin(), zipf_.end(), 0.0);
  for (double& z : zipf_) z /= total;
  zipf_sums_.resize(size);
  std::partial_sum(zipf_.begin(), zipf_.end(), zipf_sums_.begin());

  token_of_rank_.resize(size * size);
  rank_of_token_.resize(size * size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint64_t key = SplitMix64(SplitMix64(seed_) + i);
    for (std::size_t r = 0; r < size; ++r) {
      const std::uint64_t token = Permute(r, size, key);
      token_of_rank_[i * size + r] = static_cast<std::uint16_t>(token);
      rank_of_token_[i * size + token] = static_cast<std::uint16_t>(r);
    }
  }

  // pi = pi P by repetition: each round shrinks the error by 1 - q at least,
  // and in fact by far more. Ends when a round moves less than 1e-15 in all.
  stationary_ = zipf_;
  std::vector<double> next(size);
  for (int round = 0; round < 10000; ++round) {
    for (std::size_t j = 0; j < size; ++j) next[j] = q_ * zipf_[j];
    for (std::size_t i = 0; i < size; ++i) {
      const double weight = (1 - q_) * stationary_[i];
      for (std::size_t r = 0; r < size; ++r) {
        next[token_of_rank_[i * size + r]] += weight * zipf_[r];
      }
    }
    const double sum = std::accumulate(next.begin(), next.end(), 0.0);
    double moved = 0;
    for (std::size_t j = 0; j < size; ++j) {
      next[j] /= sum;
      moved += std::abs(next[j] - stationary_[j]);
    }
    stationary_.swap(next);
    if (moved < 1e-15) break;
  }
  stationary_sums_.resize(size);
  std::partial_sum(stationary_.begin(), stationary_.end(), stationary_sums_.begin());

  entropy_rate_nats_ = 0;
  for (std::size_t i = 0; i < size; ++i) {
    double entropy = 0;
    for (std::size_t j = 0; j < size; ++j) {
      const double p = TransitionProbability(static_cast<std::uint32_t>(i),
                                             static_cast<std::uint32_t>(j));
      if (p > 0) entropy -= p * std::log(p);
    }
    entropy_rate_nats_ += stationary_[i] * entropy;
  }
}

std::string ZipfMarkov::Spec() const {
  return absl::StrCat(kPrefix, vocab_size_, ",", ShortestText(exponent_), ",", ShortestText(q_),
                      ",", seed_, ",", train_tokens_);
}

double ZipfMarkov::TransitionProbability(std::uint32_t previous, std::uint32_t next) const {
  const std::size_t rank = rank_of_token_[previous * static_cast<std::size_t>(vocab_size_) + next];
  return q_ * zipf_[next] + (1 - q_) * zipf_[rank];
}

ZipfMarkov::Stream::Stream(const ZipfMarkov& source, std::uint64_t number)
    : source_(&source),
      key_(SplitMix64(SplitMix64(source.seed_ + 0x5eed) + number)),
      random_(SplitMix64(key_)) {}

double ZipfMarkov::Stream::NextUniform() {
  // splitmix64's own sequence: the mix of a counter.
  const std::uint64_t value = SplitMix64(random_);
  random_ += 0x9e3779b97f4a7c15u;
  return static_cast<double>(value >> 11) * 0x1p-53;
}

std::uint32_t ZipfMarkov::Stream::Next() {
  if (position_ == 0) {
    last_ = static_cast<std::uint32_t>(FirstAbove(source_->stationary_sums_, NextUniform()));
  } else {
    const std::int64_t target = position_ - 1;
    if (target % kZipfMarkovDocumentTokens == 0) {
      const auto document = static_cast<std::uint64_t>(target / kZipfMarkovDocumentTokens);
      random_ = SplitMix64(key_ + SplitMix64(document));
    }
    const bool from_zipf = NextUniform() < source_->q_;
    const std::size_t rank = FirstAbove(source_->zipf_sums_, NextUniform());
    last_ = from_zipf ? static_cast<std::uint32_t>(rank) : source_->TokenOfRank(last_, rank);
  }
  ++position_;
  return last_;
}

}  // namespace isoflop
