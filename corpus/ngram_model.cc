#include "corpus/ngram_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

constexpr char kMagic[] = "ISOFNGRM";
constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kHeaderBytes = 8 * 9;
constexpr std::size_t kRecordBytes = 24;
constexpr std::size_t kHashBytes = 32;

// Adds equal keys up; rising keys.
std::vector<NgramCount> Merged(std::vector<NgramCount> counts) {
  std::sort(counts.begin(), counts.end(), [](const NgramCount& a, const NgramCount& b) { return a.key < b.key; });
  std::size_t kept = 0;
  for (const NgramCount& one : counts) {
    if (kept > 0 && counts[kept - 1].key == one.key) {
      counts[kept - 1].count += one.count;
    } else {
      counts[kept++] = one;
    }
  }
  counts.resize(kept);
  return counts;
}

double DiscountOf(const std::vector<NgramCount>& counts) {
  double ones = 0, twos = 0;
  for (const NgramCount& one : counts) {
    ones += one.count == 1 ? 1 : 0;
    twos += one.count == 2 ? 1 : 0;
  }
  return ones > 0 && twos > 0 ? ones / (ones + 2 * twos) : 0.75;
}

std::uint64_t Word(const std::string& bytes, std::size_t offset) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

}  // namespace

absl::StatusOr<NgramModel> NgramModel::Make(std::int64_t vocab_size, int order, const NgramOptions& options,
                                            std::vector<NgramCount> counts) {
  if (counts.empty()) {
    return absl::InvalidArgumentError("an n-gram model of no tokens\ncure: count a text first");
  }
  if (options.smoothing == NgramSmoothing::kAddK && !(options.add_k > 0 && std::isfinite(options.add_k))) {
    return absl::InvalidArgumentError(absl::StrCat("add_k with k = ", options.add_k, ": k is above 0\ncure: k: 1"));
  }
  if (options.discount && !(*options.discount > 0 && *options.discount < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("a discount of ", *options.discount, " is not within (0, 1)\ncure: 0.75"));
  }
  return NgramModel(vocab_size, order, options, std::move(counts));
}

NgramModel::NgramModel(std::int64_t vocab_size, int order, const NgramOptions& options, std::vector<NgramCount> counts)
    : vocab_size_(vocab_size),
      order_(order),
      bits_(NgramSymbolBits(vocab_size)),
      options_(options),
      ngrams_(std::move(counts)),
      levels_(static_cast<std::size_t>(order)) {
  for (int n = 1; n <= order_; ++n) BuildLevel(n);
}

NgramKey NgramModel::SuffixOf(NgramKey key, int symbols) const { return key & ((NgramKey(1) << (symbols * bits_)) - 1); }

// Places before the stream's first token come first: the oldest symbol tells.
bool NgramModel::IsWhole(NgramKey key, int symbols) const {
  return symbols == 0 ||
         absl::Uint128Low64(key >> ((symbols - 1) * bits_)) != static_cast<std::uint64_t>(vocab_size_);
}

std::vector<NgramCount> NgramModel::CountsOfOrder(int n) const {
  std::vector<NgramCount> counts;
  for (const NgramCount& ngram : ngrams_) {
    const NgramKey suffix = SuffixOf(ngram.key, n);
    if (IsWhole(suffix, n)) counts.push_back({suffix, ngram.count});
  }
  return Merged(std::move(counts));
}

std::vector<NgramCount> NgramModel::ContinuationsOfOrder(int n) const {
  std::vector<NgramCount> counts;
  for (const NgramCount& longer : CountsOfOrder(n + 1)) counts.push_back({SuffixOf(longer.key, n), 1});
  return Merged(std::move(counts));
}

void NgramModel::BuildLevel(int n) {
  const bool continuations = options_.smoothing == NgramSmoothing::kKneserNey && n < order_;
  const std::vector<NgramCount> counts = continuations ? ContinuationsOfOrder(n) : CountsOfOrder(n);
  Level& level = levels_[static_cast<std::size_t>(n - 1)];
  level.discount = options_.discount.value_or(DiscountOf(counts));
  for (const NgramCount& one : counts) {
    level.counts[one.key] = static_cast<double>(one.count);
    Context& context = level.contexts[one.key >> bits_];
    context.total += static_cast<double>(one.count);
    ++context.types;
  }
  if (options_.smoothing == NgramSmoothing::kAbsoluteDiscount) BuildBackoff(n);
}

// a(h) = D t(h) / c(h) over what the lower order leaves to the unseen.
void NgramModel::BuildBackoff(int n) {
  Level& level = levels_[static_cast<std::size_t>(n - 1)];
  const NgramKey token_mask = (NgramKey(1) << bits_) - 1;
  absl::flat_hash_map<NgramKey, double> of_seen;  // sum of the lower order's p
  for (const auto& [key, count] : level.counts) {
    const auto token = static_cast<std::int64_t>(absl::Uint128Low64(key & token_mask));
    const NgramKey context = key >> bits_;
    of_seen[context] += n == 1 ? 1 / static_cast<double>(vocab_size_) : AtLevel(n - 1, SuffixOf(context, n - 2), token);
  }
  for (auto& [key, context] : level.contexts) {
    const double unseen = context.types < static_cast<double>(vocab_size_) ? 1 - of_seen[key] : 0;
    // Where nothing is left, nothing is taken (AtLevel).
    context.backoff = unseen > 1e-12 ? level.discount * context.types / context.total / unseen : 0;
  }
}

double NgramModel::AtLevel(int n, NgramKey context, std::int64_t token) const {
  const double uniform = 1 / static_cast<double>(vocab_size_);
  if (n == 0) return uniform;
  const Level& level = levels_[static_cast<std::size_t>(n - 1)];
  const auto found = level.contexts.find(context);
  const auto lower = [&] { return AtLevel(n - 1, n > 1 ? SuffixOf(context, n - 2) : NgramKey(0), token); };
  if (found == level.contexts.end()) return options_.smoothing == NgramSmoothing::kAddK ? uniform : lower();
  const Context& facts = found->second;
  const auto entry = level.counts.find((context << bits_) | NgramKey(static_cast<std::uint64_t>(token)));
  const double count = entry == level.counts.end() ? 0 : entry->second;
  switch (options_.smoothing) {
    case NgramSmoothing::kAddK:
      return (count + options_.add_k) / (facts.total + options_.add_k * static_cast<double>(vocab_size_));
    case NgramSmoothing::kAbsoluteDiscount:
      if (facts.backoff == 0) return count / facts.total;
      return count > 0 ? (count - level.discount) / facts.total : facts.backoff * lower();
    case NgramSmoothing::kKneserNey:
      if (n == 1 && !options_.interpolate_uniform) return count / facts.total;
      return std::max(count - level.discount, 0.0) / facts.total + level.discount * facts.types / facts.total * lower();
  }
  return uniform;
}

double NgramModel::Probability(std::span<const std::int64_t> context, std::int64_t token) const {
  const auto length = std::min<std::size_t>(context.size(), static_cast<std::size_t>(order_ - 1));
  NgramKey key = 0;
  for (const std::int64_t before : context.last(length)) {
    key = (key << bits_) | NgramKey(static_cast<std::uint64_t>(before));
  }
  return AtLevel(static_cast<int>(length) + 1, key, token);
}

std::vector<double> NgramModel::Distribution(std::span<const std::int64_t> context) const {
  std::vector<double> all(static_cast<std::size_t>(vocab_size_));
  for (std::size_t token = 0; token < all.size(); ++token) all[token] = Probability(context, static_cast<std::int64_t>(token));
  return all;
}

void NgramModel::LossesOf(std::span<const std::int64_t> tokens, std::span<double> losses) const {
  for (std::size_t i = 1; i < tokens.size(); ++i) losses[i - 1] = -std::log(Probability(tokens.first(i), tokens[i]));
}

double NgramModel::ConditionalEntropyNats(int n) const {
  absl::flat_hash_map<NgramKey, double> contexts;
  const std::vector<NgramCount> counts = CountsOfOrder(n);
  double total = 0;
  for (const NgramCount& one : counts) {
    contexts[one.key >> bits_] += static_cast<double>(one.count);
    total += static_cast<double>(one.count);
  }
  double sum = 0;
  for (const NgramCount& one : counts) {
    const auto count = static_cast<double>(one.count);
    sum -= count * std::log(count / contexts[one.key >> bits_]);
  }
  return total > 0 ? sum / total : 0;
}

absl::Status NgramModel::Save(const std::string& path) const {
  std::string bytes(kMagic, 8);
  for (const std::uint64_t word :
       {kFormat, static_cast<std::uint64_t>(vocab_size_), static_cast<std::uint64_t>(order_),
        static_cast<std::uint64_t>(options_.smoothing), std::bit_cast<std::uint64_t>(options_.add_k),
        std::bit_cast<std::uint64_t>(options_.discount.value_or(0)), static_cast<std::uint64_t>(options_.interpolate_uniform),
        static_cast<std::uint64_t>(ngrams_.size())}) {
    bytes += U64Bytes(word);
  }
  bytes.reserve(bytes.size() + kRecordBytes * ngrams_.size() + kHashBytes);
  for (const NgramCount& ngram : ngrams_) {
    bytes += U64Bytes(absl::Uint128Low64(ngram.key));
    bytes += U64Bytes(absl::Uint128High64(ngram.key));
    bytes += U64Bytes(ngram.count);
  }
  bytes += Sha256Bytes(bytes);
  return WriteDataFile(path, bytes);
}

absl::StatusOr<NgramModel> NgramModel::Load(const std::string& path) {
  std::string bytes;
  ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(path, &bytes));
  const auto bad = [&](std::size_t offset, const std::string& what) {
    return BadDataError(absl::StatusCode::kDataLoss, path, static_cast<std::int64_t>(offset), what, "count the model again");
  };
  if (bytes.size() < kHeaderBytes + kHashBytes) return bad(bytes.size(), "ends inside the header");
  if (bytes.compare(0, 8, kMagic) != 0) return bad(0, "is no n-gram model: another magic");
  if (Word(bytes, 8) != kFormat) return bad(8, absl::StrCat("format ", Word(bytes, 8), ", this build reads ", kFormat));
  const std::uint64_t records = Word(bytes, 64);
  if (records > bytes.size() / kRecordBytes || bytes.size() != kHeaderBytes + records * kRecordBytes + kHashBytes) {
    return bad(64, absl::StrCat(records, " n-grams in ", bytes.size(), " bytes"));
  }
  const std::string_view body(bytes.data(), bytes.size() - kHashBytes);
  if (Sha256Bytes(body) != bytes.substr(body.size())) return bad(body.size(), "its SHA-256 differs");
  const auto vocab_size = static_cast<std::int64_t>(Word(bytes, 16));
  const auto order = static_cast<int>(Word(bytes, 24));
  if (Word(bytes, 32) > 2) return bad(32, absl::StrCat("smoothing ", Word(bytes, 32)));
  ISOFLOP_CORPUS_RETURN_IF_ERROR(NgramCounts::Make(vocab_size, order).status());
  NgramOptions options;
  options.smoothing = static_cast<NgramSmoothing>(Word(bytes, 32));
  options.add_k = std::bit_cast<double>(Word(bytes, 40));
  const auto discount = std::bit_cast<double>(Word(bytes, 48));
  if (discount != 0) options.discount = discount;
  options.interpolate_uniform = Word(bytes, 56) != 0;
  std::vector<NgramCount> counts(records);
  for (std::size_t i = 0; i < records; ++i) {
    const std::size_t at = kHeaderBytes + i * kRecordBytes;
    counts[i] = {absl::MakeUint128(Word(bytes, at + 8), Word(bytes, at)), Word(bytes, at + 16)};
  }
  return Make(vocab_size, order, options, std::move(counts));
}

}  // namespace isoflop
