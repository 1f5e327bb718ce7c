// A synthetic source with a known entropy: a Markov chain over V tokens whose
// next token is, with probability q, drawn from Zipf(s), and else from Zipf(s)
// permuted by the token before:
//
//   P(j | i) = q z_j + (1 - q) z_{r_i(j)},   z_r ~ (r + 1)^-s,
//
// where r_i(j) is the rank that token i gives to token j, a keyed permutation
// of (seed, i). No model can pass the entropy rate
// H = -sum_i pi_i sum_j P(j | i) ln P(j | i), pi the stationary distribution:
// the true floor E of a loss law, known to 1e-12.
//
// A stream begins with a token drawn from pi. Document d makes the tokens
// 1 + 1024 d ... 1024 (d + 1) with random numbers of (seed, stream, d), from
// the state in which the document before ended: that too is a draw from pi, so
// the floor of every target token is H, whatever the window that is trained
// on, and a longer stream begins with the shorter one.
//
// Immutable; safe from any thread.
#ifndef ISOFLOP_CORPUS_ZIPF_MARKOV_H_
#define ISOFLOP_CORPUS_ZIPF_MARKOV_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

inline constexpr std::int64_t kZipfMarkovDocumentTokens = 1024;
inline constexpr std::int64_t kZipfMarkovDefaultTokens = 20'000'000;

class ZipfMarkov {
 public:
  // "zipf-markov:V,s,q,seed[,tokens]": V in [2, 4096], s in [0, 10], q in
  // [0, 1], seed a u64, tokens (of training; also 5M, 1B) from 2048 on, 20 M
  // unless said. InvalidArgument names the part that is wrong.
  static absl::StatusOr<ZipfMarkov> Parse(const std::string& spec);

  // The canonical spec, all five parts in it.
  std::string Spec() const;
  std::int64_t vocab_size() const { return vocab_size_; }
  std::int64_t train_tokens() const { return train_tokens_; }

  // H in nats a token.
  double entropy_rate_nats() const { return entropy_rate_nats_; }
  // pi.
  const std::vector<double>& stationary() const { return stationary_; }
  // P(next | previous).
  double TransitionProbability(std::uint32_t previous, std::uint32_t next) const;

  // Hands out one stream from its beginning. Streams with different numbers
  // are independent. Keeps a pointer to the source.
  class Stream {
   public:
    Stream(const ZipfMarkov& source, std::uint64_t number);
    std::uint32_t Next();

   private:
    double NextUniform();  // in [0, 1)

    const ZipfMarkov* source_;
    std::uint64_t key_;
    std::uint64_t random_;
    std::int64_t position_ = 0;
    std::uint32_t last_ = 0;
  };

 private:
  ZipfMarkov() = default;
  void Solve();
  std::uint32_t TokenOfRank(std::uint32_t previous, std::size_t rank) const {
    return token_of_rank_[previous * static_cast<std::size_t>(vocab_size_) + rank];
  }

  // Constant after Parse.
  std::int64_t vocab_size_ = 0;
  double exponent_ = 0;
  double q_ = 0;
  std::uint64_t seed_ = 0;
  std::int64_t train_tokens_ = kZipfMarkovDefaultTokens;
  std::vector<double> zipf_;                  // (V) by rank
  std::vector<double> zipf_sums_;             // (V) running sums
  std::vector<std::uint16_t> token_of_rank_;  // (V, V): [previous][rank]
  std::vector<std::uint16_t> rank_of_token_;  // (V, V): [previous][token]
  std::vector<double> stationary_;            // (V)
  std::vector<double> stationary_sums_;       // (V) running sums
  double entropy_rate_nats_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_ZIPF_MARKOV_H_
