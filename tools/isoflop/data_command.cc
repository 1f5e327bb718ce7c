// isoflop data prepare, isoflop data inspect.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/dataset.h"
#include "corpus/inspect.h"
#include "corpus/prepare.h"
#include "corpus/source_files.h"
#include "corpus/zipf_markov.h"
#include "study/format.h"
#include "study/quantity.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

struct PrepareFlags {
  std::vector<std::string> sources;
  std::string output;
  std::string synthetic;
  std::string tokenizer = "bytes";
  std::string eval_share = "5%";
  std::string eval_tokens = "10M";
  std::string eval_by = "document";
  std::uint64_t eval_seed = 1;
  std::string dtype;
  std::string vocab_size;
  bool force = false;
};

struct InspectFlags {
  std::string path;
  std::string dtype;
  std::string vocab_size;
};

absl::StatusOr<int64_t> CountFlag(const char* flag, const std::string& text, const char* cure) {
  const std::optional<int64_t> count = ParseCount(text);
  if (!count.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": '", text, "' is not a whole number\ncure: ", flag, " ", cure));
  }
  return *count;
}

absl::StatusOr<PrepareOptions> ToOptions(const PrepareFlags& flags) {
  PrepareOptions options;
  options.sources = flags.sources;
  options.synthetic = flags.synthetic;
  options.tokenizer = flags.tokenizer;
  options.dtype = flags.dtype;
  options.replace = flags.force;
  const std::optional<double> share = ParseShare(flags.eval_share);
  if (!share.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--eval: '", flags.eval_share, "' is not a share\ncure: --eval 5%"));
  }
  options.split.permille = static_cast<int>(std::lround(1000 * *share));
  ISOFLOP_ASSIGN_OR_RETURN(options.split.max_tokens,
                           CountFlag("--eval-tokens", flags.eval_tokens, "10M"));
  ISOFLOP_ASSIGN_OR_RETURN(options.split.by, ParseSplitBy(flags.eval_by));
  options.split.seed = flags.eval_seed;
  if (!flags.vocab_size.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(options.vocab_size,
                             CountFlag("--vocab-size", flags.vocab_size, "50257"));
  }
  return options;
}

// What would be read, a line a file. The errors are those of the sources.
absl::StatusOr<std::vector<std::string>> DescribeSources(const PrepareOptions& options) {
  if (!options.synthetic.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(const ZipfMarkov source, ZipfMarkov::Parse(options.synthetic));
    return std::vector<std::string>{source.Spec()};
  }
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<SourceFile> files,
                           ListSources(options.sources, options.dtype));
  std::vector<std::string> lines;
  for (const SourceFile& file : files) {
    lines.push_back(absl::StrCat(file.path, " (", file.FormatName(), ", ",
                                 FormatBytes(static_cast<double>(file.bytes)), ")"));
  }
  return lines;
}

// A bar on a terminal, ten times a second at most; else a line each ten seconds.
class PrepareScreen {
 public:
  explicit PrepareScreen(bool quiet) : quiet_(quiet) {}

  void Show(const PrepareProgress& progress) {
    const auto period = UseRedraw() ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
    if (quiet_ || Clock::now() - shown_ < period) return;
    shown_ = Clock::now();
    const double share = progress.bytes_total > 0 ? static_cast<double>(progress.bytes_done) /
                                                        static_cast<double>(progress.bytes_total)
                                                  : 0;
    const double seconds = std::chrono::duration<double>(shown_ - begun_).count();
    std::string line = absl::StrFormat(
        "%s %3.0f%%  %s, %s tokens", ProgressBar(share, 18), 100 * share,
        Plural(progress.documents, "document"), FormatTokens(static_cast<double>(progress.tokens)));
    if (share > 0.02) absl::StrAppend(&line, "  ETA ", FormatSeconds(seconds * (1 - share) / share));
    if (UseRedraw()) {
      if (!block_.has_value()) block_.emplace();
      block_->Draw({line});
    } else {
      std::printf("%s\n", line.c_str());
      std::fflush(stdout);
    }
  }
  void Clear() {
    if (block_.has_value()) block_->Clear();
    block_.reset();
  }

 private:
  const bool quiet_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point shown_ = begun_;
  std::optional<LiveBlock> block_;
};

absl::StatusOr<int> RunPrepare(const PrepareFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const PrepareOptions options, ToOptions(flags));
  if (context.flags.dry_run) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<std::string> plan, DescribeSources(options));
    if (context.flags.json) {
      std::printf("%s\n", Json{{"schema", "isoflop.data_prepare/1"},
                               {"dry_run", true},
                               {"sources", plan},
                               {"output", flags.output}}
                              .dump()
                              .c_str());
      return kExitOk;
    }
    for (const std::string& line : plan) std::printf("would read %s\n", line.c_str());
    std::printf("would write %s/dataset.json\n", flags.output.c_str());
    return kExitOk;
  }
  PrepareScreen screen(context.flags.quiet || context.flags.json);
  const absl::StatusOr<PreparedSummary> summary = PrepareDataset(
      options, flags.output, [&](const PrepareProgress& progress) { screen.Show(progress); });
  screen.Clear();
  if (!summary.ok()) return summary.status();
  if (context.flags.json) {
    const Json object = {{"schema", "isoflop.data_prepare/1"},
                         {"path", summary->path},
                         {"dataset_sha256", summary->dataset_sha256},
                         {"documents", summary->documents},
                         {"train_tokens", summary->train_tokens},
                         {"eval_tokens", summary->eval_tokens},
                         {"source_bytes", summary->source_bytes},
                         {"was_there", summary->was_there}};
    std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  std::printf("%s%s\n", summary->DebugString().c_str(), summary->was_there ? ", were there" : "");
  if (!context.flags.quiet) {
    std::printf("  train %s, eval %s tokens\n  %s  sha256 %s\n",
                FormatTokens(static_cast<double>(summary->train_tokens)).c_str(),
                FormatTokens(static_cast<double>(summary->eval_tokens)).c_str(),
                summary->path.c_str(), summary->dataset_sha256.substr(0, 12).c_str());
  }
  return kExitOk;
}

Json EntropyJson(const CorpusEntropy& entropy) {
  const auto or_null = [](const auto& value) { return value.has_value() ? Json(*value) : Json(); };
  return {{"tokens", entropy.tokens},
          {"unigram_nats", entropy.unigram_nats},
          {"bigram_nats", entropy.bigram_nats},
          {"trigram_nats", entropy.trigram_nats},
          {"kneser_ney_order", kEntropyOrder},
          {"kneser_ney_nats", or_null(entropy.kneser_ney_nats)},
          {"counted_tokens", entropy.counted_tokens},
          {"held_out_tokens", entropy.held_out_tokens},
          {"xz_nats", or_null(entropy.xz_nats)},
          {"bytes_per_token", or_null(entropy.bytes_per_token)}};
}

Json ToJson(const DataInspection& facts) {
  const auto or_null = [](const auto& value) { return value.has_value() ? Json(*value) : Json(); };
  return {{"schema", "isoflop.data_inspect/1"},
          {"format", facts.format},
          {"dtype", facts.dtype.empty() ? Json() : Json(facts.dtype)},
          {"files", facts.files},
          {"bytes", facts.bytes},
          {"tokens", facts.tokens},
          {"train_tokens", facts.train_tokens > 0 ? Json(facts.train_tokens) : Json()},
          {"eval_tokens", facts.eval_tokens > 0 ? Json(facts.eval_tokens) : Json()},
          {"documents", or_null(facts.documents)},
          {"vocab_size", or_null(facts.vocab_size)},
          {"tokenizer", facts.tokenizer.empty() ? Json() : Json(facts.tokenizer)},
          {"hashes_ok", or_null(facts.hashes_ok)},
          {"dataset_sha256", facts.dataset_sha256.empty() ? Json() : Json(facts.dataset_sha256)},
          {"min_id", or_null(facts.min_id)},
          {"max_id", or_null(facts.max_id)},
          {"unigram_entropy_nats", facts.unigram_entropy_nats},
          {"bigram_entropy_nats", or_null(facts.bigram_entropy_nats)},
          {"entropy_rate_nats", or_null(facts.entropy_rate_nats)},
          {"entropy", facts.entropy.has_value() ? EntropyJson(*facts.entropy) : Json()}};
}

// A row an entropy: nats a token, bits a byte where bytes are known, its meaning.
std::string EntropyTable(const CorpusEntropy& entropy, const std::optional<double>& exact) {
  std::string text = absl::StrFormat("  %-22s %11s %10s  of %s tokens\n", "entropy", "nats/token", "bits/byte",
                                     FormatTokens(static_cast<double>(entropy.tokens)));
  const auto row = [&](const std::string& name, const std::optional<double>& nats, const std::string& meaning) {
    if (!nats.has_value()) return;
    const std::optional<double> bits = entropy.BitsPerByte(*nats);
    absl::StrAppendFormat(&text, "  %-22s %11.4f %10s  %s\n", name, *nats, bits ? absl::StrFormat("%.4f", *bits) : "", meaning);
  };
  row("single tokens", entropy.unigram_nats, "what a model without context reaches");
  row("given one before", entropy.bigram_nats, "bigram counts of this text itself: at or below what is reachable");
  row("given two before", entropy.trigram_nats, "trigram counts likewise; too low where pairs are rare");
  row(absl::StrCat("Kneser-Ney, order ", kEntropyOrder), entropy.kneser_ney_nats,
      absl::StrCat("on ", FormatTokens(static_cast<double>(entropy.held_out_tokens)), " held-out tokens after counting ",
                   FormatTokens(static_cast<double>(entropy.counted_tokens)), ": above the entropy rate"));
  row("xz -6", entropy.xz_nats, "packed size of the text: above the entropy rate");
  row("exact rate", exact, "of the synthetic source: the floor E that no model can pass");
  return text;
}

absl::StatusOr<int> RunInspect(const InspectFlags& flags, const Context& context) {
  InspectOptions options;
  options.dtype = flags.dtype;
  if (!flags.vocab_size.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(options.vocab_size,
                             CountFlag("--vocab-size", flags.vocab_size, "50257"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const DataInspection facts, InspectData(flags.path, options));
  if (context.flags.json) {
    std::printf("%s\n", ToJson(facts).dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  std::printf("%s\n", facts.Line().c_str());
  if (context.flags.quiet) return kExitOk;
  if (facts.train_tokens > 0) {
    std::printf("  train %s, eval %s tokens, sha256 %s\n",
                FormatTokens(static_cast<double>(facts.train_tokens)).c_str(),
                FormatTokens(static_cast<double>(facts.eval_tokens)).c_str(),
                facts.dataset_sha256.substr(0, 12).c_str());
  }
  if (facts.vocab_size.has_value()) {
    std::printf("  V %lld%s\n", static_cast<long long>(*facts.vocab_size),
                facts.tokenizer.empty() ? "" : absl::StrCat(" (", facts.tokenizer, ")").c_str());
  }
  std::string entropy = absl::StrFormat("  entropy of single tokens %.4g nats", facts.unigram_entropy_nats);
  if (facts.bigram_entropy_nats.has_value()) {
    absl::StrAppendFormat(&entropy, ", given the one before %.4g", *facts.bigram_entropy_nats);
  }
  if (facts.entropy_rate_nats.has_value()) {
    absl::StrAppendFormat(&entropy, ", exact rate (the floor E) %.6f", *facts.entropy_rate_nats);
  }
  std::printf("%s\n", entropy.c_str());
  if (facts.entropy.has_value()) std::printf("%s", EntropyTable(*facts.entropy, facts.entropy_rate_nats).c_str());
  return kExitOk;
}

}  // namespace

CommandBody AddDataCommand(CLI::App& app) {
  app.require_subcommand(1);
  const auto prepare_flags = std::make_shared<PrepareFlags>();
  const auto inspect_flags = std::make_shared<InspectFlags>();

  CLI::App* prepare = app.add_subcommand("prepare", "shards, split and dataset.json from text or token files");
  prepare->fallthrough();
  prepare->add_option("SOURCE", prepare_flags->sources,
                      "files or folders: text, JSONL (plain, .gz, .xz), llm.c or headerless .bin");
  prepare->add_option("-o,--output", prepare_flags->output, "folder of the data set")
      ->type_name("DIR")->required();
  prepare->add_option("--synthetic", prepare_flags->synthetic,
                      "in place of SOURCE: zipf-markov:V,s,q,seed[,tokens]")->type_name("SPEC");
  prepare->add_option("--tokenizer", prepare_flags->tokenizer, "bytes, or a SentencePiece .model")
      ->type_name("T");
  prepare->add_option("--eval", prepare_flags->eval_share, "share held out, 5% unless said")->type_name("SHARE");
  prepare->add_option("--eval-by", prepare_flags->eval_by, "document, directory or chapter");
  prepare->add_option("--eval-tokens", prepare_flags->eval_tokens, "most tokens of the evaluation set, 10M unless said");
  prepare->add_option("--eval-seed", prepare_flags->eval_seed, "of the split, 1 unless said");
  prepare->add_option("--dtype", prepare_flags->dtype, "of headerless token files: u16 or u32");
  prepare->add_option("--vocab-size", prepare_flags->vocab_size, "V of token files that name none")->type_name("V");
  prepare->add_flag("--force", prepare_flags->force, "replace another data set that is in DIR");

  CLI::App* inspect = app.add_subcommand("inspect", "says what a file or folder is and whether it is sound");
  inspect->fallthrough();
  inspect->add_option("PATH", inspect_flags->path, "a data set, token files or text")->required();
  inspect->add_option("--dtype", inspect_flags->dtype, "of headerless token files: u16 or u32");
  inspect->add_option("--vocab-size", inspect_flags->vocab_size, "V of token files that name none")->type_name("V");

  return [prepare, prepare_flags, inspect_flags](Context& context) -> absl::StatusOr<int> {
    return prepare->parsed() ? RunPrepare(*prepare_flags, context)
                             : RunInspect(*inspect_flags, context);
  };
}

}  // namespace isoflop
