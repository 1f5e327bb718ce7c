#include "analysis/selection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/statistics.h"
#include "study/format.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// No trial of this world is beyond these; a number that is was not meant as one
// (1e300 for "missing", a unit applied twice).
constexpr double kMostParams = 1e18, kMostTokens = 1e21, kMostFlops = 1e40, kMostLoss = 1e6;
constexpr double kLeastLoss = 1e-12;

bool IsPositive(std::optional<double> value) { return value && std::isfinite(*value) && *value > 0; }

std::optional<double> LossOf(const Observation& observation, LossUnit unit) {
  if (unit == LossUnit::kBitsPerByte) return observation.bits_per_byte;
  return observation.final_loss_nats;
}

std::optional<double> FlopsOf(const Observation& observation, std::optional<double> params, FlopsConvention flops) {
  if (flops == FlopsConvention::kExact) {
    return observation.flops_exact ? observation.flops_exact : observation.flops_given;
  }
  if (!params) return std::nullopt;
  return 6 * *params * observation.tokens_trained;
}

// What is known of one observation under the analysis' conventions.
struct Facts {
  std::optional<double> params, flops, loss;
};

// The first rule that leaves the row out, with its detail.
struct Reason {
  ExclusionRule rule;
  std::string detail;
};

// Why `value` cannot be a quantity between 0 and `most`; nullopt: it can.
std::optional<Reason> NotWithin(const char* name, double value, double most) {
  if (!IsPositive(value)) {
    return Reason{ExclusionRule::kNonFinite, absl::StrCat(name, " ", value, std::isfinite(value) ? " is not above 0" : "")};
  }
  if (value > most) return Reason{ExclusionRule::kNonFinite, absl::StrCat(name, " ", value, " is beyond ", most)};
  return std::nullopt;
}

std::optional<Reason> FirstReason(const Observation& observation, const Facts& facts, const AnalysisOptions& options,
                                  std::map<std::string, std::string>* fingerprints) {
  if (observation.outcome == TrialOutcome::kDiverged) return Reason{ExclusionRule::kDiverged, "the loss diverged"};
  if (observation.outcome != TrialOutcome::kCompleted) {
    const std::string outcome = ToString(observation.outcome);
    return Reason{ExclusionRule::kNotCompleted, outcome.empty() ? "has not ended" : outcome};
  }
  if (!facts.params) {
    return Reason{ExclusionRule::kNonFinite,
                  absl::StrCat("no parameter count '", ToString(options.count), "'")};
  }
  if (std::optional<Reason> reason = NotWithin("params", *facts.params, kMostParams)) return reason;
  if (std::optional<Reason> reason = NotWithin("tokens", observation.tokens_trained, kMostTokens)) return reason;
  if (!facts.flops) return Reason{ExclusionRule::kNonFinite, "no exact FLOPs"};
  if (std::optional<Reason> reason = NotWithin("FLOPs", *facts.flops, kMostFlops)) return reason;
  if (!facts.loss) return Reason{ExclusionRule::kNonFinite, absl::StrCat("no loss in ", ToString(options.spec.loss))};
  if (std::optional<Reason> reason = NotWithin("loss", *facts.loss, kMostLoss)) return reason;
  if (*facts.loss < kLeastLoss) {
    return Reason{ExclusionRule::kNonFinite, absl::StrCat("loss ", *facts.loss, " is below ", kLeastLoss)};
  }
  if (observation.schedule_ended == false) {
    return Reason{ExclusionRule::kScheduleNotEnded, "the learning rate had not reached its end"};
  }
  const bool repeats_count = options.spec.form == ToString(LawForm::kDataConstrained);
  if (!repeats_count && observation.unique_tokens && observation.tokens_trained > *observation.unique_tokens) {
    return Reason{ExclusionRule::kRepeatedData,
                  absl::StrCat(FormatSignificant(observation.tokens_trained / *observation.unique_tokens, 3), " epochs")};
  }
  if (!options.eval_sha256.empty() && observation.eval_sha256 != options.eval_sha256) {
    return Reason{ExclusionRule::kWrongEvalSet, observation.eval_sha256.substr(0, 12)};
  }
  if (!observation.fingerprint.empty()) {
    const auto [first, is_new] = fingerprints->emplace(observation.fingerprint, observation.source);
    if (!is_new) return Reason{ExclusionRule::kDuplicateFingerprint, absl::StrCat("the same as ", first->second)};
  }
  if (options.filtered_sources.contains(observation.source)) {
    return Reason{ExclusionRule::kUserFilter, "not selected by --where"};
  }
  return std::nullopt;
}

Exclusion ExclusionOf(const Observation& observation, const Facts& facts, ExclusionRule rule, std::string detail) {
  Exclusion exclusion;
  exclusion.source = observation.source;
  exclusion.trial_id = observation.trial_id;
  exclusion.rule = rule;
  exclusion.detail = std::move(detail);
  if (IsPositive(facts.params)) exclusion.params = facts.params;
  if (IsPositive(observation.tokens_trained)) exclusion.tokens = observation.tokens_trained;
  if (IsPositive(facts.flops)) exclusion.flops = facts.flops;
  if (IsPositive(facts.loss)) exclusion.loss = facts.loss;
  return exclusion;
}

// The `count` largest losses leave, ties by row: never by a threshold, under
// which ties would drop more.
void DropOutliers(int count, Selection* selection) {
  std::vector<size_t> order(selection->rows.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t x, size_t y) { return selection->rows[x].loss > selection->rows[y].loss; });
  order.resize(std::min(order.size(), static_cast<size_t>(std::max(count, 0))));
  std::sort(order.begin(), order.end());
  for (const size_t i : order) {
    const KeptRow& row = selection->rows[i];
    selection->exclusions.push_back(ExclusionOf(row.observation, {row.params, row.flops, row.loss},
                                                ExclusionRule::kOutlier,
                                                absl::StrFormat("outlier(%d): loss %s", count, FormatLoss(row.loss))));
  }
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    selection->rows.erase(selection->rows.begin() + static_cast<std::ptrdiff_t>(*i));
  }
}

void WeighByRun(std::vector<KeptRow>* rows) {
  for (KeptRow& row : *rows) {
    const std::string& run = row.observation.trial_id;
    if (run.empty()) continue;
    row.weight = 1.0 / static_cast<double>(std::count_if(rows->begin(), rows->end(), [&](const KeptRow& other) {
      return other.observation.trial_id == run;
    }));
  }
}

int CountIf(const Selection& selection, bool (*condition)(const Observation&)) {
  return static_cast<int>(std::count_if(selection.rows.begin(), selection.rows.end(),
                                        [&](const KeptRow& row) { return condition(row.observation); }));
}

void WarnOfInputs(Selection* selection) {
  const size_t kept = selection->rows.size();
  const auto warn = [&](Code code, std::string message) { selection->warnings.push_back({code, std::move(message)}); };
  const auto repeated = std::count_if(selection->exclusions.begin(), selection->exclusions.end(),
                                      [](const Exclusion& e) { return e.rule == ExclusionRule::kRepeatedData; });
  if (repeated > 0) warn(Code::kRepeatedData, absl::StrCat(Plural(repeated, "row"), " saw data twice and are left out"));
  const int open = CountIf(*selection, [](const Observation& o) { return !o.schedule_ended.has_value(); });
  if (open > 0) warn(Code::kScheduleNotEnded, absl::StrCat("not known for ", open, " of ", Plural(kept, "row")));
  const int unnamed = CountIf(*selection, [](const Observation& o) { return o.params_unnamed.has_value(); });
  if (unnamed > 0) {
    selection->count_known = false;
    warn(Code::kConventionUnknown, "N is one unnamed count, with or without embeddings is not known");
  }
  const int derived = CountIf(*selection, [](const Observation& o) { return o.tokens_derived; });
  if (derived > 0) {
    warn(Code::kTokensDerived, absl::StrCat("N or D of ", derived, " of ", Plural(kept, "row"),
                                            " follows from C = 6ND, which ties their errors"));
  }
  std::vector<double> ratios;
  for (const KeptRow& row : selection->rows) ratios.push_back(row.tokens / row.params);
  if (!ratios.empty() && Median(ratios) < 0.1) {
    warn(Code::kRatioSuspicious, absl::StrCat("the median D/N is ", FormatSignificant(Median(ratios), 3),
                                              ": D is about 20 N at the optimum, not N about 20 D"));
  }
}

// A trained model costs less than a uniform guess, ln V nats. Losses above that, or
// byte losses that equal the bits of a byte, are bits under the name of nats.
void WarnOfUnit(const AnalysisOptions& options, Selection* selection) {
  if (options.spec.loss != LossUnit::kNats) return;
  int with_vocabulary = 0, above = 0, with_both = 0, equal = 0;
  const KeptRow* first = nullptr;
  for (const KeptRow& row : selection->rows) {
    const auto vocabulary = static_cast<double>(row.observation.vocab_size);
    if (vocabulary < 2) continue;
    ++with_vocabulary;
    if (row.loss > std::log(vocabulary)) {
      ++above;
      if (first == nullptr) first = &row;
    }
    // A token of a byte vocabulary is a byte, of ln 2 nats a bit.
    if (vocabulary <= 260 && row.observation.bits_per_byte) {
      ++with_both;
      if (std::abs(*row.observation.bits_per_byte / row.loss - 1) < 1e-3) ++equal;
    }
  }
  if (above > 0) {
    selection->warnings.push_back(
        {Code::kMixedEvaluation,
         absl::StrCat(above, " of ", with_vocabulary, " losses are above ln V = ",
                      FormatLoss(std::log(static_cast<double>(first->observation.vocab_size))), ", a uniform guess (",
                      first->observation.source, ": ", FormatLoss(first->loss),
                      "): are they bits? nats = bits ln 2, --derive loss=loss*0.6931471805599453")});
  } else if (with_both > 0 && equal == with_both) {
    selection->warnings.push_back(
        {Code::kMixedEvaluation,
         "the nats of a byte equal its bits: nats = bits ln 2, --derive loss=bits_per_byte*0.6931471805599453"});
  }
}

// Losses under different tokens or texts are different quantities.
void RefuseMixedEvaluation(const AnalysisOptions& options, Selection* selection) {
  std::set<std::string> sets, tokenizers;
  for (const KeptRow& row : selection->rows) {
    if (!row.observation.eval_sha256.empty()) sets.insert(row.observation.eval_sha256);
    if (!row.observation.tokenizer_sha256.empty()) tokenizers.insert(row.observation.tokenizer_sha256);
  }
  if (sets.size() > 1) {
    selection->refusal = Refusal{Code::kMixedEvaluation, absl::StrCat("losses on ", sets.size(), " evaluation sets"),
                                 "--where \"eval_sha256 = '...'\""};
  } else if (tokenizers.size() > 1 && options.spec.loss == LossUnit::kNats) {
    selection->refusal =
        Refusal{Code::kMixedEvaluation, absl::StrCat("nats of ", tokenizers.size(), " tokenizers"),
                "analysis.loss: bits_per_byte, or --where \"tokenizer_sha256 = '...'\""};
  }
}

}  // namespace

std::optional<double> ParamsOf(const Observation& observation, CountConvention count) {
  if (observation.params_unnamed) return observation.params_unnamed;
  if (!observation.params_blocks) return std::nullopt;
  const double blocks = *observation.params_blocks;
  const double embedding = observation.params_embedding.value_or(0);
  const double head = observation.params_head.value_or(0);
  switch (count) {
    case CountConvention::kNonEmbedding:
      return blocks;
    case CountConvention::kNonEmbeddingPlusHead:
      // A tied head multiplies too: its V d is the embedding's.
      if (!observation.params_embedding && !observation.params_head) return std::nullopt;
      return blocks + (head > 0 ? head : embedding);
    case CountConvention::kTotal:
      if (!observation.params_embedding) return std::nullopt;
      return blocks + embedding + head + observation.params_position.value_or(0);
  }
  return std::nullopt;
}

Selection SelectRows(absl::Span<const Observation> observations, const AnalysisOptions& options) {
  Selection selection;
  std::map<std::string, std::string> fingerprints;  // to the first source that had it
  for (const Observation& observation : observations) {
    Facts facts;
    facts.params = ParamsOf(observation, options.count);
    facts.flops = FlopsOf(observation, facts.params, options.flops);
    facts.loss = LossOf(observation, options.spec.loss);
    if (std::optional<Reason> reason = FirstReason(observation, facts, options, &fingerprints)) {
      selection.exclusions.push_back(ExclusionOf(observation, facts, reason->rule, std::move(reason->detail)));
      continue;
    }
    KeptRow row;
    row.observation = observation;
    row.params = *facts.params;
    row.tokens = observation.tokens_trained;
    row.flops = *facts.flops;
    row.loss = *facts.loss;
    selection.rows.push_back(std::move(row));
  }
  DropOutliers(options.spec.outliers, &selection);
  if (options.spec.weights == FitWeights::kByRun) WeighByRun(&selection.rows);
  WarnOfInputs(&selection);
  WarnOfUnit(options, &selection);
  RefuseMixedEvaluation(options, &selection);
  return selection;
}

std::string HashObservations(absl::Span<const Observation> observations) {
  std::string text;
  const auto number = [&](std::optional<double> value) {
    absl::StrAppend(&text, value ? absl::StrFormat("%.17g", *value) : "", ",");
  };
  for (const Observation& row : observations) {
    absl::StrAppend(&text, row.trial_id, ",", row.config_id, ",", row.fingerprint, ",", row.eval_sha256, ",");
    absl::StrAppend(&text, row.tokenizer_sha256, ",", ToString(row.outcome), ",", row.seed, ",");
    for (const std::optional<double>& value :
         {row.params_embedding, row.params_position, row.params_head, row.params_blocks, row.params_unnamed,
          std::optional<double>(row.tokens_trained), row.unique_tokens, row.flops_exact, row.flops_given,
          row.budget_flops, std::optional<double>(row.final_loss_nats), row.bits_per_byte, row.final_loss_se}) {
      number(value);
    }
    absl::StrAppend(&text, row.tokens_derived ? "derived" : "", ",",
                    row.schedule_ended ? (*row.schedule_ended ? "ended" : "open") : "", "\n");
  }
  return Sha256Hex(text);
}

}  // namespace isoflop
