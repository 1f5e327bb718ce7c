#include "worker/trainer/text_tools.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/dataset.h"
#include "corpus/file_access.h"
#include "corpus/source_files.h"
#include "corpus/text_documents.h"
#include "nlohmann/json.hpp"
#include "study/format.h"
#include "study/status_macros.h"
#include "worker/trainer/attention_picture.h"
#include "worker/trainer/llama_exchange.h"
#include "worker/trainer/open_text_model.h"
#include "worker/trainer/text_generation.h"
#include "worker/trainer/text_loss.h"
#include "worker/trainer/transformer.h"

namespace isoflop {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  OpenTextModelOptions open;
  std::string name;  // how people call the model: "trial 17"
  bool json = false, quiet = false, no_cache = false;
  int threads = 0;
  // perplexity
  std::string data;
  // generate
  std::optional<std::string> prompt;
  std::string prompt_file;
  GenerationOptions generation;
  std::optional<int64_t> top_k;
  // attention
  std::string text, output;
  int64_t layer = 0;
  std::optional<int64_t> head;
  // checkpoint-*
  std::string directory, tokenizer;
};

std::string Print(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string NameOf(const Flags& flags, const OpenedTextModel& model) {
  return flags.name.empty() ? absl::StrCat("checkpoint of step ", model.state.step) : absl::StrCat(flags.name, ", step ", model.state.step);
}

absl::StatusOr<std::unique_ptr<OpenedTextModel>> Open(const Flags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  OpenTextModelOptions options = flags.open;
  options.cached = !flags.no_cache;
  return OpenTextModel(options);
}

// --- perplexity -----------------------------------------------------------------

// The documents of a text or JSONL file, each behind an end of text, or the evaluation
// stream of a data set.
absl::StatusOr<std::vector<int64_t>> TokensOf(const std::string& data, const OpenedTextModel& model) {
  std::error_code ignored;
  std::string manifest = data;
  if (std::filesystem::is_directory(data, ignored)) manifest = (std::filesystem::path(data) / "dataset.json").string();
  if (absl::EndsWith(manifest, "dataset.json") && std::filesystem::exists(manifest, ignored)) {
    ISOFLOP_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(manifest));
    if (dataset.tokenizer_sha256() != model.tokenizer->facts().sha256) {
      return absl::InvalidArgumentError(absl::StrCat(manifest, ": tokens of ", dataset.tokenizer_id(), ", the model reads ",
                                                     model.tokenizer->facts().id, "\ncure: give the text itself"));
    }
    std::vector<int64_t> tokens(static_cast<size_t>(dataset.eval_tokens()));
    dataset.FillEval(0, tokens);
    return tokens;
  }
  std::vector<int64_t> tokens;
  const auto add = [&](std::string_view document, std::int64_t) -> absl::Status {
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<int64_t> more, EncodeText(model, std::string(document)));
    tokens.insert(tokens.end(), more.begin(), more.end());
    return absl::OkStatus();
  };
  if (data == "-") {
    const std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    if (!text.empty()) ISOFLOP_RETURN_IF_ERROR(add(text, 0));
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<SourceFile> files, ListSources({data}, /*dtype=*/""));
    for (const SourceFile& file : files) {
      if (IsTokens(file.kind)) {
        return absl::InvalidArgumentError(absl::StrCat(file.path, ": token ids, not text\ncure: a text, JSONL or a prepared data set"));
      }
      ISOFLOP_RETURN_IF_ERROR(ForEachDocument(file, SplitBy::kDocument, add).status());
    }
  }
  if (tokens.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(data, ": no text to measure (", tokens.size(), " tokens)\ncure: a text of one character or more"));
  }
  return tokens;
}

absl::StatusOr<int> RunPerplexity(const Flags& flags) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto model, Open(flags));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<int64_t> tokens, TokensOf(flags.data, *model));
  const auto begin = std::chrono::steady_clock::now();
  const bool live = isatty(STDERR_FILENO) != 0 && !flags.quiet;
  const auto progress = [&](int64_t done) {
    if (live) std::fprintf(stderr, "\r%3.0f %%", 100 * static_cast<double>(done) / static_cast<double>(tokens.size() - 1));
  };
  const TextLoss loss = LossOfText(*model->text, tokens, model->tokenizer->token_bytes(), progress);
  if (live) std::fprintf(stderr, "\r     \r");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!std::isfinite(loss.loss_nats)) return absl::DataLossError(absl::StrCat(flags.data, ": the loss is ", loss.loss_nats, "\ncure: another checkpoint"));
  const bool is_short = loss.tokens < model->text->context_tokens() && !model->counts.has_value();
  if (flags.json) {
    std::printf("%s\n", Print({{"schema", "isoflop.perplexity/1"},
                               {"model", NameOf(flags, *model)},
                               {"step", model->state.step},
                               {"loss_nats", loss.loss_nats},
                               {"perplexity", loss.perplexity()},
                               {"bits_per_byte", loss.bits_per_byte.has_value() ? Json(*loss.bits_per_byte) : Json(nullptr)},
                               {"tokens", loss.tokens},
                               {"bytes", loss.bytes},
                               {"context_tokens", model->counts.has_value() ? model->counts->order() - 1 : model->text->context_tokens()},
                               {"shorter_than_context", is_short},
                               {"device", model->device},
                               {"tokens_per_second", static_cast<double>(loss.tokens) / std::max(seconds, 1e-9)}}).c_str());
    return 0;
  }
  std::printf("%s nats/token, perplexity %s%s\n", FormatLoss(loss.loss_nats).c_str(), FormatSignificant(loss.perplexity(), 4).c_str(),
              loss.bits_per_byte.has_value() ? absl::StrCat(", ", FormatLoss(*loss.bits_per_byte), " bits/byte").c_str() : "");
  if (flags.quiet) return 0;
  std::printf("  %s tokens, %s, %s\n", FormatTokens(static_cast<double>(loss.tokens)).c_str(),
              FormatBytes(static_cast<double>(loss.bytes)).c_str(), NameOf(flags, *model).c_str());
  if (is_short) {
    std::printf("  shorter than the model's window of %lld tokens: its first tokens, which have little before them, weigh more than in training\n",
                static_cast<long long>(model->text->context_tokens()));
  }
  return 0;
}

// --- generate -------------------------------------------------------------------

absl::StatusOr<std::string> PromptOf(const Flags& flags) {
  if (!flags.prompt_file.empty()) {
    if (flags.prompt.has_value()) return absl::InvalidArgumentError("--prompt-file: --prompt is given too\ncure: one of them");
    std::string text;
    ISOFLOP_RETURN_IF_ERROR(ReadWholeFile(flags.prompt_file, &text));
    if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(flags.prompt_file, ": empty\ncure: leave it out to begin a document"));
    return text;
  }
  if (!flags.prompt.has_value()) return "";
  if (flags.prompt->empty()) return absl::InvalidArgumentError("--prompt: empty\ncure: leave it out to begin a document");
  return *flags.prompt;
}

absl::StatusOr<int> RunGenerate(const Flags& flags) {
  if (flags.generation.tokens < 1) return absl::InvalidArgumentError(absl::StrCat("--tokens ", flags.generation.tokens, ": 1 or more\ncure: --tokens 256"));
  ISOFLOP_ASSIGN_OR_RETURN(const std::string prompt, PromptOf(flags));
  GenerationOptions options = flags.generation;
  // Nothing is loaded for a flag that cannot be.
  if (flags.top_k.has_value() && *flags.top_k < 1) {
    return absl::InvalidArgumentError(absl::StrCat("--top-k ", *flags.top_k, ": 1 or more\ncure: leave it out for all tokens"));
  }
  options.sampling.top_k = flags.top_k.value_or(0);
  ISOFLOP_ASSIGN_OR_RETURN(const auto model, Open(flags));
  ISOFLOP_RETURN_IF_ERROR(CheckSampling(options.sampling, model->text->vocab_size()));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<int64_t> tokens, EncodeText(*model, prompt));
  if (tokens.empty()) return absl::InvalidArgumentError("--prompt: the tokenizer has no end of text to begin a document with\ncure: give a prompt");
  const bool streams = !flags.json;
  if (streams && !flags.quiet) std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  const auto begin = std::chrono::steady_clock::now();
  std::optional<double> first_seconds;
  const auto seconds_now = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  ISOFLOP_ASSIGN_OR_RETURN(const GeneratedText made,
                           GenerateText(*model->text, *model->tokenizer, model->state.eot_id, tokens, options, [&](std::string_view piece) {
                             if (!first_seconds) first_seconds = seconds_now();
                             if (!streams) return;
                             std::fwrite(piece.data(), 1, piece.size(), stdout);
                             std::fflush(stdout);
                           }));
  const double seconds = seconds_now();
  const double rate = static_cast<double>(made.tokens.size()) / std::max(seconds, 1e-9);
  if (flags.json) {
    std::printf("%s\n", Print({{"schema", "isoflop.generate/1"},
                               {"model", NameOf(flags, *model)},
                               {"step", model->state.step},
                               {"prompt", prompt},
                               {"text", made.text},
                               {"tokens", made.tokens},
                               {"end", ToString(made.end)},
                               {"seed", options.sampling.seed},
                               {"temperature", options.sampling.temperature},
                               {"top_k", flags.top_k.has_value() ? Json(*flags.top_k) : Json(nullptr)},
                               {"top_p", options.sampling.top_p},
                               {"device", model->device},
                               {"seconds", seconds},
                               {"tokens_per_second", rate}}).c_str());
    return 0;
  }
  std::printf("\n");
  std::fflush(stdout);
  if (!flags.quiet) {
    std::fprintf(stderr, "%s: %s in %.2f s, %s tokens/s, %s\n", NameOf(flags, *model).c_str(), Plural(static_cast<int64_t>(made.tokens.size()), "token").c_str(), seconds,
                 FormatSignificant(rate, 3).c_str(), made.end == GenerationEnd::kTokens ? "length reached" : made.end == GenerationEnd::kStop ? "stop found" : "end of text");
  }
  return 0;
}

// --- attention ------------------------------------------------------------------

absl::StatusOr<int> RunAttention(const Flags& flags) {
  if (flags.text.empty()) return absl::InvalidArgumentError("--text: empty\ncure: --text \"It is a truth\"");
  ISOFLOP_ASSIGN_OR_RETURN(const auto model, Open(flags));
  const ModelShape& shape = model->trial.model;
  const auto* transformer = dynamic_cast<const Transformer*>(model->network.get());
  if (transformer == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("a model of family ", ToString(shape.family), " has no attention\ncure: a trial of family transformer"));
  }
  if (flags.layer < 0 || flags.layer >= shape.n_layer) {
    return absl::InvalidArgumentError(absl::StrCat("--layer ", flags.layer, ": the model has ", Plural(shape.n_layer, "layer"), "\ncure: 0 to ", shape.n_layer - 1));
  }
  if (flags.head.has_value() && (*flags.head < 0 || *flags.head >= shape.n_head)) {
    return absl::InvalidArgumentError(absl::StrCat("--head ", *flags.head, ": the layer has ", Plural(shape.n_head, "head"), "\ncure: 0 to ", shape.n_head - 1));
  }
  AttentionGrid grid;
  ISOFLOP_ASSIGN_OR_RETURN(grid.ids, EncodeText(*model, flags.text));
  const auto tokens = static_cast<int64_t>(grid.ids.size());
  if (tokens > model->trial.sequence_length) {
    return absl::InvalidArgumentError(absl::StrCat("--text: ", tokens, " tokens with the end of text before them, the model sees ",
                                                   model->trial.sequence_length, "\ncure: a shorter text"));
  }
  for (const int64_t id : grid.ids) {
    const auto token = static_cast<uint32_t>(id);
    grid.labels.push_back(TokenLabel(id, id == model->state.eot_id, id < model->tokenizer->facts().vocab_size ? model->tokenizer->Decode(std::span<const uint32_t>(&token, 1)) : ""));
  }
  const at::Tensor inputs_BT = at::tensor(at::ArrayRef<int64_t>(grid.ids), at::kLong).view({1, tokens}).to(model->parameters->weights().device());
  const at::Tensor all_HTT = transformer->AttentionWeights(inputs_BT, flags.layer).select(0, 0).cpu().contiguous();
  grid.layer = flags.layer;
  grid.title = absl::StrCat(NameOf(flags, *model), ", layer ", flags.layer);
  for (int64_t head = 0; head < shape.n_head; ++head) {
    if (flags.head.has_value() && *flags.head != head) continue;
    grid.heads.push_back(head);
    const float* from = all_HTT.const_data_ptr<float>() + head * tokens * tokens;
    grid.weights.insert(grid.weights.end(), from, from + tokens * tokens);
  }
  const std::string numbers = AttentionJson(grid);
  std::string beside;
  if (!flags.output.empty()) {
    ISOFLOP_RETURN_IF_ERROR(WriteDataFile(flags.output, AttentionSvg(grid)));
    beside = std::filesystem::path(flags.output).replace_extension(".json").string();
    ISOFLOP_RETURN_IF_ERROR(WriteDataFile(beside, numbers));
  }
  if (flags.json || flags.output.empty()) {
    std::printf("%s", numbers.c_str());
    return 0;
  }
  std::printf("%s: %s of layer %lld over %s; numbers in %s\n", flags.output.c_str(), Plural(static_cast<int64_t>(grid.heads.size()), "head").c_str(),
              static_cast<long long>(flags.layer), Plural(tokens, "token").c_str(), beside.c_str());
  return 0;
}

// --- logits -----------------------------------------------------------------------

// The network's numbers as they are, to hold another program's to them.
absl::StatusOr<int> RunLogits(const Flags& flags) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto model, Open(flags));
  if (model->network == nullptr) return absl::InvalidArgumentError("a counted model has no logits\ncure: a trial of family transformer or lstm");
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, EncodeText(*model, flags.text));
  const auto tokens = static_cast<int64_t>(ids.size());
  if (tokens < 1 || tokens > model->trial.sequence_length) {
    return absl::InvalidArgumentError(absl::StrCat("--text: ", tokens, " tokens, the model sees 1 to ", model->trial.sequence_length, "\ncure: another text"));
  }
  at::NoGradGuard no_grad;
  const at::Tensor inputs_BT = at::tensor(at::ArrayRef<int64_t>(ids), at::kLong).view({1, tokens}).to(model->parameters->weights().device());
  const at::Tensor logits_TV = model->network->Logits(inputs_BT).select(0, 0).to(at::kDouble).cpu().contiguous();
  Json rows = Json::array();
  for (int64_t t = 0; t < tokens; ++t) {
    const double* from = logits_TV.const_data_ptr<double>() + t * logits_TV.size(1);
    rows.push_back(std::vector<double>(from, from + logits_TV.size(1)));
  }
  std::printf("%s\n", Print({{"schema", "isoflop.logits/1"}, {"model", NameOf(flags, *model)}, {"ids", ids}, {"logits", rows}}).c_str());
  return 0;
}

// --- checkpoint-export, checkpoint-import -----------------------------------------

int TellExchanged(const Flags& flags, const ExchangedModel& made, const char* schema) {
  if (flags.json) {
    std::printf("%s\n", Print({{"schema", schema}, {"path", made.path}, {"bytes", made.bytes}, {"params_total", made.params_total}}).c_str());
  } else {
    std::printf("%s: model.safetensors %s, %s parameters\n", made.path.c_str(), FormatBytes(static_cast<double>(made.bytes)).c_str(),
                FormatCount(static_cast<double>(made.params_total)).c_str());
  }
  return 0;
}

absl::StatusOr<int> RunExport(const Flags& flags) {
  std::string tokenizer_model;
  std::error_code ignored;
  if (!flags.open.tokenizer.empty() && flags.open.tokenizer != "bytes") {
    std::string path = flags.open.tokenizer;
    if (std::filesystem::is_directory(path, ignored) || absl::EndsWith(path, ".json")) {
      DatasetOptions options;
      options.verify_hashes = false;
      ISOFLOP_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(path, options));
      const std::string& file = dataset.manifest().tokenizer.file;
      path = file.empty() ? "" : (std::filesystem::path(dataset.path()).parent_path() / file).string();
    }
    if (!path.empty()) ISOFLOP_RETURN_IF_ERROR(ReadWholeFile(path, &tokenizer_model));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const ExchangedModel made, ExportLlama(flags.open.checkpoint, flags.output, tokenizer_model));
  return TellExchanged(flags, made, "isoflop.checkpoint_export/1");
}

absl::StatusOr<int> RunImport(const Flags& flags) {
  ISOFLOP_ASSIGN_OR_RETURN(const ExchangedModel made, ImportLlama(flags.directory, flags.output, flags.tokenizer));
  return TellExchanged(flags, made, "isoflop.checkpoint_import/1");
}

// --- the command line -------------------------------------------------------------

int ExitCodeOf(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) return 2;
  return absl::IsNotFound(status) ? 3 : 1;
}

int Tell(const absl::Status& status, bool json) {
  std::string message(status.message());
  if (json) {
    std::string cure;
    if (const size_t at = message.find("\ncure: "); at != std::string::npos) {
      cure = message.substr(at + 7);
      message.resize(at);
    }
    std::fprintf(stderr, "%s\n", Print({{"error", {{"code", absl::StatusCodeToString(status.code())}, {"message", message}, {"cure", cure}}}}).c_str());
  } else {
    std::fprintf(stderr, "isoflop-trainer: %s\n", message.c_str());
  }
  return ExitCodeOf(status);
}

void AddModelFlags(CLI::App& app, Flags& flags) {
  app.add_option("--checkpoint", flags.open.checkpoint, "folder step-<8 digits> of a trial, or of an import")->type_name("DIR")->required();
  app.add_option("--tokenizer", flags.open.tokenizer, "the data set of the training, or its .model; bytes need none")->type_name("DIR|FILE");
  app.add_option("--name", flags.name, "what to call the model in the output")->type_name("TEXT");
  app.add_flag("--cpu", flags.open.cpu_only, "not the GPU");
  app.add_option("--threads", flags.threads, "cores; default all")->type_name("N")->check(CLI::Range(0, 4096));
}

}  // namespace

bool IsTextTool(const std::string& word) {
  for (const char* tool : {"perplexity", "generate", "attention", "logits", "checkpoint-export", "checkpoint-import"}) {
    if (word == tool) return true;
  }
  return false;
}

int TextToolMain(int argc, char** argv) {
  Flags flags;
  CLI::App app("isoflop-trainer: what one does with a trained model", "isoflop-trainer");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  std::function<absl::StatusOr<int>()> body;
  const auto add = [&](const char* name, const char* summary, absl::StatusOr<int> (*run)(const Flags&)) {
    CLI::App* sub = app.add_subcommand(name, summary);
    sub->add_flag("--json", flags.json, "one JSON object on standard output; errors as JSON on standard error");
    sub->add_flag("-q,--quiet", flags.quiet, "only the result");
    sub->callback([&body, &flags, run] { body = [&flags, run] { return run(flags); }; });
    return sub;
  };
  CLI::App* perplexity = add("perplexity", "cross-entropy, perplexity and bits per byte of a text", RunPerplexity);
  AddModelFlags(*perplexity, flags);
  perplexity->add_option("--data", flags.data, "text, JSONL (plain, .gz, .xz), a folder of them, a prepared data set, or - for standard input")
      ->type_name("FILE")->required();

  CLI::App* generate = add("generate", "text behind a prompt, streamed", RunGenerate);
  AddModelFlags(*generate, flags);
  generate->add_option("--prompt", flags.prompt, "text to go on from; default: the beginning of a document")->type_name("TEXT");
  generate->add_option("--prompt-file", flags.prompt_file, "the same from a file")->type_name("FILE");
  generate->add_option("-n,--tokens", flags.generation.tokens, "most tokens to draw; default 256")->type_name("N");
  generate->add_option("-t,--temperature", flags.generation.sampling.temperature, "0: the likeliest token each time; default 1")->type_name("T");
  generate->add_option("--top-k", flags.top_k, "the k likeliest tokens alone")->type_name("K");
  generate->add_option("--top-p", flags.generation.sampling.top_p, "the fewest tokens that have this probability")->type_name("P");
  generate->add_option("--seed", flags.generation.sampling.seed, "default 1; one seed, one text")->type_name("S");
  generate->add_option("--stop", flags.generation.stop, "ends before this text")->type_name("TEXT");
  generate->add_flag("--no-cache", flags.no_cache, "compute all tokens again for each: the same text, slowly");

  CLI::App* attention = add("attention", "who looks at whom in one layer, as a picture and as numbers", RunAttention);
  AddModelFlags(*attention, flags);
  attention->add_option("--text", flags.text, "what the model reads")->type_name("TEXT")->required();
  attention->add_option("--layer", flags.layer, "from 0; default 0")->type_name("L");
  attention->add_option("--head", flags.head, "one head; default all")->type_name("H");
  attention->add_option("-o,--output", flags.output, "F.svg, and F.json beside it; without it the numbers go to standard output")->type_name("F.svg");

  CLI::App* logits = add("logits", "the logits at each place of a text, as JSON", RunLogits);
  AddModelFlags(*logits, flags);
  logits->add_option("--text", flags.text, "what the model reads")->type_name("TEXT")->required();

  CLI::App* exporting = add("checkpoint-export", "to the layout of transformers' LlamaForCausalLM", RunExport);
  AddModelFlags(*exporting, flags);
  exporting->add_option("-o,--output", flags.output, "folder")->type_name("DIR")->required();

  CLI::App* importing = add("checkpoint-import", "from that layout to a checkpoint of ours", RunImport);
  importing->add_option("DIR", flags.directory, "folder with config.json and model.safetensors")->required();
  importing->add_option("-o,--output", flags.output, "folder in which step-<8 digits> is made")->type_name("DIR")->required();
  importing->add_option("--tokenizer", flags.tokenizer, "bytes or a SentencePiece .model, where the folder does not say it")->type_name("T");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    const bool json = std::any_of(argv, argv + argc, [](const char* word) { return std::string(word) == "--json"; });
    return Tell(absl::InvalidArgumentError(absl::StrCat(error.what(), "\ncure: isoflop-trainer ", argv[1], " --help")), json);
  }
  const absl::StatusOr<int> code = body();
  return code.ok() ? *code : Tell(code.status(), flags.json);
}

}  // namespace isoflop
